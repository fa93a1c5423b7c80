"""Normalisation layers, expressed so that their affine parameters are separate steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.structured.deferred import ByKernels, plus
from elastic.probes.structured.duals import Dual, Unsupported, dual, plain, tangent_of
from elastic.probes.structured.paired import PairedSteps, Unpaired
from elastic.probes.structured.rules import rewrite, rule
from elastic.probes.structured.steps import Steps


@rewrite(functional.batch_norm)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation by running statistics: an affine map of each channel."""
    if training or running_mean is None or running_var is None:
        raise Unsupported("batch normalisation", "statistics of the batch, which couple its samples")
    scale = (running_var + eps).rsqrt()
    return per_channel(input - across(running_mean, input), weight, bias, scale)


@rule(functional.batch_norm, moving=("input", "weight", "bias"))
def stepped_batch_norm(
    steps: Steps,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Dual:
    """Δy = Δx (s + ηΔs) + (x − mean) Δs + Δβ with s = γ/σ; folded into the kernels of a convolution that made x."""
    if training or running_mean is None or running_var is None:
        raise Unsupported("batch normalisation", "statistics of the batch, which couple its samples")
    value = functional.batch_norm(plain(input), running_mean, running_var, plain(weight), plain(bias), eps=eps)
    scale = (running_var + eps).rsqrt()
    factor = scale if weight is None else scale * plain(weight)
    step, shift = tangent_of(weight), tangent_of(bias)
    gain = None if step is None else step * scale
    pending = input.pending if isinstance(input, Dual) else None
    if isinstance(pending, ByKernels) and steps.size is None:
        return dual(value, None, pending=pending.normalized(running_mean, factor, gain, shift))
    moved = tangent_of(input)
    if isinstance(steps, PairedSteps):
        gain, shift = (own_channels(step, value) for step in (gain, shift))
    total: Tensor | None = None
    if moved is not None:
        both = factor if gain is None or steps.size is None else factor + steps.along(gain) * gain
        total = moved * channelwise(both, value)
    if gain is not None:
        total = plus(total, (plain(input) - across(running_mean, value)) * channelwise(gain, value))
    if shift is not None:
        total = plus(total, channelwise(shift, value).expand(-1, *value.shape))
    return dual(value, total)


def own_channels(step: Tensor | None, value: Tensor) -> Tensor | None:
    """Return steps [c, channels] of samples each under its own, as [1, c, channels, …].

    Raises
    ------
    Unpaired
        If a value [c, channels, …] is not one of each sample.
    """
    if step is not None and len(step) != len(value):
        raise Unpaired
    return None if step is None else step.view(1, *step.shape, *[1] * (value.ndim - 2))


def channelwise(step: Tensor, value: Tensor) -> Tensor:
    """Return numbers of channels, [channels] or [c, channels], for broadcasting over tangents of [n, channels, …].

    Those of `own_channels` are not changed.
    """
    if step.ndim > value.ndim:
        return step
    return step.view(*step.shape[:-1], 1, -1, *[1] * (value.ndim - 2))


@rewrite(functional.layer_norm)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalisation, then its affine map."""
    dims = tuple(range(-len(normalized_shape), 0))
    centred = input - input.mean(dims, keepdim=True)
    normal = centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    if weight is None:
        return normal if bias is None else normal + bias
    return normal * weight if bias is None else torch.addcmul(bias, normal, weight)


@rewrite(functional.group_norm)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalisation of each group of channels, then the affine map of each channel."""
    groups = input.unflatten(1, (num_groups, -1))
    normal = layer_norm(groups, groups.shape[2:], None, None, eps).flatten(1, 2)
    return per_channel(normal, weight, bias)


def per_channel(x: Tensor, weight: Tensor | None, bias: Tensor | None, scale: Tensor | None = None) -> Tensor:
    """Return x · weight · scale + bias, with one number of each per channel."""
    factor = scale if weight is None else weight if scale is None else weight * scale
    if factor is None:
        return x if bias is None else x + across(bias, x)
    if bias is None:
        return x * across(factor, x)
    return torch.addcmul(across(bias, x), x, across(factor, x))


def across(channels: Tensor, x: Tensor) -> Tensor:
    """Return [1, channels, 1, …], for broadcasting over x [n, channels, …]."""
    return channels.view(1, -1, *[1] * (x.ndim - 2))
