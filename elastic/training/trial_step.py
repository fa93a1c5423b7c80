"""A single trial step of a training."""

from __future__ import annotations

from elastic.training.randomness import deterministic_algorithms
from elastic.training.trainer import Trainer, batches

#: Most samples of the step.
MOST = 4096


def trial_step(trainer: Trainer) -> None:
    """Take a step on the smallest batch of an epoch; the trainer cannot be used afterwards.

    An optimizer with a line search (L-BFGS) may evaluate the objective for as long as an epoch takes: only the gradient
    is computed for it.

    Raises
    ------
    Exception
        Any error of the step.
    """
    train = trainer.splits["train"]
    smallest = min(batches(len(train), trainer.batch_size, trainer.order), key=len)
    index = smallest[:MOST].to(train.labels.device)
    with trainer.randomness.isolated_rng(), deterministic_algorithms(trainer.deterministic):
        trainer.model.train()
        trainer.try_step(train.inputs[index], train.labels[index])
