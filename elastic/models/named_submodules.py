"""Submodules by name: which names a model has, and hooks on them that exist inside a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.models.contract import INPUT, LOGITS
from elastic.models.returned import first_tensor, obstacle_to_reading
from elastic.registry import nearest


@contextmanager
def hooked(module: nn.Module, names: Sequence[str], keep: Callable[[str, Any], None]) -> Iterator[None]:
    """Call ``keep(name, output)`` after every call of a named submodule inside the block."""

    def hook(name: str, submodule: nn.Module, arguments: Any, output: Any) -> None:
        keep(name, output)

    handles = [module.get_submodule(name).register_forward_hook(partial(hook, name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def known_names(module: nn.Module, names: tuple[str, ...], output: str | None) -> tuple[tuple[str, ...], str | None]:
    """Separate the names of submodules from the name of the output, if given."""
    submodules = [name for name, _ in module.named_modules(remove_duplicate=False) if name]
    if names and names[-1] == (output or LOGITS) and (output or LOGITS not in submodules):
        names, output = names[:-1], output or LOGITS
    for position, name in enumerate(names):
        if name == LOGITS and name not in submodules:
            raise layer_error(name, "be named last, if at all: it is the output", f"{names}", "leaving it out")
        if name not in submodules:
            hint = nearest(name, submodules, fallback=f"some of {some_names(module)}")
            raise ModelError("`layers`", "name submodules of the model", repr(name), hint)
        if name in names[:position]:
            raise layer_error(name, "be named once", "it twice", "leaving one out")
        if name == INPUT:
            hint = "renaming the submodule, or naming one inside it"
            raise layer_error(name, "have a name of its own", "that of layer 0, the inputs", hint)
    return names, output


def some_names(module: nn.Module) -> list[str]:
    """Return the names of children for an error: all, or the first and the last three."""
    names = [name for name, _ in module.named_children()]
    return names if len(names) <= 6 else [*names[:3], *names[-3:]]


def feature_of(name: str, output: Any, count: int) -> Tensor:
    """Return the first tensor of an output, if it is dense and real and its first dimension has the size ``count``."""
    tensor = first_tensor(output)
    if tensor is None:
        raise layer_error(name, "give a tensor", type(output).__name__, "submodules that give tensors")
    if obstacle := obstacle_to_reading(tensor):
        raise layer_error(name, "give a dense tensor of real numbers", obstacle, "another submodule")
    if tensor.shape[:1] != (count,):
        found = f"shape {tuple(tensor.shape)} for {count} inputs"
        raise layer_error(name, "give one feature array for each input, batch first", found, "another submodule")
    return tensor


def layer_error(name: str, expected: str, found: str, hint: str) -> ModelError:
    """Return the error of a named layer."""
    return ModelError(f"layer `{name}`", expected, found, hint)
