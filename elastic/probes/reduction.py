"""Reduction: from the movements of one layer, block by block, to numbers of pairs and of (sample, class).

Observed samples are ordered by class, so that a block contains few classes and only the class that is split between
blocks is carried over. Movements are read in their own type, while they are in the cache; sums
over samples are in float64.
"""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

from elastic.metrics.rounding import magnitude
from elastic.metrics.update import UpdateResponse, not_zero
from elastic.probes.movements import Engine, Movements
from elastic.probes.plan import Cost

#: Classes whose movements are summed at a time.
CLASSES = 8
#: Norms in float32 between these are sums of squares that neither under- nor overflow.
SAFE = 1e-15, 1e15


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
    fixed = 8 * K * features + len(widths) * (16 * J * M + 40 * J * K + 8 * M) + 9 * J * M + 8 * M * K + 8 * J * K
    # What the last block left of a class: the sum of its movements, and the offset of means that leave a sample out.
    stepped = (8 if bool(counted.all()) else 16) * features
    # Of one layer: sums of the classes of a block in both precisions, and their products. For each pair: the product
    # with another vector or, for each observed sample, its features, their mean and their residual; members.
    return cost.read(fixed, stepped, (24 * min(K, CLASSES) * widest, 20 * widest + 16 * min(K, CLASSES) + 64))


def class_means(stepping: Engine, inputs: Tensor, labels: Tensor, classes: int, batch: int) -> dict[str, Tensor]:
    """Return the class means [K, d] of each layer in float64, NaN for a class without samples; in batches."""
    sums: dict[str, Tensor] = {}
    for some, members in zip(inputs.split(batch), _members(labels, classes).split(batch), strict=True):
        for layer, features in stepping.features(some).items():
            total = members.T @ features.double()
            sums[layer] = sums[layer].add_(total) if layer in sums else total
    count = not_zero(_members(labels, classes).sum(0))[:, None]
    return {layer: total.div_(count) for layer, total in sums.items()}


def _members(labels: Tensor, classes: int) -> Tensor:
    return functional.one_hot(labels, classes).double()


