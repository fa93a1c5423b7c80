"""Recording: one ordinary forward and backward pass of the stepped samples, which finds their steps in factors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from elastic.models.contract import TappedModel
from elastic.probes.structured.duals import Unsupported
from elastic.probes.structured.propagation import Steps, Use
from elastic.probes.structured.rules import FACTORED, REWRITES


@dataclass(frozen=True)
class Call:
    """One call of a function that reads a weight in factors."""

    function: Any
    weight: str
    bias: str | None
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    inputs: Tensor
    output: Tensor


class Recorder(TorchFunctionMode):
    """While active, notes every use of a parameter and adds a shift to it, by which a gradient can be taken.

    A weight that is read in factors is not shifted itself; the output of the call is.

    Parameters
    ----------
    names
        Of the parameters, by their identity.
    loose
        Names of parameters that are to be shifted themselves wherever they are used.
    shifts
        Shifts by name: ``"#0"``, ``"#1"``, … of the calls in their order, else of parameters. None shifts nothing.
    """

    def __init__(self, names: dict[int, str], loose: set[str], shifts: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.names, self.loose, self.shifts = names, loose, shifts or {}
        self.calls: list[Call] = []
        self.met: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note and shift one call."""
        kwargs = kwargs or {}
        if not any(id(leaf) in self.names for leaf in tree_flatten((args, kwargs))[0]):
            if func in REWRITES:
                with self:
                    return REWRITES[func](*args, **kwargs)
            return func(*args, **kwargs)
        if func in REWRITES:
            with self:
                return REWRITES[func](*args, **kwargs)
        if func in FACTORED:
            x, weight, bias, rest, options = _parts(*args, **kwargs)
            name = self.names.get(id(weight))
            if name and name not in self.loose and id(x) not in self.names:
                output = func(x, weight, bias, *rest, **options)
                output = output + self.shifts.get(f"#{len(self.calls)}", 0)
                self.calls.append(Call(func, name, self.names.get(id(bias)), (rest, options), x, output))
                return output
        result = func(*args, **kwargs)
        if not any(isinstance(r, Tensor) for r in tree_flatten(result)[0]):
            return result  # a shape, a dtype
        args, kwargs = tree_map(self._shift, (args, kwargs))
        return func(*args, **kwargs)

    def _shift(self, leaf: Any) -> Any:
        name = self.names.get(id(leaf))
        if name is None:
            return leaf
        self.met.add(name)
        return leaf + self.shifts[name] if name in self.shifts else leaf


def _parts(input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **options: Any) -> Any:  # noqa: A002
    return input, weight, bias, rest, options


class Recording:
    """How a model uses its parameters, found by one forward pass on one sample.

    Parameters
    ----------
    model
        In evaluation mode.
    example
        One input [1, …].

    Raises
    ------
    Unsupported
        If the model uses a parameter in a way that torch functions do not show.
    """

    def __init__(self, model: TappedModel, example: Tensor) -> None:
        self.model = model
        self.parameters = dict(model.named_parameters())
        self.names = {id(p): name for name, p in self.parameters.items()}
        self.loose: set[str] = set()
        self.calls = self._calls(example)

    def _calls(self, example: Tensor) -> list[Call]:
        """Return the calls with factors, once no parameter of theirs is used in any other way."""
        while True:
            recorder = Recorder(self.names, self.loose)
            with torch.enable_grad(), recorder:
                logits = self.model.taps(example)["logits"]
            mixed = recorder.met | _shared(recorder.calls)
            if not {name for c in recorder.calls for name in (c.weight, c.bias)} & mixed:
                self.loose = recorder.met
                return recorder.calls
            self.loose |= mixed

    def steps(self, inputs: Tensor, seeds: Tensor, size: Tensor | None = None) -> Steps:
        """Return the steps −∇⟨logits, seed⟩ of each sample.

        Parameters
        ----------
        inputs, seeds
            [c, …] and [c, K].
        size
            As in `Steps`.
        """
        shifts = {f"#{i}": torch.zeros_like(call.output) for i, call in enumerate(self.calls)}
        shifts |= {name: torch.zeros_like(self.parameters[name]) for name in self.loose}

        def against(moved: dict[str, Tensor], x: Tensor, seed: Tensor) -> tuple[Tensor, list[Tensor]]:
            with Recorder(self.names, self.loose, moved) as recorder:
                logits = self.model.taps(x[None])["logits"][0]
            return -(logits * seed).sum(), [call.inputs for call in recorder.calls]

        gradients, entered = vmap(grad(against, has_aux=True), in_dims=(None, 0, 0))(shifts, inputs, seeds)
        uses: dict[int, list[Use]] = {}
        for i, (call, h) in enumerate(zip(self.calls, entered, strict=True)):
            use = Use(call.arguments, h, gradients[f"#{i}"], call.bias is not None)
            uses.setdefault(id(self.parameters[call.weight]), []).append(use)
        return Steps(uses, {id(self.parameters[name]): gradients[name] for name in self.loose}, size)


def _shared(calls: list[Call]) -> set[str]:
    """Return names of weights that different functions read, or whose bias is another one's too."""
    functions: dict[str, set[Any]] = {}
    for call in calls:
        functions.setdefault(call.weight, set()).add((call.function, call.bias))
    biases = Counter(call.bias for call in calls if call.bias)
    weights = {name for name, kinds in functions.items() if len(kinds) > 1}
    return weights | {b for b, n in biases.items() if n > 1}


def module_of(model: nn.Module, name: str) -> str:
    """Return the type and name of the module that owns a parameter."""
    owner = name.rpartition(".")[0]
    return f"{type(model.get_submodule(owner)).__name__} `{owner}`"
