"""Saving and restoring the state of a module that a forward pass may change.

A forward pass may count its calls, cache its features, update running statistics or rescale a weight. `ModuleState`
saves everything reachable from a module: attributes, parameters, buffers, hooks, and the contents of nested lists,
dictionaries, objects and closures. Restoring writes only what differs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.models.containers import COMMON, contents, refill, same
from elastic.models.restorers import restorer_of
from elastic.models.state_roles import WITHOUT_CONTENTS, Role, has_own_attributes, role_of

#: Depth of nested objects to save; deeper ones are not considered part of the module.
DEPTH = 6


class ModuleState:
    """The saved state of a module.

    Parameters
    ----------
    module
        The module, saved with its submodules and the contents of their attributes.
    parameters
        Whether to save the values of parameters as well, which doubles the memory. The identity of parameters is always
        saved.
    values
        Whether to save the values of tensors and arrays.

    Examples
    --------
    >>> net = nn.Linear(2, 2)
    >>> state = ModuleState(net)
    >>> net.calls, net.bias.requires_grad = 1, False
    >>> state.restore()
    >>> hasattr(net, "calls"), net.bias.requires_grad
    (False, True)
    """

    def __init__(self, module: nn.Module, *, parameters: bool = True, values: bool = True) -> None:
        self.containers: list[tuple[Any, Any]] = []
        self._tensors: list[_SavedTensor] = []
        self._others: list[Callable[[], None]] = []
        self._parameters, self._values = parameters, values
        self._seen: dict[int, Any] = {}
        self._walk(module)
        self._mappings = _Mappings([pair for pair in self.containers if type(pair[0]) in COMMON])
        self._rest = [pair for pair in self.containers if type(pair[0]) not in COMMON]

    def restore(self) -> None:
        """Restore attributes, then values."""
        self.restore_attributes()
        for tensor in self._tensors:
            tensor.restore()
        for restore in self._others:
            restore()

    def restore_attributes(self) -> None:
        """Restore the identity of all attributes and container entries, without reading tensors."""
        for container, saved in self._rest if self._mappings.are_same() else self.containers:
            if not same(container, saved):
                refill(container, saved)

    def _walk(self, module: nn.Module) -> None:
        waiting: list[tuple[Any, int]] = [(module, 0)]
        while waiting:
            value, depth = waiting.pop()
            if id(value) in self._seen or depth > DEPTH:
                continue
            if type(value) in COMMON:  # most objects of a module are, and most of these are empty
                self._seen[id(value)] = value
                saved = dict(value)
                self.containers.append((value, saved))
                held: Collection[Any] = saved.values()
            else:
                role = role_of(value)
                if role is Role.PLAIN:
                    continue
                self._seen[id(value)] = value  # kept alive, so that its identity is not reused
                held = self._save(value, role)
            if held:
                below = 1 if isinstance(value, nn.Module) else depth + 1
                waiting += [(part, below) for part in held if type(part) not in WITHOUT_CONTENTS]

    def _save(self, value: Any, role: Role) -> Collection[Any]:
        """Save one object and return its contents."""
        if role is Role.CONTAINER:
            saved = contents(value)
            self.containers.append((value, saved))
            held: Collection[Any] = saved.values() if isinstance(saved, dict) else saved
            return held
        if role is Role.TENSOR:
            if self._values and (self._parameters or not isinstance(value, nn.Parameter)):
                self._tensors.append(_SavedTensor(value))
            return ()
        if role is Role.RESTORED and (restorer := restorer_of(value, self._values)) is not None:
            self._others.append(restorer)
            return ()
        if role is Role.FIXED:
            return tuple(value)
        if role is Role.FUNCTION:
            return value.__closure__ or ()
        if role is Role.METHOD:
            return (value.__self__,)
        return (vars(value),) if has_own_attributes(value) else ()


class _Mappings:
    """Dictionaries with their saved contents: most objects of a module are, and most of these stay as they were."""

    def __init__(self, pairs: list[tuple[Any, dict[Any, Any]]]) -> None:
        self._mappings = [mapping for mapping, _ in pairs]
        self._lengths = [len(saved) for _, saved in pairs]
        self._entries = [entry for _, saved in pairs for entry in (*saved, *saved.values())]

    def are_same(self) -> bool:
        """Whether all have the same entries in the same order, by identity; in one pass without Python code."""
        if list(map(len, self._mappings)) != self._lengths:
            return False
        present = chain.from_iterable(chain.from_iterable((each, each.values()) for each in self._mappings))
        return all(map(is_, present, self._entries))


class _SavedTensor:
    """One tensor: its memory, its values, and whether it takes gradients."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.alias = tensor, tensor.detach()
        self.values = self.alias.clone()
        self.requires_grad = tensor.requires_grad
        self.grad = tensor.grad if tensor.is_leaf else None

    def restore(self) -> None:
        tensor = self.tensor
        if tensor.is_leaf and tensor.grad is not self.grad:
            tensor.grad = self.grad
        if tensor.is_leaf and tensor.requires_grad != self.requires_grad:
            tensor.requires_grad_(self.requires_grad)
        if not _same_memory(tensor, self.alias):
            tensor.data = self.alias
        # Through `data`, which does not increment the version: pending autograd graphs stay valid.
        if not torch.equal(self.alias, self.values):
            tensor.data.copy_(self.values)


def _same_memory(tensor: Tensor, alias: Tensor) -> bool:
    if tensor.shape != alias.shape or tensor.dtype != alias.dtype or tensor.layout != alias.layout:
        return False
    return tensor.layout != torch.strided or tensor.data_ptr() == alias.data_ptr()


@contextmanager
def restored(module: nn.Module, *, values: bool = True) -> Iterator[None]:
    """Restore a module after one forward pass: its attributes, and the values of all tensors except parameters.

    Parameters
    ----------
    module
        The module.
    values
        Whether to restore values of tensors; attributes are always restored.

    Examples
    --------
    >>> net = nn.BatchNorm1d(2)
    >>> with restored(net):
    ...     _ = net(torch.ones(3, 2))
    >>> net.num_batches_tracked.item()
    0
    """
    state = ModuleState(module, parameters=False, values=values)
    try:
        yield
    finally:
        with torch.no_grad():
            state.restore()


@contextmanager
def preserved(module: nn.Module, *, parameters: bool = True) -> Iterator[ModuleState]:
    """Restore a module and the global random generators when the block ends, also after an exception.

    Parameters
    ----------
    module
        The module.
    parameters
        Whether to restore the values of parameters as well, from a copy.

    Yields
    ------
    ModuleState
        The saved state, to restore the module within the block.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> with preserved(net):
    ...     _ = net.eval()
    ...     net.calls = 1
    >>> net.training, hasattr(net, "calls")
    (True, False)
    """
    state = ModuleState(module, parameters=parameters)
    with generators_preserved(module):
        try:
            yield state
        finally:
            with torch.no_grad():
                state.restore()


@contextmanager
def generators_preserved(module: nn.Module) -> Iterator[None]:
    """Restore the global random generators, and those of the devices of a module, when the block ends."""
    numbers, python = np.random.get_state(), random.getstate()
    cuda = {p.device.index for p in module.parameters() if p.is_cuda}
    try:
        with torch.random.fork_rng(sorted(cuda)):
            yield
    finally:
        np.random.set_state(numbers)
        random.setstate(python)
