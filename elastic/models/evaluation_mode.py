"""Evaluation mode in nested blocks, which share one saved state of a module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import nn

from elastic.models.preservation import entered, generators_preserved, preserved, state_kept, state_of
from elastic.models.state import ModuleState


@dataclass
class _Open:
    """A block of `evaluated` that has not ended: its module, in evaluation mode, and the state in which it began."""

    module: nn.Module
    state: ModuleState
    parameters: bool
    is_open: bool = True

    def serves(self, module: nn.Module, parameters: bool) -> bool:
        """Whether a block for a module can leave its state to this one."""
        return self.is_open and self.module is module and (self.parameters or not parameters)


#: Blocks that enclose the present one. Of a generator that is dropped in another context the entry stays, closed.
_OPEN: ContextVar[tuple[_Open, ...]] = ContextVar("open_blocks_of_evaluated", default=())


@contextmanager
def evaluated(module: nn.Module, *, parameters: bool = False) -> Iterator[ModuleState]:
    """Keep a module in evaluation mode inside the block; restore it and the random generators afterwards.

    A block inside another one for the same module uses the state that the outer block has saved: saving a large module
    takes as long as a forward pass of a few samples.

    Parameters
    ----------
    module
        The module.
    parameters
        Whether to restore the values of parameters as well, from a copy, when the outermost block ends that does so.

    Yields
    ------
    ModuleState
        The state of the module in evaluation mode without the values of parameters, to restore it within the block.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> with evaluated(net) as outer, evaluated(net) as inner:
    ...     net.training, inner is outer
    (False, True)
    >>> net.training
    True
    """
    known = next((block for block in reversed(_OPEN.get()) if block.serves(module, parameters)), None)
    if known is None:
        with preserved(module, parameters=parameters):
            module.eval()
            state = state_of(module, parameters=False)
            with state_kept(module, state), entered(_OPEN, _Open(module, state, parameters)):
                yield state
        return
    with generators_preserved(module):
        if any(part.training for part in module.modules()):
            module.eval()
        try:
            yield known.state
        finally:
            with torch.no_grad():
                known.state.restore()
