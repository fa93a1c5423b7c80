"""Linear layers: the per-sample gradient of a weight is a sum of outer products δ hᵀ over positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.structured.arithmetic import add, matmul
from elastic.probes.structured.duals import Dual, Unsupported, dual, plain, tangent_of
from elastic.probes.structured.paired import PairedSteps, product_of_own
from elastic.probes.structured.products import by_rows
from elastic.probes.structured.rules import rule
from elastic.probes.structured.steps import Steps, Use


def way(weight: Tensor, bias: Tensor | None = None) -> Any:
    """Return how a linear layer reads its weight."""
    return "rows" if weight.ndim == 2 else None


@rule(functional.linear, moving=("x", "weight", "bias"), way=way)
def linear(steps: Steps, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Dual:
    r"""Δy = Δx Wᵀ + Σ_t (h_{a,t}·x) δ_{a,t} + Σ_t δ_{a,t}, for all stepped a and observed x at once.

    Neither ΔW = Σ_t δ_{a,t} h_{a,t}ᵀ nor W + ΔW is formed, unless there are so many positions t that it is
    smaller than its factors. For a finite step x is the moved input x + ηΔx.
    """
    if plain(x).ndim < 2 or weight.ndim < 2:
        raise Unsupported("`linear`", "a vector")
    if isinstance(weight, Dual) or isinstance(bias, Dual):
        if isinstance(weight, Dual) and steps.factored(bias):
            raise Unsupported("`linear`", "a bias that observed samples read in another way than stepped ones")
        product = matmul(steps, x, transposed(weight)) if isinstance(weight, Dual) else linear(steps, x, weight)
        shifted: Dual = product if bias is None else add(steps, product, bias)
        return shifted
    value = functional.linear(plain(x), weight, bias)
    rows, moved = plain(x).reshape(-1, weight.shape[1]), tangent_of(x)
    moved_rows = None if moved is None else moved.reshape(len(moved), *rows.shape)
    tangent: Tensor | None = None
    if moved_rows is not None:
        flat = moved_rows.reshape(-1, weight.shape[1])
        tangent = by_rows(flat, weight).view(*moved_rows.shape[:2], -1)
    if isinstance(steps, PairedSteps):
        own = own_term(steps.only(weight, way(weight), bias, plain(x)))
        return dual(value, total_of(None if tangent is None else tangent.view(1, *value.shape), own))
    for use in steps.of(weight, way(weight), bias):
        tangent = with_weight_term(tangent, use, rows, moved_rows, steps.size)
    return dual(value, None if tangent is None else tangent.view(len(tangent), *value.shape))


def transposed(weight: Tensor) -> Tensor:
    """Return a matrix, which may be stepped itself, transposed."""
    moved = tangent_of(weight)
    return plain(weight).mT if moved is None else dual(plain(weight).mT, moved.mT)


def with_weight_term(total: Tensor | None, use: Use, rows: Tensor, moved: Tensor | None, size: Tensor | None) -> Tensor:
    """Return a separate total plus (x + ηΔx) ΔWᵀ + Δb as [c, n, out], for rows [n, in], their tangents [c, n, in].

    For one position the term is an outer product, which is added in the pass that computes it.
    """
    h, delta = use.inputs.flatten(1, -2), use.gradients.flatten(1, -2)
    c, positions, wide = h.shape
    if positions * (wide + delta.shape[2]) > wide * delta.shape[2]:
        term = torch.bmm(after(rows, moved, size, c), use.keep("weight", weight_of))
        if use.biased:
            term.add_(delta.sum(1, keepdim=True))
        return term if total is None else total.add_(term)
    gram = by_rows(h.reshape(-1, wide), rows).view(c, positions, -1).mT
    if size is not None and moved is not None:
        gram = gram + size[:, None, None] * torch.bmm(moved, h.mT)
    if use.biased:
        gram = gram + 1
    if positions == 1:
        return gram * delta if total is None else total.addcmul_(gram, delta)
    term = torch.bmm(gram, delta)
    return term if total is None else total.add_(term)


def own_term(use: Use | None) -> Tensor | None:
    """Return h_a ΔW_aᵀ + Δb_a of each stepped sample itself, [c, …]; None if no step is of the weight."""
    if use is None:
        return None
    h, delta = use.inputs.flatten(1, -2), use.gradients.flatten(1, -2)
    term = product_of_own(h, delta)
    if use.biased:
        term = term + delta.sum(1, keepdim=True)
    return term.view(len(h), *use.gradients.shape[2:])


def total_of(through: Tensor | None, own: Tensor | None) -> Tensor | None:
    """Return the sum of a separate tangent [1, c, …] and a term [c, …]; either may be zero."""
    if own is None:
        return through
    return own[None] if through is None else through.add_(own)


def weight_of(use: Use) -> Tensor:
    """Return ΔWᵀ_a = Σ_t h_{a,t} δᵀ_{a,t} of every stepped sample, [c, in, out]."""
    return torch.bmm(use.inputs.flatten(1, -2).mT, use.gradients.flatten(1, -2))


def after(rows: Tensor, moved: Tensor | None, size: Tensor | None, count: int) -> Tensor:
    """Return the inputs after the step, x + ηΔx as [c, …]: in first order the inputs themselves."""
    if size is None or moved is None:
        return rows.expand(count, *rows.shape)
    return rows + size.view(-1, *[1] * rows.ndim) * moved
