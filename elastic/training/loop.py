"""The training loop: a generator of snapshots, one at epoch 0 and one after each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elastic.models.contract import TappedModel
from elastic.training.evaluation import evaluate
from elastic.training.trainer import Trainer


@dataclass(frozen=True)
class Snapshot:
    """The state of a training between two epochs.

    Attributes
    ----------
    epoch
        Epochs trained so far.
    model
        The model being trained; must not be modified.
    loss, accuracy
        By split, of the current model in evaluation mode. A loss that couples the samples of a batch is evaluated on
        separate batches (see `elastic.training.evaluate`), not on those of training.
    objective
        Mean train loss plus all penalties, and the cross-entropy of a classifier that the loss does not train.
    lr
        Learning rate of the last epoch; NaN at epoch 0.
    gradient_norm
        Mean over the epoch's steps of the Euclidean norm of the minibatch gradient; NaN at epoch 0.
    diverged
        Whether a loss or the objective is not finite; then this snapshot is the last.
    evaluated
        Whether losses, accuracies and the objective were evaluated; NaN where not.
    """

    epoch: int
    model: TappedModel
    loss: dict[str, float]
    accuracy: dict[str, float]
    objective: float
    lr: float
    gradient_norm: float
    diverged: bool
    evaluated: bool = True


def train(trainer: Trainer) -> Iterator[Snapshot]:
    """Train to the last epoch and yield a snapshot before the first (unless it has passed) and after each.

    A trainer with a loaded state of epoch e continues with epoch e + 1.
    """
    if trainer.epoch == 0:
        trainer.model.eval()
        yield take_snapshot(trainer, lr=float("nan"), gradient_norm=float("nan"))
    while trainer.epoch < trainer.epochs:
        snapshot = take_snapshot(trainer, *trainer.train_epoch())
        yield snapshot
        if snapshot.diverged:
            return


def take_snapshot(trainer: Trainer, lr: float, gradient_norm: float) -> Snapshot:
    """Evaluate a trainer's model on every split, if its epoch is due."""
    if not trainer.evaluates(trainer.epoch) and np.isfinite(gradient_norm):
        nothing = dict.fromkeys(trainer.splits, float("nan"))
        nan = float("nan")
        return Snapshot(trainer.epoch, trainer.model, nothing, nothing, nan, lr, gradient_norm, False, evaluated=False)
    scores = {name: evaluate(trainer.model, trainer.loss, split) for name, split in trainer.splits.items()}
    losses = {name: score[0] for name, score in scores.items()}
    accuracy = {name: score[1] for name, score in scores.items()}
    part = trainer.splits["train"]
    objective = trainer.objective.total(losses["train"], part.inputs, part.labels)
    diverged = not np.isfinite([*losses.values(), objective]).all()
    return Snapshot(trainer.epoch, trainer.model, losses, accuracy, objective, lr, gradient_norm, diverged)
