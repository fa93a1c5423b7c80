"""Folding: stepped and observed samples as one batch, for functions that treat samples independently."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def each_sample(function: Callable[[Tensor], Tensor], moved: Tensor) -> Tensor:
    """Apply a function of batches [n, …] to tangents [c, n, …], in the order in which they lie in memory.

    >>> import torch
    >>> each_sample(lambda batch: batch.sum(1), torch.ones(2, 3, 4)).tolist()
    [[4.0, 4.0, 4.0], [4.0, 4.0, 4.0]]
    """
    if observed_first(moved):
        return each_sample(function, moved.transpose(0, 1)).transpose(0, 1)
    folded: Tensor = function(moved.flatten(0, 1)).unflatten(0, moved.shape[:2])
    return folded


def observed_first(moved: Tensor) -> bool:
    """Whether tangents [c, n, …] are stored in memory as [n, c, …]."""
    return moved.ndim > 1 and moved.stride(0) < moved.stride(1)
