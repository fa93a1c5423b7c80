"""Aggregation of the movements of one layer, block by block, to numbers of pairs and of (sample, class).

Observed samples are ordered by class (`elastic.probes.grouping`), so that a block contains few classes and only the
class that is split between blocks is carried over. Norms, inner products, and the sums over the samples of a class in a
block are computed in the type of the movements, float32 at least, while these are in the cache; all further sums are in
float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.rounding import magnitude
from elastic.metrics.update import UpdateResponse, not_zero
from elastic.probes.engine import Movements
from elastic.probes.grouping import Grouping
from elastic.probes.memory.plan import Cost
from elastic.probes.row_products import along_observed, along_stepped, lengths

#: Classes whose movements are summed at a time.
CLASSES = 8
#: Bytes of the residuals of all observed samples in a layer up to which they are kept for the next stepped samples.
KEPT = 2**20


def with_reading(cost: Cost, widths: dict[str, int], counted: Tensor, classes: int) -> Cost:
    """Return the cost of blocks that are read by a `LayerReader` for each layer.

    Parameters
    ----------
    cost
        Of the engine.
    widths
        Number of features of each layer.
    counted
        [J, M] bool.
    classes
        Number of classes K.
    """
    (J, M), K, features, widest = counted.shape, classes, sum(widths.values()), max(widths.values())
    # Class means; norms and products; numbers of samples and classes; members, counts and squares of residuals.
    fixed = 8 * K * features + len(widths) * (16 * J * M + 40 * J * K + 8 * M) + 9 * J * M + 16 * M * K + 8 * J * K
    # What the last block left of a class: the sum of its movements, and the offset of means that leave a sample out.
    stepped = (8 if bool(counted.all()) else 16) * features
    # Of one layer: sums of the classes of a block in both precisions, and their products. For each pair: the product
    # with another vector or, for each observed sample, its features, their mean and their residual; members.
    return cost.read(fixed, stepped, (24 * min(K, CLASSES) * widest, 20 * widest + 16 * min(K, CLASSES) + 64))


def kept_residuals(widths: dict[str, int], observed: int) -> int:
    """Return the most bytes of residuals that readers keep, given the widths of layers and the number of samples.

    A model in float32 keeps layers of twice the width of one in float64, in as many bytes.

    >>> kept_residuals({"hidden": 10, "wide": 2**20}, 5)                     # 5 directions of 10 in float64, 5 lengths
    440
    >>> kept_residuals({"hidden": 2**17}, 2)                                 # no more than KEPT, in float32
    1048592
    """
    kept = (min(8 * observed * width, KEPT) for width in widths.values() if 4 * observed * width <= KEPT)
    return sum(size + 8 * observed for size in kept)


class LayerReader:
    """Reduces the movements of one layer.

    Parameters
    ----------
    means
        [K, d] float64 class means of the observed samples.
    stepped, observed
        Labels [J] and [M].
    grouping
        Of the observed samples.
    keeps
        Whether to keep residuals from a block with all observed samples (`kept_residuals`).
    """

    def __init__(
        self, means: Tensor, stepped: Tensor, observed: Tensor, grouping: Grouping, *, keeps: bool = False
    ) -> None:
        J, M, K = len(stepped), len(observed), len(means)
        self.means, self.centre = means, means.nanmean(dim=0)
        self.labels, self.grouping, self.keeps = (stepped, observed), grouping, keeps
        self.squares = self._zeros(M)
        self.norms, self.products, self.own_norms = self._zeros(J, M), self._zeros(J, M), self._zeros(J)
        self.within, self.variances = self._zeros(J, K), self._zeros(J, K)
        # NaN remains for classes without samples.
        self.shift_norms, self.along = (self._zeros(J, K).fill_(torch.nan) for _ in range(2))
        #: Sums of the class that the last block has split: of movements, and of residuals.
        self.carried: tuple[Tensor, Tensor | None] | None = None
        #: Directions [M, d] and lengths [M, 1] of the residuals of all observed samples, which each block may have.
        self.kept: tuple[Tensor, Tensor] | None = None

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.means.device)

    def add(self, block: Movements, layer: str) -> None:
        """Add the movements of the layer."""
        rows, columns, scale = block.stepped, block.columns, block.scale
        moved, own = _at_least_single(block.moved[layer]), _at_least_single(block.own[layer])
        if block.observed.start == 0:
            self.own_norms[rows], self.carried = lengths(own) * scale, None
        self.norms[rows, columns] = lengths(moved) * scale[:, None]
        size = magnitude(own, dim=1)
        products = along_stepped(moved, (own / size).to(moved.dtype)) * size
        self.products[rows, columns] = products * scale[:, None].square()
        left_out = None if self.grouping.every_pair else ~self.grouping.counted[rows][:, columns]
        if left_out is not None and not bool(left_out.any()):
            left_out = None
        residual = None
        if left_out is not None or self.kept is None:
            residual = self._residual(block, layer)
            size = magnitude(residual)
            direction = (residual / size).to(moved.dtype)
            if self.keeps and len(direction) == len(self.squares) and direction.nbytes <= KEPT:
                self.kept = direction, size
        else:
            direction, size = self.kept
        along = along_observed(moved, direction) * size
        runs, done = self.grouping.runs(block.observed), 0
        for first in range(0, len(runs), CLASSES):
            some = runs[first : first + CLASSES]
            part = slice(done, done + sum(count for _, count in some))
            cut = part.stop == moved.shape[1] and self.grouping.is_cut(block.observed.stop)
            self._add(
                block, some, cut, moved[:, part], None if residual is None else residual[part], along[:, part],
                None if left_out is None else left_out[:, part],
            )  # fmt: skip
            done = part.stop

    def _residual(self, block: Movements, layer: str) -> Tensor:
        """Return the differences [m, d] of features from their class means, in float64, and enter their squares."""
        residual = self.means[self.labels[1][block.columns]]
        torch.sub(block.features[layer].double(), residual, out=residual)
        self.squares[block.columns] = torch.linalg.vector_norm(residual, dim=1).square()
        return residual

    def _add(
        self,
        block: Movements,
        runs: list[tuple[int, int]],
        cut: bool,
        moved: Tensor,
        residual: Tensor | None,
        along: Tensor,
        left_out: Tensor | None,
    ) -> None:
        """Sum the movements of a few classes; the last of them may continue in the next block."""
        rows = block.stepped
        classes, member = self.grouping.members_of(runs, moved.dtype)
        if left_out is None or residual is None:
            shift = torch.matmul(member.mT, moved).double()
            offset = None
            self.within[rows, classes] += along @ member.double()
        else:
            counted = (~left_out).to(moved.dtype)
            shift = torch.bmm(member.mT * counted[:, None], moved).double()
            # Residuals sum to zero in each class: those that count sum to minus those that do not.
            offset = -torch.einsum("cm,mk,md->ckd", left_out.double(), member.double(), residual)
            self.within[rows, classes] += (along * counted) @ member.double()
        if self.carried is not None:
            shift[:, 0] += self.carried[0]
            if self.carried[1] is not None:
                offset = torch.zeros_like(shift) if offset is None else offset
                offset[:, 0] += self.carried[1]
        if cut:
            self.carried = shift[:, -1].clone(), None if offset is None else offset[:, -1].clone()
            classes, shift, offset = classes[:-1], shift[:, :-1], None if offset is None else offset[:, :-1]
        else:
            self.carried = None
        if len(classes):
            self._close(rows, classes, shift, offset, block.scale[:, None])

    def _close(self, rows: slice, classes: Tensor, shift: Tensor, offset: Tensor | None, scale: Tensor) -> None:
        """Turn the sums [c, k, d] over all samples of some classes into means."""
        count = not_zero(self.grouping.counts[rows][:, classes])
        shift = shift.div_(count[:, :, None])
        self.shift_norms[rows, classes] = torch.linalg.vector_norm(shift, dim=2) * scale
        direction = self.means[classes] - self.centre
        outwards = (shift * direction).sum(dim=2) / not_zero(torch.linalg.vector_norm(direction, dim=1))
        self.along[rows, classes] = outwards * scale
        if offset is not None:
            # Leaving out a sample moves its class mean: Σ⟨h−μ', Δ⟩ = Σ⟨h−μ, Δ⟩ − n⟨μ'−μ, mean Δ⟩.
            offset = offset.div_(count[:, :, None])
            self.within[rows, classes] -= count * (offset * shift).sum(dim=2)
            self.variances[rows, classes] = -offset.square().sum(dim=2)

    def result(self, loss_rates: Tensor, scale: Tensor) -> UpdateResponse:
        """Return the reading after the last block, with the scale [J] of all movements."""
        stepped, observed = self.labels
        grouping = self.grouping
        count = not_zero(grouping.counts)
        variances = self.variances + grouping.counted.double() @ (grouping.members * self.squares[:, None]) / count
        within = 2 * self.within / count * scale[:, None]
        return UpdateResponse(
            grouping.members.shape[1], stepped, observed, grouping.counted, self.norms, self.products,
            self.own_norms, self.shift_norms, self.along, within, variances, loss_rates,
        )  # fmt: skip


def _at_least_single(moved: Tensor) -> Tensor:
    """Return movements in float32 if they have a shorter type."""
    return moved.float() if moved.dtype in (torch.float16, torch.bfloat16) else moved
