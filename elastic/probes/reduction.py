"""Reduction: the movements of one layer, block by block, to numbers of pairs and of (sample, class)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from elastic.metrics.update import UpdateResponse, not_zero
from elastic.probes.movements import Movements, Stepping
from elastic.probes.plan import Cost


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
    # Class means; norms and products; numbers of samples and classes; members, and squares of residuals.
    fixed = 8 * K * features + len(widths) * (16 * J * M + 40 * J * K + 8 * M * K + 8 * M) + 9 * J * M
    # Shifts of the class means, and the offsets of means that leave a sample out.
    stepped = (8 if bool(counted.all()) else 16) * K * features
    # Of one layer: what is added to the shifts, and their products. For each pair, members in both precisions and
    # either the movement in float64 or, for each observed sample, its features, their mean and their residual.
    return cost.read(fixed, stepped, (16 * K * widest, 24 * widest + 16 * K))


def class_means(stepping: Stepping, inputs: Tensor, labels: Tensor, classes: int, batch: int) -> dict[str, Tensor]:
    """Return the class means [K, d] of each layer in float64, NaN where a class has no sample; in batches."""
    sums: dict[str, Tensor] = {}
    for some, members in zip(inputs.split(batch), _members(labels, classes).split(batch), strict=True):
        for layer, features in stepping.features(some).items():
            total = members.T @ features.double()
            sums[layer] = sums[layer].add_(total) if layer in sums else total
    count = not_zero(_members(labels, classes).sum(0))[:, None]
    return {layer: total.div_(count) for layer, total in sums.items()}


def _members(labels: Tensor, classes: int) -> Tensor:
    return functional.one_hot(labels, classes).double()


class LayerReader:
    """Reduces the movements of one layer.

    Parameters
    ----------
    means
        [K, d] float64 class means of the observed samples.
    stepped, observed
        Labels [J] and [M].
    counted
        [J, M] bool.
    """

    def __init__(self, means: Tensor, stepped: Tensor, observed: Tensor, counted: Tensor) -> None:
        J, M, K = len(stepped), len(observed), len(means)
        self.means, self.labels, self.counted = means, (stepped, observed), counted
        self.member = _members(observed, K)
        self.every_pair_counts = bool(counted.all())
        self.squares = self._zeros(M)
        self.norms, self.products, self.own_norms = self._zeros(J, M), self._zeros(J, M), self._zeros(J)
        self.within, self.variances = self._zeros(J, K), self._zeros(J, K)
        self.shift_norms, self.along = self._zeros(J, K), self._zeros(J, K)
        self.shift = self.offset = self._zeros(0)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.means.device)

    def add(self, block: Movements, layer: str) -> None:
        """Take in the movements of the layer."""
        rows, columns, scale = block.stepped, block.observed, block.scale
        moved, own, features = block.moved[layer], block.own[layer], block.features[layer]
        if columns.start == 0:
            self.shift = self._zeros(len(own), *self.means.shape)
            self.offset = self._zeros(*(0,) if self.every_pair_counts else self.shift.shape)
            self.own_norms[rows] = torch.linalg.vector_norm(own, dim=1, dtype=torch.float64) * scale
        norms = torch.linalg.vector_norm(moved, dim=2, dtype=torch.float64)
        products = torch.einsum("cmd,cd->cm", moved, own).double()
        self.norms[rows, columns] = norms * scale[:, None]
        self.products[rows, columns] = products * scale[:, None].square()
        member = self.counted[rows, columns, None] * self.member[columns]
        residual = features.double() - self.means[self.labels[1][columns]]
        self.squares[columns] = residual.square().sum(dim=1)
        self.shift += torch.einsum("cmk,cmd->ckd", member.to(moved.dtype), moved)
        if not self.every_pair_counts:  # otherwise residuals sum to zero in each class
            self.offset += torch.einsum("cmk,md->ckd", member, residual)
        along = torch.einsum("cmd,md->cm", moved, residual.to(moved.dtype)).double()
        self.within[rows] += torch.einsum("cm,cmk->ck", along, member)
        if columns.stop == self.counted.shape[1]:
            self._close(rows, scale)

    def _close(self, rows: slice, scale: Tensor) -> None:
        """Turn the sums over all observed samples of these stepped ones into means."""
        counted = self.counted[rows].double()
        count = not_zero(counted @ self.member)
        shift = self.shift.div_(count[:, :, None])
        self.shift_norms[rows] = torch.linalg.vector_norm(shift, dim=2) * scale[:, None]
        direction = self.means - self.means.nanmean(dim=0)
        lengths = not_zero(torch.linalg.vector_norm(direction, dim=1))
        self.along[rows] = torch.einsum("ckd,kd->ck", shift, direction) / lengths * scale[:, None]
        within, variances = self.within[rows] / count, counted @ (self.member * self.squares[:, None]) / count
        if not self.every_pair_counts:
            # Leaving out a sample moves its class mean: Σ⟨h−μ', Δ⟩ = Σ⟨h−μ, Δ⟩ − n⟨μ'−μ, mean Δ⟩.
            offset = self.offset.div_(count[:, :, None])
            within -= (offset * shift).sum(dim=2)
            variances -= offset.square().sum(dim=2)
        self.variances[rows], self.within[rows] = variances, 2 * within * scale[:, None]
        self.shift = self.offset = self._zeros(0)

    def result(self, loss_rates: Tensor) -> UpdateResponse:
        """Return the reading, after the last block."""
        stepped, observed = self.labels
        return UpdateResponse(
            self.member.shape[1], stepped, observed, self.counted, self.norms, self.products,
            self.own_norms, self.shift_norms, self.along, self.within, self.variances, loss_rates,
        )  # fmt: skip
