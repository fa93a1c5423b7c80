"""Embeddings: the per-sample gradient of a row is the sum of δ over the positions that looked it up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.structured.duals import Dual, Unsupported, dual, plain
from elastic.probes.structured.propagation import Steps
from elastic.probes.structured.rules import rule


@rule(functional.embedding, factored=True)
def embedding(
    steps: Steps,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    *_: Any,
    **__: Any,
) -> Dual:
    """Δy_s = Σ_t [token_s(x) = token_t(a)] δ_{a,t}."""
    if max_norm is not None:
        raise Unsupported("an embedding with `max_norm`", "rows that are rescaled in the forward pass")
    tokens = plain(input)
    value = functional.embedding(tokens, plain(weight))
    tangent: Tensor | None = None
    for use in steps.of(weight):
        own, delta = use.inputs.flatten(1), use.gradients.flatten(1, -2)
        match = own[:, None, :] == tokens.reshape(1, -1, 1)
        if padding_idx is not None:
            match = match & (own != padding_idx % len(weight))[:, None, :]
        term = torch.bmm(match.to(delta.dtype), delta).view(len(own), *value.shape)
        tangent = term if tangent is None else tangent + term
    return dual(value, tangent)
