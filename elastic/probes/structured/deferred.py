"""Deferred tangents: those of convolutions by kernels, computed when they are read, one stepped sample after another.

Between two functions the tangents of all stepped samples leave the cache. What follows a convolution is therefore
made part of it: a batch normalisation is folded into its kernels, the places that a pooling takes and the slopes of an
activation are applied to the images of one stepped sample while they are in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from elastic.probes.structured.duals import plain, tangent_of
from elastic.probes.structured.folding import each_sample, observed_first
from elastic.probes.structured.geometry import Geometry
from elastic.probes.structured.steps import Steps, Use

#: Fewer numbers of a stepped sample's tangent take less time in one convolution of all stepped samples.
ALONE = 2**14


@dataclass(frozen=True)
class Deferred:
    """The tangent Δx ⋆ W + (x + ηΔx) ⋆ K_a + b_a of every stepped sample a, computed when it is read.

    Attributes
    ----------
    geometry
        Of the convolution.
    x
        Its input, which may move.
    size
        None in first order; else the length η of each step.
    weight
        W; None to leave out the first term.
    kernels, bias
        K [c, out, …] and b [c, out] of each stepped sample.
    taken
        A linear function of tangents [c, n, …], one sample at a time, that is applied to the tangent.
    """

    geometry: Geometry
    x: Tensor
    size: Tensor | None
    weight: Tensor | None
    kernels: Tensor
    bias: Tensor | None
    taken: Callable[[Tensor], Tensor] | None = None

    def then(self, function: Callable[[Tensor], Tensor]) -> Deferred:
        """Return a linear function of this tangent, deferred as well."""
        first = self.taken
        return replace(self, taken=function if first is None else lambda moved: function(first(moved)))

    def __call__(self, gain: Tensor | None = None) -> Tensor:
        """Return the tangent [c, n, …], times a gain [n, …]."""
        x, moved = plain(self.x), tangent_of(self.x)
        finite = moved is not None and self.size is not None
        if not finite and x.device.type != "cpu":
            return self._at_once(x, moved, gain)
        # Step by step: a CPU keeps the images under one kernel in its cache while it converts their layout for its
        # convolution and back. All kernels at once took eight times as long on images of one channel.
        through = None
        if moved is not None and self.weight is not None and (moved[0].numel() < ALONE or observed_first(moved)):
            through = self._through(moved)
        made: Tensor | None = None
        for i in range(len(self.kernels)):
            images = self._images(x if not finite else x + self.size[i] * moved[i], i)  # type: ignore[index]
            if through is not None:
                images.add_(through[i])
            elif moved is not None and self.weight is not None:
                images.add_(self._through(moved[i : i + 1])[0])
            moved_images = images if self.taken is None else self.taken(images[None])[0]
            if made is None:
                made = moved_images.new_empty(len(self.kernels), *moved_images.shape)
            made[i].copy_(moved_images) if gain is None else torch.mul(moved_images, gain, out=made[i])
        assert made is not None
        return made

    def _at_once(self, x: Tensor, moved: Tensor | None, gain: Tensor | None) -> Tensor:
        own = self.geometry.convolve(x, self.kernels, self.bias).transpose(0, 1)
        through = None if moved is None or self.weight is None else self._through(moved)
        total = plus(through, own if x.ndim == 4 else own.squeeze(3))
        tangent = total if self.taken is None else self.taken(total)
        return tangent if gain is None else tangent * gain

    def _images(self, inputs: Tensor, i: int) -> Tensor:
        """Return the images [n, out, …] of inputs under the kernel of one stepped sample."""
        shift = None if self.bias is None else self.bias[i : i + 1]
        images = self.geometry.convolve(inputs, self.kernels[i : i + 1], shift)[:, 0]
        return images if inputs.ndim == 4 else images.squeeze(2)

    def _through(self, moved: Tensor) -> Tensor:
        """Return Δx ⋆ W of tangents [c, n, …]."""
        weight = self.weight
        assert weight is not None
        shared = (weight if weight.ndim == 4 else weight.unsqueeze(2))[None]

        def convolved(rows: Tensor) -> Tensor:
            images = self.geometry.convolve(rows, shared)[:, 0]
            return images if rows.ndim == 4 else images.squeeze(2)

        return each_sample(convolved, moved)


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

    def __call__(self, gain: Tensor | None = None) -> Tensor:
        """Return Δx ⋆ W + x ⋆ ΔW_a + Δb_a, times a gain [n, …]."""
        return self.deferred()(gain)

    def deferred(self) -> Deferred:
        """Return the tangent as one that nothing can be folded into any more."""
        return Deferred(self.geometry, self.x, self.steps.size, self.weight, *self._step())

    def normalized(self, mean: Tensor, factor: Tensor, gain: Tensor | None, shift: Tensor | None) -> Deferred:
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
        return Deferred(self.geometry, self.x, None, shared, kernels, total if shift is None else total + shift)

    def of_step(self) -> Tensor:
        """Return (x + ηΔx) ⋆ ΔW_a + Δb_a."""
        return Deferred(self.geometry, self.x, self.steps.size, None, *self._step())()

    def _step(self) -> tuple[Tensor, Tensor | None]:
        use = self.use
        kernels = use.keep("kernels", lambda whole: kernels_of(whole, self.geometry))
        return kernels, use.keep("bias", bias_of) if use.biased else None


def kernels_of(use: Use, geometry: Geometry) -> Tensor:
    """Return ΔW_a = Σ_t δ_{a,t} patch_t(h_a)ᵀ of every stepped sample, [c, out, i / groups, h, w]."""
    c, n = use.inputs.shape[:2]
    patches = geometry.patches(use.inputs.flatten(0, 1)).unflatten(1, (geometry.groups, -1)).unflatten(0, (c, n))
    delta = use.gradients.flatten(3).unflatten(2, (geometry.groups, -1))
    step = torch.einsum("cngot,cngwt->cgow", delta, patches)
    kernels: Tensor = step.flatten(1, 2).unflatten(2, (-1, *geometry.kernel))
    return kernels


def bias_of(use: Use) -> Tensor:
    """Return Δb_a of every stepped sample, [c, out]."""
    step: Tensor = use.gradients.flatten(3).sum((1, 3))
    return step


def plus(total: Tensor | None, term: Tensor) -> Tensor:
    """Add a term to a separate total, which may be None."""
    return term if total is None else total.add_(term)
