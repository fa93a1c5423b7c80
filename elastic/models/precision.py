"""Temporary replacement of a module's tensors: by float64 versions, or by copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from contextlib import contextmanager
from types import CellType
from typing import Any

import torch
from torch import Tensor, nn

from elastic.models.preservation import state_of
from elastic.models.state import ModuleState


@contextmanager
def in_float64(module: nn.Module, state: ModuleState | None = None) -> Iterator[None]:
    """Run a module in float64 inside the block: parameters, buffers and all other floating-point tensors it holds.

    The original tensors are not modified and are restored when the block ends.

    Parameters
    ----------
    module
        The module.
    state
        A state of the module without the values of parameters, which it has; None: it is saved here.

    Examples
    --------
    >>> net = nn.Linear(2, 1)
    >>> weight = net.weight
    >>> with in_float64(net):
    ...     net(torch.ones(1, 2, dtype=torch.float64)).dtype
    torch.float64
    >>> net.weight is weight
    True
    """
    default = torch.get_default_dtype()
    with _replaced(module, _double, state):
        torch.set_default_dtype(torch.float64)  # for tensors created in the forward pass
        try:
            yield
        finally:
            torch.set_default_dtype(default)


def double(tensor: Tensor) -> Tensor:
    """Convert floating-point tensors to float64 and complex ones to complex128; return others unchanged.

    >>> double(torch.ones(1)).dtype, double(torch.tensor([1])).dtype, double(torch.tensor([1j])).dtype
    (torch.float64, torch.int64, torch.complex128)
    """
    return tensor.to(_wide(tensor))


@contextmanager
def in_copies(module: nn.Module, state: ModuleState | None = None) -> Iterator[None]:
    """Run a module with copies of its tensors, which may be modified; ``state`` as for `in_float64`."""
    with _replaced(module, torch.clone, state):
        yield


@contextmanager
def _replaced(module: nn.Module, convert: Callable[[Tensor], Tensor], state: ModuleState | None) -> Iterator[None]:
    state = state_of(module, parameters=False) if state is None else state
    known: dict[int, Tensor] = {}

    def replace(value: Any) -> Any:
        if isinstance(value, Tensor):
            if id(value) not in known:
                known[id(value)] = _like(value, convert(value.detach()))
            return known[id(value)]
        if type(value) is tuple and any(isinstance(part, Tensor) for part in value):
            return tuple(map(replace, value))
        return value

    try:
        for container, _ in state.containers:
            _replace_in(container, replace)
        yield
    finally:
        state.restore()
        known.clear()  # `replace` references itself: without this, the copies live until garbage collection


def _replace_in(container: Any, replace: Callable[[Any], Any]) -> None:
    """Replace the tensors that a container holds."""
    if isinstance(container, CellType):
        _replace_in_cell(container, replace)
        return
    places: list[Any]
    if isinstance(container, MutableMapping):
        places = list(container)
    elif isinstance(container, MutableSequence):
        places = list(range(len(container)))
    else:  # a set: its tensors have no places
        places = []
    for place in places:
        value = container[place]
        replaced = replace(value)
        if replaced is not value:
            container[place] = replaced


def _replace_in_cell(cell: CellType, replace: Callable[[Any], Any]) -> None:
    try:
        cell.cell_contents = replace(cell.cell_contents)
    except ValueError:  # a variable that has no value yet
        return


def _like(tensor: Tensor, converted: Tensor) -> Tensor:
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(converted, requires_grad=tensor.requires_grad)
    return converted


def _double(tensor: Tensor) -> Tensor:
    """Return a float64 copy, also of float64 tensors, because it may be modified."""
    return tensor.to(_wide(tensor), copy=True)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.complex128 if tensor.is_complex() else torch.float64 if tensor.is_floating_point() else tensor.dtype
