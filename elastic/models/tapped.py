"""Any ``nn.Module`` as a model whose layers have names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.models.contract import TappedModel
from elastic.models.following import linear_after
from elastic.models.trial import trial
from elastic.registry import nearest

#: Names under which wrappers hold a module.
WRAPPERS = ("module.", "_orig_mod.")


class Tapped(TappedModel):
    """A module whose named submodules' outputs are the layers; its own output is the layer ``logits``.

    The outputs are read by forward hooks that exist only while `taps` runs, so it works under ``torch.func``
    (``functional_call``, ``vmap``, ``jvp``, ``grad``) and the module stays as it was. A feature has the value
    that the submodule returned, even where an in-place activation overwrites it later. Of a tuple the first
    tensor is taken.

    Parameters
    ----------
    module
        Maps inputs [n, …] to logits [n, K].
    layers
        Names of submodules (as in ``named_modules``) in the order of depth; ``logits`` may be left out.
    example
        Inputs [n, …] for one forward pass, here and now. With them, `next_weights` finds the ``nn.Linear``
        that each layer enters, and a last name that is the output layer itself is taken for ``logits``.

    Raises
    ------
    ModelError
        If a name is unknown or given twice, or a submodule does not yield one feature per input: it does not
        run, runs more than once (its features would be ambiguous), or gives no tensor [n, …].

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> tapped = Tapped(net, ["1", "2"], example=torch.ones(5, 4))
    >>> tapped.layers
    ('1', 'logits')
    >>> tapped.next_weights()["1"] is net[2]
    True
    """

    def __init__(self, module: nn.Module, layers: Sequence[str], example: Tensor | None = None) -> None:
        super().__init__()
        self.module = module
        self._names = _known(module, tuple(layers[:-1] if layers and layers[-1] == "logits" else layers))
        self._next: dict[str, str] = {}
        if example is not None:
            with trial(module):
                _, last_is_output = self._read(example)
                self._names = self._names[:-1] if last_is_output else self._names
                self._next = linear_after(module, self._names, example)

    @property
    def layers(self) -> tuple[str, ...]:
        """The submodules' names, then ``logits``."""
        return (*self._names, "logits")

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits [n, K] of inputs [n, …]."""
        return _feature("logits", self.module(inputs), len(inputs))

    def taps(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return each named submodule's output [n, …], then the logits."""
        features, last_is_output = self._read(inputs)
        if last_is_output:
            raise _layer_error(self._names[-1], "be a hidden layer", "the output layer", "'logits' in its place")
        return features

    def layer_modules(self) -> dict[str, nn.Module]:
        """Return the named submodules, and the module itself for ``logits``."""
        return {name: self.module.get_submodule(name) for name in self._names} | {"logits": self.module}

    def next_weights(self) -> dict[str, nn.Linear]:
        """Return, for each layer that enters exactly one ``nn.Linear`` unchanged, that module (see ``example``)."""
        linears = {name: self.module.get_submodule(linear) for name, linear in self._next.items()}
        return {name: linear for name, linear in linears.items() if isinstance(linear, nn.Linear)}

    def _read(self, inputs: Tensor) -> tuple[dict[str, Tensor], bool]:
        """Return the features, and whether the last named submodule's output is the module's.

        The inputs enter as a copy: the first submodule may work in place.
        """
        features: dict[str, Tensor] = {}
        last: Tensor | None = None

        def keep(name: str, output: Any) -> None:
            nonlocal last
            if name in features:
                raise _layer_error(name, "run once in a forward pass", "a second run", "submodules that run once")
            last = _feature(name, output, len(inputs))
            # A copy, because the next module may be an activation that works in place.
            features[name] = last.clone()

        with _hooked(self.module, self._names, keep):
            logits = self.forward(inputs.clone())
        for name in self._names:
            if name not in features:
                raise _layer_error(name, "run in a forward pass", "that it does not", "submodules that run")
        ordered = {name: features[name] for name in self._names} | {"logits": logits}
        return ordered, last is logits


def tap(model: nn.Module, layers: Sequence[str] | None = None, example: Tensor | None = None) -> TappedModel:
    """Return a model with named layers: a `TappedModel` as it is, any other module as `Tapped`.

    Parameters
    ----------
    model
        A built-in model, or any classifier.
    layers, example
        As in `Tapped`.

    Raises
    ------
    ModelError
        If ``model`` is no module, or one of unknown layers and ``layers`` is not given.
    """
    model = unwrapped(model)
    if isinstance(model, TappedModel):
        return model
    if not isinstance(model, nn.Module):
        raise ModelError("`model`", "be a torch.nn.Module", type(model).__name__, "passing the network itself")
    if layers is None:
        raise ModelError(
            "`layers`",
            "name submodules of the model",
            "nothing",
            f"layers={_some_names(model)} (model.named_modules())",
        )
    known = {name for name, _ in model.named_modules()}
    return Tapped(model, [name if name in known else _inside(name) for name in layers], example)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside the wrappers of ``torch.compile`` and of data parallelism; any other as it is.

    >>> net = nn.Linear(2, 2)
    >>> unwrapped(nn.DataParallel(net)) is net
    True
    """
    while isinstance(model, nn.Module):
        parallel = isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel))
        inner = model.module if parallel else getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            break
        model = inner
    return model


def _inside(name: str) -> str:
    """Return a submodule's name without those of wrappers, which ``named_modules`` of a wrapper puts before it."""
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


@contextmanager
def _hooked(module: nn.Module, names: Sequence[str], keep: Callable[[str, Any], None]) -> Iterator[None]:
    """Call ``keep(name, output)`` whenever a named submodule has run, for as long as the context lasts."""

    def hook(name: str, submodule: nn.Module, arguments: Any, output: Any) -> None:
        keep(name, output)

    handles = [module.get_submodule(name).register_forward_hook(partial(hook, name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _known(module: nn.Module, names: tuple[str, ...]) -> tuple[str, ...]:
    submodules = [name for name, _ in module.named_modules(remove_duplicate=False) if name]
    for position, name in enumerate(names):
        if name == "logits":
            raise _layer_error(name, "be named last, if at all: it is the output", f"{names}", "leaving it out")
        if name not in submodules:
            hint = nearest(name, submodules, fallback=f"some of {_some_names(module)}")
            raise ModelError("`layers`", "name submodules of the model", repr(name), hint)
        if name in names[:position]:
            raise _layer_error(name, "be named once", "it twice", "leaving one out")
    return names


def _some_names(module: nn.Module) -> list[str]:
    names = [name for name, _ in module.named_children()]
    return names if len(names) <= 6 else [*names[:3], *names[-3:]]


def _feature(name: str, output: Any, count: int) -> Tensor:
    """Return the (first) tensor of an output, if it has one entry for each of the ``count`` inputs."""
    if isinstance(output, (tuple, list)):
        output = next((part for part in output if isinstance(part, Tensor)), output)
    if not isinstance(output, Tensor):
        raise _layer_error(name, "give a tensor", type(output).__name__, "submodules that give tensors")
    if output.shape[:1] != (count,):
        found = f"shape {tuple(output.shape)} for {count} inputs"
        raise _layer_error(name, "give one feature array for each input, batch first", found, "another submodule")
    return output


def _layer_error(name: str, should: str, found: str, hint: str) -> ModelError:
    return ModelError(f"layer `{name}`", should, found, hint)
