"""Embeddings: the per-sample gradient of a row is the sum of δ over the positions that looked it up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.structured.duals import Dual, Unsupported, dual, plain
from elastic.probes.structured.rules import rule
from elastic.probes.structured.steps import Steps


def way(
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Return how an embedding reads its weight."""
    if max_norm is not None:
        raise Unsupported("an embedding with `max_norm`", "rows that are rescaled in the forward pass")
    if scale_grad_by_freq:
        raise Unsupported("an embedding with `scale_grad_by_freq`", "gradients that depend on the batch")
    return "lookup", None if padding_idx is None else padding_idx % len(weight)


@rule(functional.embedding, moving=("weight",), way=way)
def embedding(
    steps: Steps,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Δy_s = Σ_t [token_s(x) = token_t(a)] δ_{a,t}."""
    read = way(weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if isinstance(weight, Dual):
        return NotImplemented
    tokens = plain(input)
    value = functional.embedding(tokens, weight)
    tangent: Tensor | None = None
    for use in steps.of(weight, read):
        own, delta = use.inputs.flatten(1), use.gradients.flatten(1, -2)
        match = own[:, None, :] == tokens.reshape(1, -1, 1)
        if read[1] is not None:
            match = match & (own != read[1])[:, None, :]
        term = torch.bmm(match.to(delta.dtype), delta).view(len(own), *value.shape)
        tangent = term if tangent is None else tangent + term
    return dual(value, tangent)
