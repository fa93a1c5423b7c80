"""Saving and restoring one tensor."""

from __future__ import annotations

import torch
from torch import Tensor


class SavedTensor:
    """One tensor: its memory, its values, and whether it takes gradients."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.alias = tensor, tensor.detach()
        self.values = self.alias.clone()
        self.requires_grad = tensor.requires_grad
        self.grad = tensor.grad if tensor.is_leaf else None

    def restore(self) -> None:
        """Write what differs."""
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
