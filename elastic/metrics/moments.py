"""Sums over the samples of one layer, accumulated batch by batch in the two passes of `read_classes`."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.errors import DegenerateInput
from elastic.metrics.on_processor import fetch
from elastic.metrics.rounding import (
    UNIT,
    arithmetic_rounding,
    largest,
    magnitude,
    mean_rounding,
    norm,
    rounding_of_rows,
    row_norms,
    spacing,
)

#: Number of classes up to which sums are matrix products on CPUs, too.
FEW_CLASSES = 64


def vectors(features: Tensor) -> Tensor:
    """Convert features [b, …] to float64 [b, d], on the CPU if their device (MPS) lacks float64.

    >>> vectors(torch.ones(2, 3, 4)).shape
    torch.Size([2, 12])
    """
    flat = features.detach().reshape(len(features), -1)
    return (flat.cpu() if flat.device.type == "mps" else flat).to(torch.float64)


def position_type(classes: int) -> torch.dtype:
    """Return the shortest signed dtype for class indices, because one per sample and layer is kept.

    >>> position_type(128), position_type(129)
    (torch.int8, torch.int16)
    """
    types = (torch.int8, torch.int16, torch.int32)
    return next(dtype for dtype in types if classes - 1 <= torch.iinfo(dtype).max)


class LayerMoments:
    """Counts, means, scatter and projected scatter of one layer's features.

    Sums over samples are taken on the features' device. What is computed of them between the passes and afterwards is
    computed on the CPU, unless it is large (`elastic.metrics.on_processor`).

    Coordinates are relative to ``origin``, initially the mean of the first batch, so that a common offset of all
    features costs no precision; from `fix_means` on they are in units of ``scale``, so that squares stay in range.

    Parameters
    ----------
    name
        Name of the layer, for messages.
    first
        [b, …] features of the first batch.
    classes
        Number of classes K.

    Attributes
    ----------
    origin
        [d] origin of the coordinates, in the unit of the features.
    scale
        Power of two above the largest coordinate (available after `fix_means`, like all attributes below).
    counts
        [K] samples of each class, in float64.
    means
        [K, d] class means; exactly equal if they coincide up to rounding.
    rounding
        [K] their rounding errors (`elastic.metrics.rounding`).
    vanish
        Whether all class means are zero up to rounding.
    frames
        Directions [d, r] and singular values [r] of the balanced class means and, if counts differ, of the
        weighted ones.
    moments
        For each frame [r], the sum over samples of squared projected residuals.
    scatter
        [K] sum over each class of squared residual norms.
    decisions
        [N] nearest centre of each sample, as `position_type`, in the order of the second pass.
    """

    def __init__(self, name: str, first: Tensor, classes: int) -> None:
        x = vectors(first)
        self.name = name
        self.dtype = first.dtype
        self.origin = x.mean(0)
        self.counts = x.new_zeros(classes)
        self.scatter = x.new_zeros(classes)
        self._largest = x.new_zeros(())
        self._sums = x.new_zeros(classes, x.shape[1])
        self._lengths = x.new_zeros(3, classes)  # Σ‖h‖, Σ‖h - origin‖ and Σ‖h - origin‖² of each class

    def widen(self, places: Tensor, classes: int) -> None:
        """First pass: extend the sums to ``classes``; existing classes move to the ascending indices ``places``."""
        for name in ("counts", "scatter", "_sums"):
            held = getattr(self, name)
            wider = held.new_zeros(classes, *held.shape[1:])
            wider[places.to(held.device)] = held
            setattr(self, name, wider)
        lengths = self._lengths.new_zeros(3, classes)
        lengths[:, places.to(lengths.device)] = self._lengths
        self._lengths = lengths

    def add(self, x: Tensor, labels: Tensor) -> None:
        """First pass: add features [b, d] to the counts and sums."""
        moved = x - self.origin
        self._add_to(self.counts, labels, torch.ones_like(moved[:, 0]))
        self._add_to(self._sums, labels, moved)
        apart = row_norms(moved)
        self._add_to(self._lengths.T, labels, torch.stack([row_norms(x), apart, apart.square()], dim=1))
        self._largest = torch.maximum(self._largest, largest(moved))

    def fix_means(self, tolerance: float | None, centres: Tensor | None) -> None:
        """Between the passes: compute the means, their frames, and the centres [K, d] of the nearest-mean decision."""
        device = self.counts.device
        self.counts, self._sums, self._lengths, self.origin, self._largest = fetch(
            [self.counts, self._sums, self._lengths, self.origin, self._largest]
        )
        self._check()
        self.scale = magnitude(self._largest)
        self.means = self._sums / self.counts[:, None] / self.scale
        lengths, apart, squares = self._lengths / self.counts / self.scale
        spread = (squares / self.scale - norm(self.means, dim=1).square()).clamp(min=0).sqrt()
        arithmetic = arithmetic_rounding(self.counts, apart)
        self.rounding = mean_rounding(self.dtype, self.counts, lengths, spread, arithmetic)
        absolute = norm(self.means + self.origin / self.scale, dim=1)
        self.vanish = bool((absolute <= self.rounding).all())
        self.frames = [self._frame(torch.ones_like(self.counts), tolerance)]
        if not bool((self.counts == self.counts[0]).all()):
            self.frames.append(self._frame(self.counts / self.counts.sum(), tolerance))
        if self.frames[0][1].numel() == 0 or self._on_one_point():
            self.means = self.means.mean(0).expand_as(self.means).clone()
            self.frames = [(directions[:, :0], values[:0]) for directions, values in self.frames]
        given, slack = self.means, arithmetic
        if centres is not None:
            own = vectors(centres).to(self.means.device)
            given, slack = (own - self.origin) / self.scale, 4 * UNIT * norm(own, dim=1) / self.scale
        self._begin_second_pass(device, given, slack)

    def _begin_second_pass(self, device: torch.device, centres: Tensor, slack: Tensor) -> None:
        """Make the sums of the second pass, and put what it compares samples with on their device."""
        around = (self.origin, self.scale, self.means, centres, slack, *(directions for directions, _ in self.frames))
        self._around = [part.to(device, non_blocking=True) for part in around]
        self._samples = int(self.counts.sum())
        self._placed = 0
        self._seen = torch.zeros(len(self.counts), dtype=torch.float64, device=device)
        self.moments = [torch.zeros(len(s), dtype=torch.float64, device=device) for _, s in self.frames]
        self.decisions = torch.empty(self._samples, dtype=position_type(len(self.counts)), device=device)

    def measure(self, x: Tensor, labels: Tensor) -> None:
        """Second pass: add residuals of features [b, d] and their projections, and find the nearest centres."""
        origin, scale, means, centres, slack, *directions = self._around
        x = (x - origin).div_(scale)
        labels = labels.to(x.device)
        z, before = x - means[labels], self._placed
        self._add_to(self._seen, labels, torch.ones_like(z[:, 0]))
        if before + len(x) > self._samples:
            raise self._differing()
        self._add_to(self.scatter, labels, z.square().sum(1))
        for moments, basis in zip(self.moments, directions, strict=True):
            moments += (z @ basis).square().sum(0)
        self.decisions[before : before + len(x)] = _nearest_centre(x, centres, slack)
        self._placed += len(x)

    def decided(self) -> Tensor:
        """End the second pass and return the decisions."""
        if self.counts.device.type == "cpu":
            self._seen, self.scatter, *self.moments = fetch([self._seen, self.scatter, *self.moments])
        if not torch.equal(self._seen, self.counts):
            raise self._differing()
        return self.decisions

    def _differing(self) -> DegenerateInput:
        first, second = int(self.counts.sum()), int(self._seen.sum())
        found = f"{first} in the first, {second} or other classes in the second"
        return DegenerateInput(
            f"samples of layer {self.name!r}", "be the same in both passes", found, "a list of batches"
        )

    def _add_to(self, sums: Tensor, labels: Tensor, values: Tensor) -> None:
        """Add values [b, …] to the sums [K, …] of their classes, in a deterministic order.

        Scattered sums are deterministic only on CPUs; elsewhere, and for few classes, they are matrix products.
        """
        labels = labels.to(sums.device)
        if sums.device.type == "cpu" and len(self.counts) > FEW_CLASSES:
            sums.index_add_(0, labels, values)
        else:
            classes = torch.arange(len(self.counts), device=sums.device)
            sums += (labels == classes[:, None]).to(torch.float64) @ values

    def _on_one_point(self) -> bool:
        """Return whether every class mean lies on the mean of means, up to rounding."""
        return bool((norm(self.means - self.means.mean(0), dim=1) <= self.rounding + self.rounding.mean()).all())

    def _frame(self, weights: Tensor, tolerance: float | None) -> tuple[Tensor, Tensor]:
        """Return directions [d, r] and singular values [r] of the rows √w_k (μ_k - weighted mean)."""
        K, d = self.means.shape
        centre = weights @ self.means / weights.sum()
        _, s, vh = torch.linalg.svd(weights.sqrt()[:, None] * (self.means - centre), full_matrices=False)
        relative = K * min(spacing(self.dtype), spacing(torch.float32)) if tolerance is None else tolerance
        # The decomposition has errors of a few units in the last place of the largest singular value.
        rounding = rounding_of_rows(self.rounding, weights, d) + 8 * UNIT * s.max()
        rank = min(K - 1, int((s > torch.maximum(relative * s.max(), rounding)).sum()))
        return vh[:rank].T.contiguous(), s[:rank]

    def _check(self) -> None:
        empty = (self.counts == 0).nonzero().flatten().tolist()
        if empty:
            raise DegenerateInput(
                f"labels of layer {self.name!r}", "name every class", f"none of {empty}", "more samples a class"
            )
        if not bool(self._sums.isfinite().all()):
            hint = "an earlier epoch or a smaller learning rate (training diverged?)"
            raise DegenerateInput(f"features of layer {self.name!r}", "be finite", "NaN or infinity", hint)


def _nearest_centre(x: Tensor, centres: Tensor, slack: Tensor) -> Tensor:
    """Return the nearest of the centres [K, d] of each row, the first of those equal up to rounding."""
    # Differences, not ‖x‖² - 2x·μ + ‖μ‖², which cancels for collapsed samples and their own mean.
    distances = torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist")
    least = (distances + slack).amin(1, keepdim=True)
    rounded = 2 * UNIT * torch.linalg.vector_norm(x, dim=1)[:, None] + (4 + x.shape[1] ** 0.5) * UNIT * least
    nearest: Tensor = (distances - slack <= least + rounded).to(torch.uint8).argmax(1)
    return nearest
