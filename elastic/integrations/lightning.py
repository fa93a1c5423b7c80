"""Recording a training of PyTorch Lightning."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from elastic.integrations.training_run import TrainingRun, missing
from elastic.runs.recorder import Recorded

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise missing("lightning", error) from None


class ElasticCallback(Callback):
    """Records every epoch of ``Trainer.fit`` into a study, as `elastic.Recorder` does in a loop of one's own.

    The model is the LightningModule, measured by its ``forward``; layers are named as in it ("model.layer1"). Epoch 0
    is recorded before the first step; an epoch that ends early is fractional. Validation, test and ``fast_dev_run``
    record nothing. A fit that is resumed continues the run, and what it repeats must come out the same.

    Parameters
    ----------
    folder
        Folder of the study.
    logged
        Metrics to record, {name in the cube: name in ``trainer.callback_metrics``}, beside the learning rate ``lr``.
    on_record
        Called with what `elastic.Recorder.record` returns: ``lambda r: wandb.log({"epoch": r.epoch, **r.scores})``.
    **recorder_arguments
        As `elastic.Recorder` takes them, without ``model``. ``epochs`` are the trainer's unless they are given.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        logged: Mapping[str, str] | None = None,
        on_record: Callable[[Recorded], Any] | None = None,
        **recorder_arguments: Any,
    ) -> None:
        self._run = TrainingRun(folder, recorder_arguments, logged, on_record)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the module that training begins with."""
        if trainer.fast_dev_run:
            return
        batches = trainer.num_training_batches
        # Where the number of batches is not known it is infinite.
        steps = trainer.max_steps / -(-batches // trainer.accumulate_grad_batches)
        last = min((math.ceil(limit) for limit in (trainer.max_epochs or 0, steps) if limit > 0), default=None)
        epoch = trainer.fit_loop.epoch_loop.batch_progress.total.processed / batches or trainer.current_epoch
        writes, wrapped = trainer.is_global_zero, trainer.strategy.model
        self._run.begin(pl_module, epoch, last, writes=writes, wrapped=wrapped)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Remember the learning rate of the step."""
        self._run.step(trainer.optimizers)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take note of the epoch."""
        share = trainer.fit_loop.epoch_loop.batch_progress.current.processed / trainer.num_training_batches
        self._run.hold(trainer.current_epoch + (share or 1))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch before."""
        self._run.flush(trainer.callback_metrics.get)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the last epoch, with the probes, and seal the study."""
        self._run.end(trainer.callback_metrics.get)

    def on_exception(self, *_: Any) -> None:
        """Leave the run under way, with all that was recorded."""
        self._run.release()
