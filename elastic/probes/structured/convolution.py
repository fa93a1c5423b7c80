"""Convolutions: products of patches, as linear layers are products of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elastic.probes.structured.arithmetic import add
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
        return dual(value, None, pending=ByKernels(steps, uses[0], geometry, x, weight, bias))
    tangent = None
    moved = tangent_of(x)
    if moved is not None:
        tangent = each_sample(lambda rows: convolve(rows, weight, None, *args, **kwargs), moved)
    for use in uses:
        if geometry.prefers_kernels(use.inputs, use.gradients):
            tangent = ByKernels(steps, use, geometry, x, weight, bias).by_step(tangent)
        else:
            tangent = by_patches(tangent, use, geometry, plain(x), moved, steps.size)
    return dual(value, tangent)


def channels_of(bias: Dual, spatial: int) -> Dual:
    """Return a bias broadcast over the channels of images."""
    ones, moved = [1] * spatial, bias.tangent
    return dual(plain(bias).view(-1, *ones), None if moved is None else moved.view(*moved.shape, *ones))


@dataclass(frozen=True)
class ByKernels:
    """The tangent of a convolution by the kernels ΔW_a, deferred until it is read.

    A batch normalisation that reads it is folded into the kernels, which costs nothing; over all pairs it would be
    three passes.
    """

    steps: Steps
    use: Use
    geometry: Geometry
    x: Tensor
    weight: Tensor
    bias: Tensor | None

    def __call__(self) -> Tensor:
        """Return Δx ⋆ W + x ⋆ ΔW_a + Δb_a."""
        return self._tangent(self.weight, *self._step())

    def normalized(self, mean: Tensor, factor: Tensor, gain: Tensor | None, shift: Tensor | None) -> Tensor:
        """Return the tangent of (y − mean) · factor + β in first order, with y the output of the convolution.

        Parameters
        ----------
        mean, factor
            [out].
        gain, shift
            [c, out] steps of factor and β.
        """
        weight = self.weight.flatten(1)
        kernels, bias = self._step()
        kernels = kernels * factor.view(-1, 1, 1, 1)
        total = torch.zeros_like(factor).expand(len(kernels), -1) if bias is None else bias * factor
        if gain is not None:
            kernels = kernels + (gain[:, :, None] * weight).view_as(kernels)
            total = total + gain * (-mean if self.bias is None else self.bias - mean)
        shared = (weight * factor[:, None]).view_as(self.weight)
        return self._tangent(shared, kernels, total if shift is None else total + shift)

    def _step(self) -> tuple[Tensor, Tensor | None]:
        use = self.use
        kernels = use.keep("kernels", lambda whole: kernels_of(whole, self.geometry))
        return kernels, use.keep("bias", bias_of) if use.biased else None

    def by_step(self, total: Tensor | None) -> Tensor:
        """Return a separate total plus (x + ηΔx) ⋆ ΔW_a + Δb_a."""
        return self._added(total, *self._step())

    def _tangent(self, weight: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
        moved = tangent_of(self.x)
        if moved is None:
            return self._added(None, kernels, bias)
        shared = (weight if weight.ndim == 4 else weight.unsqueeze(2))[None]

        def through(rows: Tensor) -> Tensor:
            images = self.geometry.convolve(rows, shared)[:, 0]
            return images if rows.ndim == 4 else images.squeeze(2)

        return self._added(each_sample(through, moved), kernels, bias)

    def _added(self, total: Tensor | None, kernels: Tensor, bias: Tensor | None) -> Tensor:
        """Return a separate total, zero if None, plus (x + ηΔx) ⋆ ΔW_a + Δb_a."""
        x, moved, size = plain(self.x), tangent_of(self.x), self.steps.size
        finite = moved is not None and size is not None
        if not finite and x.device.type != "cpu":
            tangent = self.geometry.convolve(x, kernels, bias).transpose(0, 1)
            return plus(total, tangent if x.ndim == 4 else tangent.squeeze(3))
        # Step by step: a CPU keeps the images under one kernel in its cache while it converts their layout for its
        # convolution and back. All kernels at once took eight times as long on images of one channel.
        made: Tensor | None = None
        for i, kernel in enumerate(kernels):
            inputs = x + size[i] * moved[i] if moved is not None and size is not None else x
            images = self.geometry.convolve(inputs, kernel[None], None if bias is None else bias[i : i + 1])[:, 0]
            images = images if x.ndim == 4 else images.squeeze(2)
            if total is not None:
                total[i].add_(images)
                continue
            if made is None:
                made = images.new_empty(len(kernels), *images.shape)
            made[i].copy_(images)
        found = made if total is None else total
        assert found is not None
        return found


def kernels_of(use: Use, geometry: Geometry) -> Tensor:
    """Return ΔW_a = Σ_t δ_{a,t} patch_t(h_a)ᵀ of every stepped sample, [c, out, i / groups, h, w]."""
    c, n = use.inputs.shape[:2]
    patches = geometry.patches(use.inputs.flatten(0, 1)).unflatten(1, (geometry.groups, -1)).unflatten(0, (c, n))
    delta = use.gradients.flatten(3).unflatten(2, (geometry.groups, -1))
    step = torch.einsum("cngot,cngwt->cgow", delta, patches)
    kernels: Tensor = step.flatten(1, 2).unflatten(2, (-1, *geometry.kernel))
    return kernels


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


def bias_of(use: Use) -> Tensor:
    """Return Δb_a of every stepped sample, [c, out]."""
    step: Tensor = use.gradients.flatten(3).sum((1, 3))
    return step


def plus(total: Tensor | None, term: Tensor) -> Tensor:
    """Add a term to a separate total, which may be None."""
    return term if total is None else total.add_(term)
