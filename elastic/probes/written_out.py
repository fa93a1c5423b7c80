"""Functions without a forward derivative in torch, expressed in others that have one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Reduce the rows of bags [n, tokens], or of bags [tokens] that begin at ``offsets`` [n], to [n, d].

    >>> bags, weight = torch.tensor([[0, 1, 1]]), torch.tensor([[3.0], [6.0]])
    >>> embedding_bag(bags, weight).item(), embedding_bag(bags, weight, mode="sum", padding_idx=0).item()
    (5.0, 12.0)

    Raises
    ------
    NotImplementedError
        For rows that are rescaled in the forward pass, and the maximum of bags with offsets.
    """
    if max_norm is not None or (mode == "max" and input.ndim == 1):
        raise NotImplementedError("embedding_bag with max_norm, or the largest of bags with offsets")
    padding = None if padding_idx is None else padding_idx % len(weight)
    rows = functional.embedding(input, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    taken = torch.ones_like(input, dtype=torch.bool) if padding is None else input != padding
    if mode == "max":
        highest = rows.masked_fill(~taken[:, :, None], -torch.inf).max(1).values
        return highest.masked_fill(~taken.any(1, keepdim=True), 0.0)
    factors = taken.to(weight.dtype) if per_sample_weights is None else taken * per_sample_weights
    if input.ndim == 1:
        starts = offsets[:-1] if include_last_offset else offsets
        place = torch.searchsorted(starts, torch.arange(len(input), device=input.device), right=True) - 1
        bags = functional.one_hot(place, len(starts)).to(weight.dtype).T
        total, counts = bags @ (rows * factors[:, None]), bags @ taken.to(weight.dtype)[:, None]
    else:
        total, counts = (rows * factors[:, :, None]).sum(1), taken.sum(1, keepdim=True)
    return total if mode == "sum" else total / counts.clamp(min=1)


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """Return g v/‖v‖, the norm over all axes but one.

    >>> weight_norm(torch.tensor([[3.0, 4.0]]), torch.tensor([[10.0]])).tolist()
    [[6.0, 8.0]]
    """
    others = [axis for axis in range(v.ndim) if dim == -1 or axis != dim % v.ndim]
    return v * (g / (v * v).sum(others, keepdim=True).sqrt())


def batch_norm(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return a batch normalised by running statistics that also move."""
    if training:
        raise NotImplementedError("batch normalisation by statistics of the batch")
    channels = (-1, *[1] * (input.ndim - 2))
    normal = (input - running_mean.view(channels)) / (running_var + eps).sqrt().view(channels)
    normal = normal if weight is None else normal * weight.view(channels)
    return normal if bias is None else normal + bias.view(channels)


def distances(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Return the distances […, P, R] of points […, P, d] and […, R, d].

    >>> distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[5.0, 1.0]]
    """
    between: Tensor = torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, dim=-1)
    return between


#: Substitute expressions, by torch function.
WRITTEN_OUT: dict[Any, Any] = {
    functional.embedding_bag: embedding_bag,
    torch._weight_norm: weight_norm,
    torch.cdist: distances,
}
