"""Committing the epochs of a run to its folder, and resuming from what an earlier process committed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from elastic.checkpoint import FILE, changes, load_checkpoint, save_checkpoint, unfit
from elastic.cube import TRAINING, read_report
from elastic.errors import Damaged
from elastic.progress import Watcher
from elastic.protocol import Settings
from elastic.registry import modules_outside
from elastic.runs.recorder import Recorded, RunRecorder
from elastic.runs.scalars import EVALUATED
from elastic.training import Snapshot, Trainer

#: Least seconds of CPU time between two checkpoints of a run, if the epochs in between can be trained again
#: bit by bit.
BETWEEN_CHECKPOINTS = 0.5


def between_checkpoints(settings: Settings, device: torch.device) -> float:
    """Return the most seconds of CPU time that a run may take without a checkpoint.

    If training is deterministic, a process that is killed loses only the epochs since the last
    checkpoint: they are trained again and compared with their records. Otherwise the comparison would fail,
    so that every epoch has a checkpoint. The same holds for runs of code other than elastic's.
    """
    own = settings.model.name == "external" or bool(modules_outside())
    repeatable = device.type == "cpu" and settings.training.deterministic and not own
    return BETWEEN_CHECKPOINTS if repeatable else 0.0


@dataclass
class Commit:
    """Commits the epochs of a run: first the record, then the checkpoint, if one is due.

    Attributes
    ----------
    trainer, recorder
        Of the run.
    folder, digest
        Of the run and its cell.
    environment
        Environment of this process, as far as it affects bits.
    check_owned
        Raises if another process has taken over the run.
    between
        Least seconds of CPU time between two checkpoints; the first and the last epoch always have one.
    """

    trainer: Trainer
    recorder: RunRecorder
    folder: Path
    digest: str
    environment: dict[str, str]
    check_owned: Callable[[], None]
    between: float = 0.0
    _is_saved: bool = field(default=False, init=False)
    _saved_at: float = field(default=-math.inf, init=False)

    def __call__(self, snapshot: Snapshot) -> Recorded:
        """Commit an epoch; after a crash before its checkpoint it is replayed and compared."""
        self.check_owned()
        asked = {variable.name for variable in self.recorder.layout.variables if variable.group == TRAINING}
        scores_evaluated: dict[str, Any] = {EVALUATED: float(snapshot.evaluated)} if EVALUATED in asked else {}
        recorded = self.recorder.record(
            snapshot.epoch,
            loss=snapshot.loss,
            accuracy=snapshot.accuracy,
            objective=snapshot.objective,
            lr=snapshot.lr,
            gradient_norm=snapshot.gradient_norm,
            **scores_evaluated,
        )
        self._is_saved = False
        is_last = recorded.diverged or snapshot.epoch == self.trainer.epochs
        if is_last or time.process_time() - self._saved_at >= self.between:
            self.save()
        return recorded

    def save(self) -> None:
        """Write the checkpoint of the last committed epoch, unless it exists."""
        if self._is_saved:
            return
        with self.recorder.timed("writing"):
            save_checkpoint(self.folder, self.digest, self.trainer.state_dict(), self.environment)
        self._is_saved, self._saved_at = True, time.process_time()

    def resume(self, watch: Watcher) -> None:
        """Load the checkpoint, if there is one, and compare it with the journal and with this machine.

        A record without its checkpoint is compared with its replay in the environment that made it. In another
        environment it may differ: it is set aside.
        """
        loaded = load_checkpoint(self.folder, self.digest)
        state, before = loaded or (None, {})
        if state is not None:
            try:
                self.trainer.load_state_dict(state)
            except (RuntimeError, KeyError, TypeError, ValueError) as error:
                found = f"{type(error).__name__}: {error}"
                # The file is intact and of this cell: another release, or user code, stores its state differently.
                instead = "the elastic and torch that wrote it (study.json)"
                raise unfit(self.folder / FILE, "be of this model and optimizer", found, instead) from None
        # A training that is still at epoch 0 records it again.
        first = self.trainer.epoch + 1 if self.trainer.epoch else 0
        self._set_aside(first, before, watch)
        if state is None:
            return
        journal = self.recorder.journal
        recorded, needed = journal.epochs(), list(range(self.trainer.epoch + 1))
        if recorded[: len(needed)] != needed and first:
            missing = sorted(set(needed) - set(recorded))
            expected, found = f"hold epochs 0 … {needed[-1]}", f"no record of {missing[:5]}"
            hint = f"deleting {self.folder} and running again: this run is trained anew, the others are kept"
            raise Damaged("`journal`", expected, found, hint, place=str(journal.folder))
        self.recorder.resume(first)
        if different := changes(before, self.environment):
            watch.note(f"resumed under {', '.join(different)}: the same bits are not promised")

    def _set_aside(self, first: int, of_checkpoint: Mapping[str, str], watch: Watcher) -> None:
        """Move records without a checkpoint out of the journal if another environment made them."""
        journal = self.recorder.journal
        unpaired = [epoch for epoch in journal.epochs() if epoch >= first]
        # status.json names the environment of the last records; earlier releases stored it only in the checkpoint.
        made_in = read_report(self.folder).get("environment") or of_checkpoint
        different = changes(made_in, self.environment) if made_in else []
        if unpaired and different:
            place = journal.set_aside(first)
            epochs = f"epoch {unpaired[0]}" if len(unpaired) == 1 else f"epochs {unpaired[0]} … {unpaired[-1]}"
            watch.note(
                f"{epochs} recorded under {', '.join(different)} without a checkpoint: set aside in {place}, "
                "trained and recorded anew"
            )
