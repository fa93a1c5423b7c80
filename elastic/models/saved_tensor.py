"""Saving and restoring tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor


class SavedTensor:
    """One tensor: its memory, its values, and whether it takes gradients."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.alias = tensor, tensor.detach()
        self.values = self.alias.clone()
        self.requires_grad = tensor.requires_grad
        self.grad = tensor.grad if tensor.is_leaf else None

    def restore_identity(self) -> None:
        """Restore the tensor's memory, and whether and with what it takes gradients; not its values."""
        tensor = self.tensor
        if tensor.is_leaf and tensor.grad is not self.grad:
            tensor.grad = self.grad
        if tensor.is_leaf and tensor.requires_grad != self.requires_grad:
            tensor.requires_grad_(self.requires_grad)
        if not _same_memory(tensor, self.alias):
            tensor.data = self.alias

    def restore_values(self) -> None:
        """Write the saved values through `data`, which counts no version: pending autograd graphs stay valid."""
        self.tensor.data.copy_(self.values)


def restore_tensors(saved: Iterable[SavedTensor]) -> None:
    """Write what differs.

    On a GPU each comparison would wait for all work before it, so that its tensors are compared together: the CPU
    waits once for each device.

    >>> held = torch.zeros(2)
    >>> saved = SavedTensor(held)
    >>> held[0] = 1.0
    >>> restore_tensors([saved])
    >>> held.tolist()
    [0.0, 0.0]
    """
    elsewhere = defaultdict(list)
    for one in saved:
        one.restore_identity()
        if one.alias.device.type == "cpu" or one.alias.layout != torch.strided:
            if not torch.equal(one.alias, one.values):
                one.restore_values()
        else:
            elsewhere[one.alias.device].append(one)
    for group in elsewhere.values():
        for one, differs in zip(group, _differing(group), strict=True):
            if differs:
                one.restore_values()


def _differing(group: list[SavedTensor]) -> list[bool]:
    """Return which tensors of one device differ from their saved values; a NaN differs from itself."""
    differ: list[bool] = torch.stack([(one.alias != one.values).any() for one in group]).tolist()
    return differ


def _same_memory(tensor: Tensor, alias: Tensor) -> bool:
    if tensor.shape != alias.shape or tensor.dtype != alias.dtype or tensor.layout != alias.layout:
        return False
    return tensor.layout != torch.strided or tensor.data_ptr() == alias.data_ptr()
