"""The recorder: which torch functions use which parameters, seen while a model runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from elastic.probes.structured.duals import tensors_of
from elastic.probes.structured.rules import FACTORED, REWRITES


@dataclass(frozen=True)
class Call:
    """One call of a function that reads a weight in factors."""

    function: Any
    weight: str
    bias: str | None
    inputs: Tensor
    output: Tensor


class Recorder(TorchFunctionMode):
    """While active, notes every use of a parameter and adds a shift to it, by which a gradient can be taken.

    A weight that is read in factors is not shifted itself; the output of the call is. Parameters that were noted
    are cut off from autograd: one that still gets a gradient was used in a way that was not seen.

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
        if func in REWRITES:
            with self:
                return REWRITES[func](*args, **kwargs)
        if not any(id(tensor) in self.names for tensor in tensors_of(args, kwargs)):
            return func(*args, **kwargs)
        if func in FACTORED and self._is_factored(*args, **kwargs):
            output = func(*tree_map(self._cut, args), **tree_map(self._cut, kwargs))
            shift = self.shifts.get(f"#{len(self.calls)}", torch.zeros_like(output, requires_grad=True))
            self.calls.append(self._call(func, output, *args, **kwargs))
            return output + shift
        result = func(*args, **kwargs)
        if next(tensors_of(result), None) is None:
            return result  # a shape, a dtype
        args, kwargs = tree_map(self._shift, (args, kwargs))
        return func(*args, **kwargs)

    def _is_factored(self, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> bool:
        """Whether the weight is a parameter, and neither the input nor a bias is one to be shifted itself."""
        names = [self.names.get(id(tensor)) for tensor in tensors_of(weight, rest, options)]
        return names[0] is not None and id(input) not in self.names and not self.loose & set(names)

    def _call(self, func: Any, output: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> Call:
        biases = [self.names[id(tensor)] for tensor in tensors_of(rest, options) if id(tensor) in self.names]
        return Call(func, self.names[id(weight)], biases[0] if biases else None, input, output)

    def _cut(self, leaf: Any) -> Any:
        return leaf.detach() if id(leaf) in self.names else leaf

    def _shift(self, leaf: Any) -> Any:
        name = self.names.get(id(leaf))
        if name is None:
            return leaf
        self.met.add(name)
        return leaf.detach() + self.shifts[name] if name in self.shifts else leaf.detach()