class Grouping:
    """The order of the pass over observed samples: by class, each in the order of its samples.

    Parameters
    ----------
    labels
        [M] classes of the observed samples.
    classes
        Number of classes K.
    counted
        [J, M] bool: which pairs count.

    Attributes
    ----------
    order
        [M] positions of the samples in the order of the pass; None if it is their own order.
    counts
        [J, K] number of counted samples, in float64.
    every_pair
        Whether all pairs count.

    Examples
    --------
    >>> grouping = Grouping(torch.tensor([1, 0, 1, 1]), 3, torch.ones(1, 4, dtype=torch.bool))
    >>> grouping.order.tolist(), grouping.runs(slice(0, 3)), grouping.is_cut(3), grouping.is_cut(4)
    ([1, 0, 2, 3], [(0, 1), (1, 2)], True, False)
    """

    def __init__(self, labels: Tensor, classes: int, counted: Tensor) -> None:
        order = labels.argsort(stable=True)
        self._sorted: list[int] = labels[order].tolist()
        self.order = None if self._sorted == labels.tolist() else order
        self.counted, self.every_pair = counted, bool(counted.all())
        self.members = _members(labels, classes)
        self.counts = counted.double() @ self.members

    def means(self, features: Tensor) -> Tensor:
        """Return the class means [K, d] in float64 of features [M, d] in the order of the pass; NaN without samples."""
        members = self.members if self.order is None else self.members[self.order]
        means: Tensor = (members.T @ features.double()).div_(not_zero(members.sum(0))[:, None])
        return means

    def runs(self, columns: slice) -> list[tuple[int, int]]:
        """Return the classes of a block with their numbers of samples."""
        return [(label, len(list(run))) for label, run in groupby(self._sorted[columns])]

    def is_cut(self, place: int) -> bool:
        """Whether a class has samples on both sides of a position in the order."""
        return 0 < place < len(self._sorted) and self._sorted[place - 1] == self._sorted[place]


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
    """

    def __init__(self, means: Tensor, stepped: Tensor, observed: Tensor, grouping: Grouping) -> None:
        J, M, K = len(stepped), len(observed), len(means)
        self.means, self.centre = means, means.nanmean(dim=0)
        self.labels, self.grouping = (stepped, observed), grouping
        self.squares = self._zeros(M)
        self.norms, self.products, self.own_norms = self._zeros(J, M), self._zeros(J, M), self._zeros(J)
        self.within, self.variances = self._zeros(J, K), self._zeros(J, K)
        # NaN remains for classes without samples.
        self.shift_norms, self.along = (self._zeros(J, K).fill_(torch.nan) for _ in range(2))
        #: Sums of the class that the last block has split: of movements, and of residuals.
        self.carried: tuple[Tensor, Tensor | None] | None = None

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
        residual = self.means[self.labels[1][columns]]
        torch.sub(block.features[layer].double(), residual, out=residual)
        self.squares[columns] = torch.linalg.vector_norm(residual, dim=1).square()
        size = magnitude(residual)
        along = along_observed(moved, (residual / size).to(moved.dtype)) * size
        left_out = None if self.grouping.every_pair else ~self.grouping.counted[rows][:, columns]
        if left_out is not None and not bool(left_out.any()):
            left_out = None
        runs, done = self.grouping.runs(block.observed), 0
        for first in range(0, len(runs), CLASSES):
            some = runs[first : first + CLASSES]
            part = slice(done, done + sum(count for _, count in some))
            cut = part.stop == moved.shape[1] and self.grouping.is_cut(block.observed.stop)
            self._add(
                block, some, cut, moved[:, part], residual[part], along[:, part],
                None if left_out is None else left_out[:, part],
            )  # fmt: skip
            done = part.stop

    def _add(
        self,
        block: Movements,
        runs: list[tuple[int, int]],
        cut: bool,
        moved: Tensor,
        residual: Tensor,
        along: Tensor,
        left_out: Tensor | None,
    ) -> None:
        """Sum the movements of a few classes; the last of them may continue in the next block."""
        device, rows = moved.device, block.stepped
        classes = torch.tensor([label for label, _ in runs], device=device)
        member = torch.repeat_interleave(
            torch.arange(len(runs), device=device), torch.tensor([count for _, count in runs], device=device)
        )
        member = functional.one_hot(member, len(runs)).to(moved.dtype)
        if left_out is None:
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


def lengths(rows: Tensor) -> Tensor:
    """Return ‖row‖ of rows [..., d] in float64, at any scale of float32.

    >>> (lengths(torch.tensor([[3.0, 4.0]]) * 2.0**-80) * 2.0**80).item()
    5.0
    """
    found: Tensor = torch.linalg.vector_norm(rows, dim=-1).double()
    if rows.dtype != torch.float64 and bool((unsafe := ~((found > SAFE[0]) & (found < SAFE[1]))).any()):
        found[unsafe] = torch.linalg.vector_norm(rows[unsafe], dim=-1, dtype=torch.float64)
    return found


def along_stepped(moved: Tensor, vectors: Tensor) -> Tensor:
    """Return the inner products [c, m] of movements [c, m, d] with a vector of each stepped sample, [c, d]; as float64.

    A product of a row and a transposed matrix: the CPU library reads the movements once for it, and several
    times as long for a product of the matrix and a column, or for a product of numbers and a sum.

    >>> along_stepped(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[1.0, -1.0]])).tolist()
    [[-1.0, -1.0]]
    """
    return torch.bmm(vectors[:, None], moved.mT)[:, 0].double()


def along_observed(moved: Tensor, vectors: Tensor) -> Tensor:
    """Return the inner products [c, m] of movements [c, m, d] with a vector of each observed sample [m, d], as float64.

    >>> along_observed(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])).tolist()
    [[3.0, 4.0]]
    """
    return along_stepped(moved.transpose(0, 1), vectors).T


def _at_least_single(moved: Tensor) -> Tensor:
    """Return movements in float32 if they have a shorter type."""
    return moved.float() if moved.dtype in (torch.float16, torch.bfloat16) else moved
