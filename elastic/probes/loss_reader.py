"""Computes the effects of the outputs' movements on the losses of the observed samples, block by block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.losses import Loss
from elastic.metrics.loss_response import LossUpdate
from elastic.metrics.output_response import OutputUpdate
from elastic.metrics.pair_sums import PairSums
from elastic.probes.engine import Movements
from elastic.probes.memory.plan import Cost

#: Readings of the network.
LOSSES, OUTPUTS = "loss_update", "output_update"
#: Most outputs whose movements are stored individually: K² numbers for each.
MOST_OUTPUTS = 32


def loss_readings(loss: Loss, outputs: int) -> set[str]:
    """Return the names of the readings that are possible with a loss and a number of outputs.

    A loss of the penultimate features couples the samples of a batch: single samples have no loss.

    Examples
    --------
    >>> from elastic.losses import build_loss
    >>> sorted(loss_readings(build_loss("cross_entropy"), 10)), loss_readings(build_loss("cross_entropy"), 100)
    (['loss_update', 'output_update'], {'loss_update'})
    """
    if loss.layer != "logits":
        return set()
    return {LOSSES, OUTPUTS} if 1 < outputs <= MOST_OUTPUTS else {LOSSES}


class LossReader:
    """Reduces the movements of the layer that the loss reads.

    Parameters
    ----------
    loss
        Of single samples.
    stepped
        [J] classes.
    observed
        [M] classes, and the targets of the loss [M, …].
    counted
        [J, M] bool.
    classes, outputs
        Number of classes K, and of features of the layer.
    """

    def __init__(
        self, loss: Loss, stepped: Tensor, observed: tuple[Tensor, Tensor], counted: Tensor, classes: int, outputs: int
    ) -> None:
        labels, self.targets = observed
        self.loss, self.counted, self.names = loss, counted, loss_readings(loss, outputs)
        self.rows, self.columns = (functional.one_hot(of, classes).double() for of in (stepped, labels))
        (J, M), K = counted.shape, classes

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=counted.device)

        self.rates = zeros(J, M)
        self.direction, self.norm = zeros(M, outputs), zeros(M)
        if OUTPUTS in self.names:
            self.towards, self.squeezed = zeros(M, outputs), zeros(J, M)
            self.by_stepped, self.by_observed, self.squares = (
                zeros(J, K, outputs), zeros(M, K, outputs), zeros(K, K, outputs),
            )  # fmt: skip

    def add(self, block: Movements) -> None:
        """Add the movements of one block."""
        rows, columns = block.stepped, block.columns
        if rows.start == 0:
            self._add_features(block.features[block.layer], columns)
        # Scaled in float64: single losses near the end of training are far below the range of float32.
        moved, scale = block.moved[block.layer].double(), block.scale[:, None]
        along = torch.einsum("cmo,mo->cm", moved, self.direction[columns])
        self.rates[rows, columns] = along * scale * self.norm[columns]
        if OUTPUTS not in self.names:
            return
        self.squeezed[rows, columns] = torch.einsum("cmo,mo->cm", moved, self.towards[columns]) * scale
        counted = self.counted[rows][:, columns]
        moved = torch.where(counted[..., None], moved * scale[..., None], 0.0)
        self.by_stepped[rows] += torch.einsum("cmo,mk->cko", moved, self.columns[columns])
        self.by_observed[columns] += torch.einsum("cmo,cj->mjo", moved, self.rows[rows])
        squares = torch.einsum("cmo,cj->mjo", moved.square(), self.rows[rows])
        self.squares += torch.einsum("mjo,mk->jko", squares, self.columns[columns])

    def _add_features(self, outputs: Tensor, columns: slice | Tensor) -> None:
        """Compute the gradients, by the outputs, of some observed samples' losses and largest probabilities."""
        gradient = self.loss.gradient(outputs, self.targets[columns])
        self.direction[columns], self.norm[columns] = gradient.direction.double(), gradient.norm.double()
        if OUTPUTS in self.names:
            p = outputs.double().softmax(dim=1)
            largest, place = p.max(dim=1, keepdim=True)
            most_likely = torch.zeros_like(p).scatter_(1, place, 1.0)
            self.towards[columns] = largest * (most_likely - p)

    def result(self) -> dict[str, Any]:
        """Return the readings after the last block."""
        readings: dict[str, Any] = {}
        if LOSSES in self.names:
            readings[LOSSES] = LossUpdate(self.rows, self.columns, self.counted, self.rates)
        if OUTPUTS in self.names:
            logits = PairSums(self.rows, self.columns, self.counted, self.by_stepped, self.by_observed, self.squares)
            squeezed = PairSums.of(self.squeezed, self.rows, self.columns, self.counted)
            readings[OUTPUTS] = OutputUpdate(logits, squeezed)
        return readings


def with_losses(cost: Cost, counted: Tensor, classes: int, outputs: int) -> Cost:
    """Return the cost of blocks that a `LossReader` reads, too."""
    (J, M), K, d = counted.shape, classes, outputs
    kept = d if 1 < d <= MOST_OUTPUTS else 0
    fixed = 8 * (2 * J * M + 2 * M * d + (J + M) * K + kept * (J * K + M * K + K * K))
    # Of each pair: its movement in float64, scaled, squared; of each observed sample, sums by class of what is stepped.
    return cost.read(fixed, 0, (0, 24 * d + 16 * kept * K))
