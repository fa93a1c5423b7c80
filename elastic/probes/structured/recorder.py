"""The recorder: finds out which torch functions use which parameters while a model runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from elastic.probes.forward_derivatives import name_of
from elastic.probes.movement_pass import FLAGS
from elastic.probes.structured.duals import Unsupported, tensors_of
from elastic.probes.structured.memory import storage_of
from elastic.probes.structured.queries import BRANCHES, CONSTANTS, NUMBERS, SHAPES, TEXTS
from elastic.probes.structured.rules import FACTORED, REWRITES
from elastic.probes.structured.writes import write_of
from elastic.probes.tensor_leaves import each_leaf

#: Names of functions that read no numbers of a parameter, and of those that read them in Python.
OF_VALUES, OF_NUMBERS = SHAPES | CONSTANTS | TEXTS, NUMBERS | BRANCHES


@dataclass(frozen=True)
class Call:
    """One call of a function that reads a weight in factors.

    Attributes
    ----------
    way
        How the call reads the weight.
    weight, bias
        Names of parameters.
    inputs, output
        The tensors; the inputs with their version at that time.
    """

    way: Any
    weight: str
    bias: str | None
    inputs: Tensor
    output: Tensor
    version: int


class Recorder(TorchFunctionMode):
    """While active, records every use of a parameter and adds a shift to it, by which a gradient can be computed.

    A weight that is read in factors is not shifted itself; the output of the call is. Recorded parameters
    are detached from autograd: one that still gets a gradient was used in a way that was not recorded.

    Parameters
    ----------
    names
        Names of the parameters, by their identity.
    loose
        Names of parameters to shift themselves wherever they are used.
    shifts
        Shifts by name: ``"#0"``, ``"#1"``, … of the calls in their order, else of parameters. None: no shifts.
    memory
        Memory of the parameters, which nothing else may read or write. None: not checked.

    Raises
    ------
    Unsupported
        If a parameter is used in a way that steps do not support.
    """

    def __init__(
        self,
        names: dict[int, str],
        loose: set[str],
        shifts: dict[str, Tensor] | None = None,
        memory: set[int] | None = None,
    ) -> None:
        super().__init__()
        self.names, self.loose, self.shifts, self.memory = names, loose, shifts or {}, memory or set()
        self.calls: list[Call] = []
        self.met: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record and shift one call."""
        kwargs = kwargs or {}
        if func in REWRITES:
            with self:
                return REWRITES[func](*args, **kwargs)
        tensors = list(tensors_of(args, kwargs))
        if self.memory:
            self._check_memory(func, tensors)
        if not any(id(tensor) in self.names for tensor in tensors) or name_of(func) in OF_VALUES:
            return func(*args, **kwargs)
        self._check_use(func, args, kwargs)
        if func in FACTORED and self._is_factored(func, *args, **kwargs):
            cut, options = each_leaf(self._cut, args, kwargs)
            output = func(*cut, **options)
            shift = self.shifts.get(f"#{len(self.calls)}", torch.zeros_like(output, requires_grad=True))
            self.calls.append(self._call(func, output, *args, **kwargs))
            return output + shift
        args, kwargs = each_leaf(self._shift, args, kwargs)
        return func(*args, **kwargs)

    def _check_memory(self, func: Any, tensors: list[Tensor]) -> None:
        """Refuse other tensors that view the memory of a parameter."""
        for tensor in tensors:
            if id(tensor) not in self.names and storage_of(tensor) in self.memory:
                raise Unsupported(f"`{name_of(func)}`", "memory of a parameter, read past the parameter")

    def _check_use(self, func: Any, args: Any, kwargs: Any) -> None:
        name = name_of(func)
        if name in OF_NUMBERS or func in FLAGS:
            raise Unsupported(f"`{name}`", "a parameter whose numbers or flags are used in Python")
        write = write_of(func, args, kwargs)
        if write is not None and id(write.target) in self.names:
            raise Unsupported(f"`{name}`", "a parameter that is changed in the forward pass")

    def _is_factored(self, func: Any, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> bool:
        """Whether the weight is a parameter, and neither the input nor a bias is one to be shifted itself."""
        names = [self.names.get(id(tensor)) for tensor in tensors_of(weight, rest, options)]
        if names[0] is None or id(input) in self.names or self.loose & set(names):
            return False
        return FACTORED[func](weight, *rest, **options) is not None

    def _call(self, func: Any, output: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> Call:
        biases = [self.names[id(tensor)] for tensor in tensors_of(rest, options) if id(tensor) in self.names]
        way = FACTORED[func](weight, *rest, **options)
        return Call(way, self.names[id(weight)], biases[0] if biases else None, input, output, input._version)

    def _cut(self, leaf: Any) -> Any:
        return leaf.detach() if id(leaf) in self.names else leaf

    def _shift(self, leaf: Any) -> Any:
        """Return a shifted parameter, in separate memory."""
        name = self.names.get(id(leaf))
        if name is None:
            return leaf
        self.met.add(name)
        return leaf.detach() + self.shifts[name] if name in self.shifts else leaf.detach().clone()
