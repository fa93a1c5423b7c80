"""How a model is run on a batch, and which part of its return value is the output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from elastic.errors import ModelError

#: Computes the return value of a model for a batch.
Forward = Callable[[nn.Module, Any], Any]
#: Name or position of the output in the return value of a model.
Output = str | int
#: Attribute of output objects with the output of a classifier, as in Hugging Face.
DEFAULT = "logits"


def run(model: nn.Module, inputs: Any) -> Any:
    """Run a model on inputs, which are its keyword arguments if they are a mapping."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def runner(forward: Forward | None, output: Output | None) -> Forward:
    """Return a function that runs a model and returns its output; it references nothing else, as it may be pickled."""
    return lambda model, inputs: outputs_of((forward or run)(model, inputs), output)


def outputs_of(returned: Any, output: Output | None = None) -> Any:
    """Return the output in the return value of a model.

    Parameters
    ----------
    returned
        A tensor; a tuple, of which the first tensor is used; a mapping or an object.
    output
        Key, attribute or position of the output; by default ``logits`` if there are any.

    Raises
    ------
    ModelError
        If there is no such part, or, without ``output``, no ``logits`` in a mapping or object.

    Examples
    --------
    >>> import torch
    >>> outputs_of({"loss": None, "logits": torch.ones(1)}), outputs_of((torch.ones(1), torch.zeros(2)), 1)
    (tensor([1.]), tensor([0., 0.]))
    """
    if output is not None:
        return _part(returned, output)
    if isinstance(returned, Mapping):
        return _part(returned, DEFAULT)
    if isinstance(returned, Tensor):
        return returned
    if hasattr(returned, DEFAULT):
        return getattr(returned, DEFAULT)
    return returned if isinstance(returned, (tuple, list)) else _part(returned, DEFAULT)


def is_object(returned: Any) -> bool:
    """Whether the return value of a model is neither a tensor nor a plain tuple or list of tensors."""
    return not isinstance(returned, Tensor) and (type(returned) not in (tuple, list) or hasattr(returned, DEFAULT))


def check_output(output: Any) -> None:
    """Raise a ModelError unless ``output`` is a name, a position, or None."""
    if output is not None and (isinstance(output, bool) or not isinstance(output, str | int)):
        hint = 'output="logits", or forward=lambda model, batch: …, which returns a tensor'
        raise ModelError("`output`", "be a name or a position", repr(output), hint)


def _part(returned: Any, output: Output) -> Any:
    names = _names(returned)
    if isinstance(output, str):
        held = isinstance(returned, Mapping) and output in returned
        part = returned[output] if held else getattr(returned, output, None) if output in names else None
    else:
        within = isinstance(returned, tuple | list) and -len(returned) <= output < len(returned)
        part = returned[output] if within else None
    if isinstance(part, Tensor):
        return part
    tensors = [name for name in names if isinstance(_look(returned, name), Tensor)]
    said = f"a {type(returned).__name__}" + (f" with the tensors {', '.join(tensors)}" if tensors else "")
    if isinstance(returned, tuple | list):
        said += f" of {len(returned)}"
    hint = f'output="{tensors[0]}"' if tensors else "forward=lambda model, batch: …, which returns a tensor"
    raise ModelError("`output`", f"be a tensor that the model returns; {output!r} is none", said, hint)


def _look(returned: Any, name: str) -> Any:
    return returned[name] if isinstance(returned, Mapping) else getattr(returned, name, None)


def _names(returned: Any) -> list[str]:
    """Return the names of the parts of a model's return value."""
    if isinstance(returned, Mapping):
        return [str(key) for key in returned]
    slots = [name for kind in type(returned).__mro__ for name in _slots(kind.__dict__.get("__slots__", ()))]
    return list(dict.fromkeys([*getattr(returned, "_fields", ()), *slots, *getattr(returned, "__dict__", {})]))


def _slots(slots: str | Iterable[str]) -> list[str]:
    """Return the names in ``__slots__``, which may be a single one."""
    return [slots] if isinstance(slots, str) else list(slots)
