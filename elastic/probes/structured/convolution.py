"""Convolutions: products of patches, as linear layers are products of rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.structured.duals import Dual, differentiated, dual, plain, tangent_of
from elastic.probes.structured.folding import each_sample
from elastic.probes.structured.linear import after
from elastic.probes.structured.propagation import Steps, Use
from elastic.probes.structured.rules import rule


@rule(torch.conv1d, torch.conv2d, factored=True)
def convolution(steps: Steps, x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Dual:
    r"""Δy = Δx ⋆ W + x ⋆ ΔW_a + Δb_a, for all stepped a and observed x at once.

    The first term is one convolution of all pairs with the shared weights. The second is one with the kernels
    of all stepped samples stacked as output channels or, where there are few positions and many channels, the
    product of patches Σ_t δ_{a,t} ⟨patch_t(h_a), patch_s(x)⟩, without any kernel. For a finite step x is x + ηΔx.
    """
    convolve = torch.conv1d if weight.ndim == 3 else torch.conv2d
    if isinstance(weight, Dual) or isinstance(bias, Dual):
        return differentiated(convolve, (x, weight, bias, *args), kwargs)
    moved, tangent = tangent_of(x), None
    value = convolve(plain(x), weight, bias, *args, **kwargs)
    if moved is not None:
        tangent = each_sample(lambda rows: convolve(rows, weight, None, *args, **kwargs), moved)
    for use in steps.of(weight):
        geometry = Geometry.of(weight, *args, **kwargs)
        if geometry.prefers_kernels(use.inputs, use.gradients):
            tangent = plus(tangent, by_kernels(use, geometry, plain(x), moved, steps.size))
        else:
            tangent = by_patches(tangent, use, geometry, plain(x), moved, steps.size)
        if use.biased:
            step = use.keep("bias", lambda use=use: use.gradients.flatten(3).sum((1, 3)))  # type: ignore[misc]
            tangent += step.view(len(step), 1, -1, *[1] * (value.ndim - 2))
    return dual(value, tangent)


class Geometry:
    """Stride, padding, dilation and groups of a convolution in two dimensions (one has height 1)."""

    def __init__(self, weight: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> None:
        spatial = weight.ndim - 2
        self.kernel = self._pair(tuple(weight.shape[2:]), 1, spatial)
        self.stride, self.dilation = self._pair(stride, 1, spatial), self._pair(dilation, 1, spatial)
        self.groups, self.out, self.width = groups, weight.shape[0], weight[0].numel()
        self.padding = self._pad(padding, spatial)

    @classmethod
    def of(cls, weight: Tensor, *args: Any, **kwargs: Any) -> Geometry:
        """Return the geometry of a call's arguments after weight and bias."""
        return cls(weight, *args, **kwargs)

    @staticmethod
    def _pair(numbers: Any, alone: int, spatial: int) -> tuple[int, int]:
        given = (numbers,) * spatial if isinstance(numbers, int) else tuple(numbers) * (spatial // len(numbers))
        return (alone, given[0]) if spatial == 1 else (given[0], given[1])

    def _pad(self, padding: Any, spatial: int) -> tuple[int, int, int, int]:
        """Return padding left, right, above and below."""
        if padding == "same":  # the odd one goes behind, as torch does it
            above, left = (d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True))
            return left // 2, left - left // 2, above // 2, above - above // 2
        above, left = self._pair(0 if padding == "valid" else padding, 0, spatial)
        return left, left, above, above

    def padded(self, x: Tensor) -> Tensor:
        """Return images [n, i, h, w], padded."""
        x = x if x.ndim == 4 else x.unsqueeze(2)
        return functional.pad(x, self.padding) if any(self.padding) else x

    def patches(self, x: Tensor) -> Tensor:
        """Return [n, groups · width, positions] of images [n, i, …]."""
        return functional.unfold(self.padded(x), self.kernel, self.dilation, stride=self.stride)

    def prefers_kernels(self, inputs: Tensor, gradients: Tensor) -> bool:
        """Whether kernels are cheaper than patches against patches (which are written out for one group only)."""
        positions = gradients.flatten(3).shape[3] * gradients.shape[1]
        return self.groups > 1 or positions * (self.width + self.out) > self.width * self.out

    def convolve(self, x: Tensor, kernels: Tensor) -> Tensor:
        """Return [n, c, out, h, w]: images under the kernels [c, out, i, h, w] of c stepped samples."""
        c = len(kernels)
        stacked = kernels.unflatten(1, (self.groups, -1)).transpose(0, 1).flatten(0, 2)
        y = functional.conv2d(self.padded(x), stacked, None, self.stride, 0, self.dilation, self.groups)
        return y.unflatten(1, (self.groups, c, -1)).transpose(1, 2).flatten(2, 3)


def kernels_of(use: Use, geometry: Geometry) -> Tensor:
    """Return ΔW_a = Σ_t δ_{a,t} patch_t(h_a)ᵀ of every stepped sample, [c, out, i / groups, h, w]."""
    c, n = use.inputs.shape[:2]
    patches = geometry.patches(use.inputs.flatten(0, 1)).unflatten(1, (geometry.groups, -1)).unflatten(0, (c, n))
    delta = use.gradients.flatten(3).unflatten(2, (geometry.groups, -1))
    step = torch.einsum("cngot,cngwt->cgow", delta, patches)
    return step.flatten(1, 2).unflatten(2, (-1, *geometry.kernel))


def by_kernels(use: Use, geometry: Geometry, x: Tensor, moved: Tensor | None, size: Tensor | None) -> Tensor:
    """Return x ⋆ ΔW_a as [c, n, out, …]."""
    kernels = use.keep("kernels", lambda: kernels_of(use, geometry))
    if size is None or moved is None:
        term = geometry.convolve(x, kernels).transpose(0, 1)
    else:
        moved_inputs = after(x, moved, size, len(kernels))
        term = torch.stack([geometry.convolve(x, k[None])[:, 0] for x, k in zip(moved_inputs, kernels, strict=True)])
    return term if x.ndim == 4 else term.squeeze(3)


def by_patches(
    tangent: Tensor | None, use: Use, geometry: Geometry, x: Tensor, moved: Tensor | None, size: Tensor | None
) -> Tensor:
    """Return the tangent plus Σ_t δ_{a,t} ⟨patch_t(h_a), patch_s(x)⟩ as [c, n, out, …]."""
    c, images = use.inputs.shape[:2]
    own = use.keep("patches", lambda: geometry.patches(use.inputs.flatten(0, 1)).unflatten(0, (c, images)).mT.flatten(1, 2))
    delta = use.keep("gradients", lambda: use.gradients.flatten(3).transpose(1, 2).flatten(2))
    if size is None or moved is None:
        gram = (own.flatten(0, 1) @ geometry.patches(x)).unflatten(1, (c, -1)).transpose(0, 1)
    else:
        theirs = each_sample(geometry.patches, after(x, moved, size, c))
        gram = own[:, None] @ theirs
    shape = use.gradients.shape[3:]
    if tangent is None:
        return torch.stack([d @ g for d, g in zip(delta, gram, strict=True)]).unflatten(3, shape)
    for total, d, g in zip(tangent, delta, gram, strict=True):
        total.add_((d @ g).view_as(total))
    return tangent


def plus(total: Tensor | None, term: Tensor) -> Tensor:
    """Add a term to a total of one's own, which may not have begun."""
    return term if total is None else total.add_(term)
