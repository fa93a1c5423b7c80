"""Callback for PyTorch Lightning."""

from __future__ import annotations

import math
from typing import Any

from elastic.integrations.recording_callback import RecordingCallback, missing

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise missing("lightning", error) from None


class ElasticCallback(RecordingCallback, Callback):
    """Records every epoch of ``Trainer.fit`` into a study with an `elastic.Recorder`.

    The model is the LightningModule, measured through its ``forward``; layers are named as its submodules
    ("model.layer1"). An epoch that ends early is fractional. Validation, test and ``fast_dev_run`` are not recorded.
    ``logged`` metrics come from ``trainer.callback_metrics``. Place callbacks that change weights at the end of
    training (averaging) after this one.

    Arguments are those of `RecordingCallback`: ``folder``, those of the Recorder, ``logged`` and ``on_record``.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the module at the start of training."""
        if trainer.fast_dev_run:
            return
        batches = trainer.num_training_batches
        # Infinite if the number of batches is unknown.
        steps = trainer.max_steps / -(-batches // trainer.accumulate_grad_batches)
        last = min((math.ceil(limit) for limit in (trainer.max_epochs or 0, steps) if limit > 0), default=None)
        epoch = trainer.fit_loop.epoch_loop.batch_progress.total.processed / batches or trainer.current_epoch
        writes, wrapped = trainer.is_global_zero, trainer.strategy.model
        self._run.begin(pl_module, epoch, last, writes=writes, wrapped=wrapped)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Store the learning rate of the step."""
        self._run.step(trainer.optimizers[0] if trainer.optimizers else None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register the end of the epoch."""
        share = trainer.fit_loop.epoch_loop.batch_progress.current.processed / trainer.num_training_batches
        self._run.hold(trainer.current_epoch + (share or 1))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the previous epoch."""
        self._run.flush(trainer.callback_metrics.get)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the last epoch, with the probes, and seal the study."""
        self._run.end(trainer.callback_metrics.get)

    def on_exception(self, *_: Any) -> None:
        """Leave the run unfinished and keep its records."""
        self._run.release()
