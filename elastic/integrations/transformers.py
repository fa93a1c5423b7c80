"""Callback for the Trainer of Hugging Face transformers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from elastic.integrations.recording_callback import RecordingCallback, missing

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise missing("transformers", error) from None


class ElasticCallback(RecordingCallback, TrainerCallback):
    """Records every epoch of ``Trainer.train`` into a study with an `elastic.Recorder`.

    The model is the Trainer's ``model``; layers are named as its submodules ("bert.encoder.layer.0"). ``train`` may be
    a list or Dataset of dicts with "labels". An epoch that ends early is fractional. ``logged`` metrics come from the
    Trainer's logs. With ``load_best_model_at_end``, place an ``EarlyStoppingCallback`` before this one, so that the
    epoch at which it stops is probed.

    Arguments are those of `RecordingCallback`: ``folder``, those of the Recorder, ``logged`` and ``on_record``.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *_: Any, model: Any, **others: Any) -> None:
        """Record the model at the start of training."""
        # If the number of batches is unknown, the Trainer counts all steps as one epoch.
        last = max(1, state.num_train_epochs) if state.num_train_epochs < sys.maxsize else 1
        self._run.begin(model, state.epoch or 0, last, writes=state.is_world_process_zero)

    def on_step_begin(self, *_: Any, optimizer: Any = None, **others: Any) -> None:
        """Store the learning rate of the step."""
        self._run.step(optimizer)

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Register the end of the epoch."""
        self._run.hold(state.epoch or 0)
        if args.eval_strategy != "epoch":
            self.on_evaluate(args, state, control)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Record the epoch here if the best weights may be loaded before the next event."""
        if args.load_best_model_at_end:
            self._run.flush(_metrics(state), last=control.should_training_stop)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, *_: Any, **others: Any) -> None:
        """Record the previous epoch."""
        self._run.flush(_metrics(state))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, *_: Any, **others: Any) -> None:
        """Record the last epoch, with the probes, and seal the study."""
        self._run.end(_metrics(state))


def _metrics(state: TrainerState) -> Callable[[str], Any]:
    """Return a function that looks up the latest logged value within the epoch."""
    logs = [log for log in reversed(state.log_history) if math.ceil(log["epoch"]) == math.ceil(state.epoch or 0)]
    return lambda name: next((log[name] for log in logs if name in log), None)
