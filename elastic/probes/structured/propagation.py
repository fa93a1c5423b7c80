"""Propagation: a model's own forward pass, in which every operation propagates the stepped samples' tangents."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from elastic.probes.autodiff import Taps
from elastic.probes.forward_derivatives import name_of
from elastic.probes.movement_pass import COPIES, FLAGS, STOPS
from elastic.probes.own_functions import forward_only
from elastic.probes.structured.differences import difference, unknown
from elastic.probes.structured.duals import (
    Dual,
    Unsupported,
    differentiated,
    dual,
    factors_of,
    moves,
    numeric,
    plain,
    tensors_of,
)
from elastic.probes.structured.guard import Guard
from elastic.probes.structured.memory import Memory, storage_of
from elastic.probes.structured.paired import PairedSteps, Unpaired
from elastic.probes.structured.queries import BRANCHES, CONSTANTS, NUMBERS, SHAPES, TEXTS
from elastic.probes.structured.rules import FACTORED, REWRITES, RULES
from elastic.probes.structured.steps import Steps
from elastic.probes.structured.writes import Write, write_of
from elastic.probes.tensor_leaves import each_leaf, tensor_leaves

#: Names of functions that see the value of a dual alone, and of those that return no tensor.
OF_VALUES, OF_NUMBERS = SHAPES | CONSTANTS | TEXTS, NUMBERS | BRANCHES
#: Functions that affect gradients alone.
OF_GRADIENTS = STOPS | FLAGS


class Propagation(TorchFunctionMode):
    """While active, every torch function with a dual or a stepped parameter as an argument follows its rule.

    Parameters
    ----------
    steps
        Steps whose tangents are propagated.
    memory
        Memory of the duals of this pass.
    """

    def __init__(self, steps: Steps, memory: Memory) -> None:
        super().__init__()
        self.steps, self.memory = steps, memory
        #: Whether a function is being followed.
        self.following = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Follow one function."""
        kwargs = kwargs or {}
        tensors = list(tensors_of(args, kwargs))
        if not any(self._concerns(tensor) for tensor in tensors):
            return func(*args, **kwargs)
        before, self.following = self.following, True
        try:
            return self._follow(func, tensors, args, kwargs)
        finally:
            self.following = before

    def _concerns(self, tensor: Tensor) -> bool:
        """Whether a tensor is a dual, a stepped parameter, or a view of memory that has been written to."""
        if isinstance(tensor, Dual):
            if not self.memory.knows(tensor):
                raise Unsupported("a tensor", "values kept from another forward pass")
            return True
        if id(tensor) in self.steps.loose or self.steps.factored(tensor):
            return True
        key = storage_of(tensor)
        if key in self.memory.written:
            return True
        if key not in self.memory.protected and self.memory.moving(tensor):
            raise Unsupported("a tensor", "memory that moves, reached in a way that torch functions do not show")
        return False

    def _follow(self, func: Any, tensors: list[Tensor], args: Any, kwargs: Any) -> Any:
        name = name_of(func)
        if name in OF_VALUES:
            args, kwargs = each_leaf(plain, args, kwargs)
            return func(*args, **kwargs)
        if any(torch.is_autocast_enabled(kind) for kind in {t.device.type for t in tensors}):
            raise Unsupported("torch.autocast", "casts that torch functions do not show")
        if torch.is_inference_mode_enabled():
            raise Unsupported("torch.inference_mode", "tensors that cannot be differentiated")
        if isinstance(self.steps, PairedSteps):
            self._check_paired(func, tensors)
        if (written := write_of(func, args, kwargs)) is not None and func not in OF_GRADIENTS:
            return self._write(written)
        if any(self.steps.factored(tensor) for tensor in tensors):
            self._check_factors(func, args, kwargs)
        args, kwargs = each_leaf(self._current, args, kwargs)
        if func in FLAGS:
            return args[0]
        if func in STOPS:
            return self._unstopped(func, args[0])
        if name in OF_NUMBERS or func in COPIES:
            return self._read(func, args, kwargs)
        return self._entered(self._output(func, args, kwargs), tensors)

    def _check_factors(self, func: Any, args: Any, kwargs: Any) -> None:
        """Refuse a function that reads a step in factors, and has no rule for it."""
        if func in REWRITES and func not in RULES:
            return
        first = args[0] if args else None
        if func not in FACTORED or self.steps.factored(first):
            raise Unsupported(
                f"`{name_of(func)}`", "a weight that observed samples read in another way than stepped ones"
            )

    def _check_paired(self, func: Any, tensors: list[Tensor]) -> None:
        """Refuse steps of whole parameters if the sample of each row of a tensor is not known."""
        if func is not functional.batch_norm and any(id(tensor) in self.steps.loose for tensor in tensors):
            raise Unpaired

    def _current(self, leaf: Any) -> Any:
        """Return a tensor with its present tangent."""
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) in self.steps.loose:
            return self.memory.enter(dual(leaf.detach(), self.steps.loose[id(leaf)]))
        return self.memory.current(leaf)

    def _unstopped(self, func: Any, tensor: Tensor) -> Tensor:
        """Return a tensor that is detached from the gradient and still moves."""
        if name_of(func) == "detach_":
            return tensor
        return self.memory.enter(dual(plain(tensor).detach(), *factors_of(tensor)))

    def _read(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call a function that returns no tensor."""
        if moves(args, kwargs):
            if name_of(func) not in BRANCHES:
                raise Unsupported(f"`{name_of(func)}`", "numbers that are read off a tensor that moves")
            if self.steps.size is not None:
                raise unknown(func)
        return func(*tree_map(plain, args), **tree_map(plain, kwargs))

    def _output(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Follow the rule of a function without writes."""
        plainly = any(tensor.is_complex() for tensor in tensors_of(args, kwargs))
        if func in RULES and not plainly:
            output = RULES[func](self.steps, *args, **kwargs)
            if output is not NotImplemented:
                return output
            if func is functional.batch_norm and isinstance(self.steps, PairedSteps):
                raise Unpaired
        if any(self.steps.factored(tensor) for tensor in tensors_of(args, kwargs)) and func not in REWRITES:
            raise Unsupported(f"`{name_of(func)}`", "a weight that is read in a way without a rule")
        if func in REWRITES:
            with self:
                return REWRITES[func](*args, **kwargs)
        follow = differentiated if self.steps.size is None else difference
        return follow(func, args, kwargs)

    def _write(self, write: Write) -> Tensor:
        """Replace an in-place operation by one that is not."""
        target = write.target
        if id(target) in self.steps.loose or self.steps.factored(target):
            raise Unsupported("an operation in place", "a parameter as its target")
        output = self._copied(write) if write.copied else self._out_of_place(write)
        if not isinstance(output, Tensor) or output.shape != target.shape:
            raise Unsupported(f"`{name_of(write.function)}`", "targets of another shape, or several")
        if numeric(target) and (numeric(output) or not moves(output)):
            self.memory.write(target, output)
        elif moves(output) and self.steps.size is not None:
            raise unknown(write.function)
        else:
            plain(target).copy_(plain(output))
        return target

    def _out_of_place(self, write: Write) -> Any:
        with self:
            return write.function(*write.arguments, **write.options)

    def _copied(self, write: Write) -> Any:
        """Call a function on a copy of its target, which has to have a tangent if anything moves."""
        target, *rest = tree_map(self._current, write.arguments)
        options = tree_map(self._current, write.options)
        if moves(target, rest, options):
            if self.steps.size is not None and not write.linear:
                raise unknown(write.function)
            if numeric(target) and not moves(target):
                target = dual(plain(target), plain(target).new_zeros(self.steps.count, *target.shape))
        return differentiated(write.function, (target, *rest), options)

    def _entered(self, output: Any, tensors: list[Tensor]) -> Any:
        """Register the duals of an output, and memory that they share with a plain tensor."""
        made = [leaf for leaf in tensor_leaves(output) if isinstance(leaf, Dual)]
        shared = {storage_of(t) for t in tensors if not isinstance(t, Dual)} - self.memory.protected
        for value in made:
            self.memory.enter(value)
            if storage_of(value) in shared:
                self.memory.hold(value)
        return output


def propagate(
    model: Any, steps: Steps, inputs: Tensor, guarded: bool = False
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Return each layer's value [n, …] and tangent [c, n, …] (None if it is zero) on inputs [n, …].

    Parameters
    ----------
    model, steps, inputs
        Steps of the tangents. Buffers are copied, so that the model may write to them.
    guarded
        Whether to search for operations outside torch functions.
    """
    memory = Memory(steps.count, model.parameters())
    propagation = Propagation(steps, memory)
    buffers = {f"model.{name}": buffer.clone() for name, buffer in model.named_buffers()}
    memory.protected.add(storage_of(inputs))
    entered = memory.enter(dual(inputs, None)) if numeric(inputs) else inputs
    with forward_only(), Guard(memory, lambda: propagation.following) if guarded else nullcontext(), propagation:
        taps = functional_call(Taps(model), buffers, (entered,)) if buffers else model.taps(entered)
    taps = {layer: memory.current(h) for layer, h in taps.items()}
    return {layer: (plain(h), h.tangent if isinstance(h, Dual) else None) for layer, h in taps.items()}
