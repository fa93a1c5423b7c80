"""Sums and products: residual connections, affine maps, gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elastic.probes.structured.duals import Dual, dual, plain, tangent_of
from elastic.probes.structured.rules import rule
from elastic.probes.structured.steps import Steps


def spread(moved: Tensor, ndim: int) -> Tensor:
    """Return tangents [c, …] with axes of length 1 after the first, so that they broadcast as values of ``ndim`` do."""
    return moved.view(len(moved), *[1] * (ndim + 1 - moved.ndim), *moved.shape[1:])


@rule(torch.add, Tensor.add, Tensor.__radd__, moving=("x", "y"))
def add(steps: Steps, x: Any, y: Any, *, alpha: float = 1) -> Any:
    """Δ(x + αy) = Δx + αΔy."""
    if not isinstance(x, Tensor):
        return NotImplemented
    value = torch.add(plain(x), plain(y), alpha=alpha)
    moved, other = tangent_of(x), tangent_of(y)
    if other is not None and alpha != 1:
        other = alpha * other
    return dual(value, total(value, moved, other))


@rule(torch.sub, Tensor.sub, moving=("x", "y"))
def subtract(steps: Steps, x: Any, y: Any, *, alpha: float = 1) -> Dual:
    """Δ(x − αy) = Δx − αΔy."""
    result: Dual = add(steps, x, y, alpha=-alpha)
    return result


def total(value: Tensor, moved: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Return the sum of two tangents as a tangent of a value."""
    terms = [spread(t, value.ndim) for t in (moved, other) if t is not None]
    if len(terms) == 2:
        return terms[0] + terms[1]
    return terms[0].expand(len(terms[0]), *value.shape) if terms else None


@rule(torch.flatten, Tensor.flatten)
def flatten(steps: Steps, x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Dual:
    """Δ(flattened x) is Δx, flattened: a separate rule because most classifiers do it."""
    value, moved = plain(x).flatten(start_dim, end_dim), tangent_of(x)
    first, last = (dim % x.ndim + 1 for dim in (start_dim, end_dim))
    return dual(value, None if moved is None else moved.flatten(first, last))


@rule(torch.mul, Tensor.mul, Tensor.__rmul__, moving=("x", "y"))
def multiply(steps: Steps, x: Any, y: Any) -> Dual:
    """Δ(xy) = Δx y + x Δy (+ ηΔxΔy for a finite step)."""
    return dual(plain(x) * plain(y), product(steps, x, y))


def product(steps: Steps, x: Any, y: Any) -> Tensor | None:
    """Return the tangent of xy."""
    moved, other = tangent_of(x), tangent_of(y)
    ndim: int = max(v.ndim for v in (x, y) if isinstance(v, Tensor))
    alone: Tensor
    if other is None:
        if moved is None:
            return None
        alone = spread(moved, ndim) * plain(y)
        return alone
    if moved is None:
        alone = spread(other, ndim) * plain(x)
        return alone
    y_after = plain(y)
    if steps.size is not None:
        y_after = y_after + steps.size.view(-1, *[1] * ndim) * spread(other, ndim)
    both: Tensor = torch.addcmul(spread(moved, ndim) * y_after, spread(other, ndim), plain(x))
    return both


@rule(torch.addcmul, moving=("bias", "x", "weight"))
def affine(steps: Steps, bias: Any, x: Any, weight: Any) -> Dual:
    """Δ(b + xw) = Δb + Δ(xw)."""
    value = torch.addcmul(plain(bias), plain(x), plain(weight))
    tangent, shift = product(steps, x, weight), tangent_of(bias)
    if tangent is None or shift is None:
        return dual(value, total(value, tangent, shift))
    return dual(value, tangent.add_(spread(shift, value.ndim)))


@rule(torch.div, Tensor.div, Tensor.__truediv__, torch.true_divide, moving=("x", "y"))
def divide(steps: Steps, x: Any, y: Any) -> Dual:
    """Δ(x/y) = (Δx − (x/y) Δy) / (y + ηΔy)."""
    value = torch.div(plain(x), plain(y))
    moved, other = tangent_of(x), tangent_of(y)
    if moved is None and other is None:
        return dual(value, None)
    below = plain(y)
    change = None if moved is None else spread(moved, value.ndim)
    if other is not None:
        other = spread(other, value.ndim)
        change = -value * other if change is None else change - value * other
        below = below if steps.size is None else below + steps.along(other) * other
    return dual(value, change / below)


@rule(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, moving=("x", "y"))
def matmul(steps: Steps, x: Tensor, y: Tensor) -> Any:
    """Δ(xy) = Δx (y + ηΔy) + x Δy, for matrices in batches."""
    if min(x.ndim, y.ndim) < 2:
        return NotImplemented  # vectors
    value, moved, other = plain(x) @ plain(y), tangent_of(x), tangent_of(y)
    ndim = value.ndim
    tangent = None if other is None else plain(x) @ spread(other, ndim)
    if moved is not None:
        after = plain(y)
        if other is not None and steps.size is not None:
            after = after + steps.along(spread(other, ndim)) * spread(other, ndim)
        left = spread(moved, ndim) @ after
        tangent = left if tangent is None else left + tangent
    return dual(value, tangent)
