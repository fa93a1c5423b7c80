"""Blocks after which a module is what it was before, and the states of modules that they share."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from elastic.models.state import ModuleState


class Ending(Protocol):
    """What a block enters: open until the block has ended."""

    is_open: bool


Entry = TypeVar("Entry", bound=Ending)


@contextmanager
def entered(blocks: ContextVar[tuple[Entry, ...]], entry: Entry) -> Iterator[None]:
    """Keep an entry with those of the enclosing blocks until the block ends."""
    blocks.set((*(other for other in blocks.get() if other.is_open), entry))
    try:
        yield
    finally:
        entry.is_open = False
        blocks.set(tuple(other for other in blocks.get() if other.is_open))


#: States of the enclosing blocks, from which those of the same modules inside are made.
_OPEN: ContextVar[tuple[_Open, ...]] = ContextVar("open_states_of_modules", default=())


@dataclass
class _Open:
    """A state whose block has not ended. Of a generator dropped in another context the entry stays, closed."""

    module: nn.Module
    state: ModuleState
    is_open: bool = True


def state_of(module: nn.Module, *, parameters: bool = True, values: bool = True) -> ModuleState:
    """Return the `ModuleState` of a module, made from that of an enclosing block (`state_kept`) where there is one.

    A model has hundreds of objects; looking for them takes three times as long as comparing them.
    """
    known = next((each.state for each in reversed(_OPEN.get()) if each.is_open and each.module is module), None)
    return ModuleState(module, parameters=parameters, values=values, known=known)


@contextmanager
def state_kept(module: nn.Module, state: ModuleState | None = None) -> Iterator[ModuleState]:
    """Keep the state of a module known until the block ends: those of blocks inside are made from it; restore nothing.

    >>> net = nn.Linear(2, 2)
    >>> with state_kept(net) as state:
    ...     state_of(net).containers is state.containers
    True
    """
    state = state_of(module, parameters=False, values=False) if state is None else state
    with entered(_OPEN, _Open(module, state)):
        yield state


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
    state = state_of(module, parameters=False, values=values)
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
    state = state_of(module, parameters=parameters)
    with generators_preserved(module), gradients_set_aside(module):
        try:
            with state_kept(module, state):
                yield state
        finally:
            with torch.no_grad():
                state.restore()


@contextmanager
def gradients_set_aside(module: nn.Module) -> Iterator[None]:
    """Give the parameters of a module their own gradients back when the block ends, with the values that they had.

    A backward pass inside a forward pass adds to a gradient in place. None are copied: inside the block there are none.

    >>> net = nn.Linear(1, 1)
    >>> net(torch.ones(1, 1)).sum().backward()
    >>> with gradients_set_aside(net):
    ...     net(torch.ones(1, 1)).sum().backward()
    >>> net.bias.grad.item()
    1.0
    """
    aside = [(parameter, parameter.grad) for parameter in module.parameters() if parameter.grad is not None]
    for parameter, _ in aside:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in aside:
            parameter.grad = gradient


@contextmanager
def generators_preserved(module: nn.Module | None = None) -> Iterator[None]:
    """Restore the global random generators, and those of the devices of a module, when the block ends."""
    numbers, python = np.random.get_state(), random.getstate()
    cuda = {p.device.index for p in module.parameters() if p.is_cuda} if module is not None else set()
    try:
        with torch.random.fork_rng(sorted(cuda)):
            yield
    finally:
        np.random.set_state(numbers)
        random.setstate(python)
