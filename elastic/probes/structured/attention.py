"""Attention: multi-head attention expressed by linear layers and scaled dot products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.structured.duals import Unsupported
from elastic.probes.structured.rules import rewrite


@rewrite(functional.multi_head_attention_forward)
def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention of queries [T, n, E] to keys and values [S, n, E], as torch computes it in evaluation mode."""
    dropped = dropout_p > 0 and options.get("training", True)
    _check(query, in_proj_weight, bias_k, bias_v, add_zero_attn, dropped, options)
    assert in_proj_weight is not None
    if query is key and key is value:
        q, k, v = functional.linear(query, in_proj_weight, in_proj_bias).chunk(3, dim=-1)
    else:  # the shared projection is one weight: each input passes through it whole
        q, k, v = (
            functional.linear(x, in_proj_weight, in_proj_bias).chunk(3, dim=-1)[part]
            for part, x in enumerate((query, key, value))
        )
    q, k, v = (x.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    attention = options.get("attn_mask")
    if options.get("is_causal") and options.get("key_padding_mask") is None and not options.get("need_weights", True):
        # torch then treats any mask as the causal one
        attention = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    mask = _mask(attention, options.get("key_padding_mask"), len(query[0]), num_heads, scores)
    weights = (scores if mask is None else scores + mask).softmax(dim=-1)
    attended = (weights @ v).permute(2, 0, 1, 3).flatten(2)
    output = functional.linear(attended, out_proj_weight, out_proj_bias)
    if not options.get("need_weights", True):
        return output, None
    return output, weights.mean(dim=1) if options.get("average_attn_weights", True) else weights


@rewrite(functional.scaled_dot_product_attention)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention of queries […, T, E] to keys and values […, S, E], without dropout."""
    if enable_gqa or dropout_p > 0:
        raise Unsupported("scaled_dot_product_attention", "`enable_gqa`" if enable_gqa else "dropout")
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:  # True includes a position here, and excludes it in multi-head attention
        scores = scores + _additive(~attn_mask if attn_mask.dtype == torch.bool else attn_mask, scores)
    return scores.softmax(dim=-1) @ value


def _check(
    query: Tensor, weight: Any, bias_k: Any, bias_v: Any, zero: bool, dropped: bool, options: dict[str, Any]
) -> None:
    reasons = {
        "keys and values of widths of their own": weight is None or options.get("use_separate_proj_weight", False),
        "`add_bias_kv`": bias_k is not None or bias_v is not None,
        "`add_zero_attn`": zero,
        "dropout": dropped,
        "a sequence without a batch": query.ndim != 3,
        "fixed keys or values": options.get("static_k") is not None or options.get("static_v") is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise Unsupported("MultiheadAttention", reason)


def _mask(attention: Tensor | None, padding: Tensor | None, batch: int, heads: int, scores: Tensor) -> Tensor | None:
    """Return the term added to the scores [n, heads, T, S]."""
    total: Tensor | None = None
    if attention is not None:
        mask = _additive(attention, scores)
        total = mask.unflatten(0, (batch, heads)) if mask.ndim == 3 else mask
    if padding is not None:
        mask = _additive(padding, scores)[:, None, None, :]
        total = mask if total is None else total + mask
    return total


def _additive(mask: Tensor, scores: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(scores.dtype)
    return torch.zeros(mask.shape, dtype=scores.dtype, device=mask.device).masked_fill(mask, -torch.inf)
