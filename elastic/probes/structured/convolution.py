"""Convolutions: products of patches, as linear layers are products of rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elastic.probes.structured.arithmetic import add
from elastic.probes.structured.deferred import ByKernels, bias_of, kernels_of, plus
from elastic.probes.structured.duals import Dual, Unsupported, dual, plain, tangent_of
from elastic.probes.structured.folding import each_sample
from elastic.probes.structured.geometry import Geometry
from elastic.probes.structured.linear import after, total_of
from elastic.probes.structured.paired import PairedSteps, product_of_own
from elastic.probes.structured.products import by_onednn
from elastic.probes.structured.rules import rule
from elastic.probes.structured.steps import Steps, Use


def way(weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
    """Return how a convolution reads its weight."""
    return Geometry(weight, *args, **kwargs).way


@rule(torch.conv1d, torch.conv2d, moving=("x", "weight", "bias"), way=way)
def convolution(steps: Steps, x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
    r"""Δy = Δx ⋆ W + x ⋆ ΔW_a + Δb_a, for all stepped a and observed x at once.

    The first term is one convolution of all pairs with the shared weights. The second is one with the kernels
    of all stepped samples stacked as output channels or, where there are few positions and many channels, the
    product of patches Σ_t δ_{a,t} ⟨patch_t(h_a), patch_s(x)⟩, without any kernel. For a finite step x is x + ηΔx.
    By kernels, the tangent is deferred (`deferred.ByKernels`).
    """
    convolve = torch.conv1d if weight.ndim == 3 else torch.conv2d
    if plain(x).ndim != weight.ndim:
        raise Unsupported("a convolution", "an image without a batch")
    if isinstance(weight, Dual):
        return NotImplemented
    if isinstance(bias, Dual):
        product = convolution(steps, x, weight, None, *args, **kwargs)
        shifted: Dual = add(steps, product, channels_of(bias, weight.ndim - 2))
        return shifted
    value = convolve(plain(x), weight, bias, *args, **kwargs)
    geometry = Geometry(weight, *args, **kwargs)
    if isinstance(steps, PairedSteps):
        moved, own = tangent_of(x), own_term(steps.only(weight, geometry.way, bias, plain(x)), geometry, plain(x))
        through = None if moved is None else convolve(moved[0], weight, None, *args, **kwargs)[None]
        return dual(value, total_of(through, own))
    uses = steps.of(weight, geometry.way, bias)
    if len(uses) == 1 and geometry.prefers_kernels(uses[0].inputs, uses[0].gradients):
        _ = tangent_of(x)  # one convolution at a time is deferred: a chain of them would be read recursively
        return dual(value, None, pending=ByKernels(steps, uses[0], geometry, x, weight, bias))
    tangent = None
    moved = tangent_of(x)
    if moved is not None:
        tangent = each_sample(lambda rows: convolve(rows, weight, None, *args, **kwargs), moved)
    for use in uses:
        if geometry.prefers_kernels(use.inputs, use.gradients):
            tangent = plus(tangent, ByKernels(steps, use, geometry, x, weight, bias).of_step())
        else:
            tangent = by_patches(tangent, use, geometry, plain(x), moved, steps.size)
    return dual(value, tangent)


def channels_of(bias: Dual, spatial: int) -> Dual:
    """Return a bias broadcast over the channels of images."""
    ones, moved = [1] * spatial, bias.tangent
    return dual(plain(bias).view(-1, *ones), None if moved is None else moved.view(*moved.shape, *ones))


def by_patches(
    tangent: Tensor | None, use: Use, geometry: Geometry, x: Tensor, moved: Tensor | None, size: Tensor | None
) -> Tensor:
    """Return the tangent plus Σ_t δ_{a,t} ⟨patch_t(h_a), patch_s(x)⟩ as [c, n, out, …]."""
    c = len(use.inputs)
    own = use.keep("patches", lambda whole: patches_of(whole, geometry))
    delta = use.keep("gradients", lambda whole: whole.gradients.flatten(3).transpose(1, 2).flatten(2))
    if size is not None and moved is not None:
        gram = own[:, None] @ each_sample(geometry.patches, after(x, moved, size, c))
    elif by_onednn(x):
        gram = geometry.convolve(x, own.unflatten(2, (-1, *geometry.kernel))).flatten(3).transpose(0, 1)
    else:
        gram = (own.flatten(0, 1) @ geometry.patches(x)).unflatten(1, (c, -1)).transpose(0, 1)
    shape = use.gradients.shape[3:]
    if tangent is None:
        tangent = torch.stack([d @ g for d, g in zip(delta, gram, strict=True)]).unflatten(3, shape)
    else:
        for total, d, g in zip(tangent, delta, gram, strict=True):
            total.add_((d @ g).view_as(total))
    if use.biased:
        step = use.keep("bias", bias_of)
        tangent += step.view(len(step), 1, -1, *[1] * len(shape))
    return tangent


def own_term(use: Use | None, geometry: Geometry, x: Tensor) -> Tensor | None:
    """Return h_a ⋆ ΔW_a + Δb_a of each stepped sample itself, [c, out, …]; None if no step is of the weight."""
    if use is None:
        return None
    shape = use.gradients.shape[2:]
    if geometry.prefers_kernels(use.inputs, use.gradients):
        kernels = use.keep("kernels", lambda whole: kernels_of(whole, geometry))
        parts = [geometry.convolve(x[i : i + 1], kernels[i : i + 1])[:, 0] for i in range(len(kernels))]
        term = torch.cat(parts).view(len(parts), *shape)
    else:
        own = use.keep("patches", lambda whole: patches_of(whole, geometry))
        term = product_of_own(own, use.gradients[:, 0].flatten(2).mT).mT.reshape(len(own), *shape)
    return term + bias_of(use).view(len(term), -1, *[1] * (len(shape) - 1)) if use.biased else term


def patches_of(use: Use, geometry: Geometry) -> Tensor:
    """Return the patches of every stepped sample as [c, positions, width]."""
    patches = geometry.patches(use.inputs.flatten(0, 1)).unflatten(0, use.inputs.shape[:2])
    rows: Tensor = patches.mT.flatten(1, 2).contiguous()
    return rows
