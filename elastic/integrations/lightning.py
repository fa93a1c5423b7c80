"""Recording a training of PyTorch Lightning."""

from __future__ import annotations

import math
from typing import Any

from elastic.integrations.recording_callback import RecordingCallback, missing

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise missing("lightning", error) from None


class ElasticCallback(RecordingCallback, Callback):
    """Records every epoch of ``Trainer.fit`` into a study, as `elastic.Recorder` does in a loop of one's own.

    The model is the LightningModule, measured by its ``forward``; layers are named as in it ("model.layer1"). An epoch
    that ends early is fractional. Validation, test and ``fast_dev_run`` record nothing. ``logged`` metrics are those of
    ``trainer.callback_metrics``. Callbacks that change weights when training ends (averages) should stand after it.

    It takes the arguments of `RecordingCallback`: ``folder``, those of the Recorder, ``logged`` and ``on_record``.
    """

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
        self._run.step(trainer.optimizers[0] if trainer.optimizers else None)

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
