"""One run, trained to its end, resuming earlier work."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from elastic.checkpoint import FILE, changes, environment, load_checkpoint, save_checkpoint, unfit
from elastic.cube import TRAINING, Journal, Status, compact_journal, read_report, run_lock, write_report
from elastic.cube.report_file import UNDER_WAY
from elastic.errors import Damaged
from elastic.progress import Watcher
from elastic.protocol import Cell, Settings
from elastic.registry import modules_outside
from elastic.runs.arithmetic import arithmetic_of
from elastic.runs.recorder import Recorded, RunRecorder
from elastic.runs.scalars import EVALUATED
from elastic.runs.setup import build_setup, resolve_device
from elastic.training import Snapshot, Trainer, train

#: Least seconds of CPU time between two checkpoints of a run, if the epochs in between can be trained again
#: bit by bit.
BETWEEN_CHECKPOINTS = 0.5


def run_cell(
    cell: Cell,
    folder: Path,
    *,
    allow: Sequence[str] = (),
    device: str | None = None,
    watch: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
    has_ended: Callable[[], bool] = lambda: False,
) -> Status | None:
    """Train and probe one cell in its folder to its end, resuming earlier work.

    Parameters
    ----------
    cell
        Coordinates, settings and digest of the run.
    folder
        Folder of the run; created if missing.
    allow
        Modules from which code may be imported (`external` models).
    device
        Overrides the protocol's ``training.device``.
    watch
        Progress callback.
    stop
        Asked after every epoch that is committed.
    has_ended
        Called once the run is owned, to check whether another process has ended it meanwhile; then it is unchanged.

    Returns
    -------
    Status or None
        DONE, DIVERGED if the loss was no longer finite, or None if the run had ended.

    Raises
    ------
    ElasticError
        RunBusy if another process owns the run; DataError, ModelError, … if it cannot be built; Damaged if a file is
        is damaged; StudyError if the disk is full; NotReproduced if a replayed epoch differs.
    KeyboardInterrupt
        If it was stopped; the next call resumes the run.
    """
    watch = watch or Watcher()
    label = in_words(cell.coordinates)
    with run_lock(folder) as lock, arithmetic_of(cell.settings):
        if has_ended():
            return None
        place = resolve_device(device or cell.settings.training.device)
        setup = build_setup(cell.settings, place, tuple(allow))
        recorder = RunRecorder(folder, setup.subject, setup.probes, setup.layout, evaluate=False)
        commit = Commit(setup.trainer, recorder, folder, cell.digest, environment(place), lock.check)
        commit.between = between_checkpoints(cell.settings, place)
        commit.resume(watch)
        planned = {"epochs": setup.trainer.epochs, "environment": commit.environment}
        write_report(folder, {"status": UNDER_WAY, **planned})
        watch.run_started(label, setup.trainer.epochs, setup.trainer.epoch)
        if "(" in recorder.engine:
            watch.note(f"elasticity probes: {recorder.engine}")
        status = finished(recorder.journal, setup.trainer.epoch) or _train(commit, watch, stop)
        compact_journal(recorder.journal)
        _report(commit, setup.data_digest, status)
        watch.run_finished(label, recorder.seconds)
    return status


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


def _train(commit: Commit, watch: Watcher, stop: Callable[[], bool]) -> Status:
    snapshots = train(commit.trainer)
    while True:
        with commit.recorder.timed("training"):
            snapshot = next(snapshots, None)
        if snapshot is None:
            return Status.DONE
        recorded = commit(snapshot)
        try:
            _tell(watch, commit, snapshot, recorded)
            if recorded.diverged:
                return Status.DIVERGED
            if stop():
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            commit.save()  # between two epochs, so that none is trained again
            raise


def _tell(watch: Watcher, commit: Commit, snapshot: Snapshot, recorded: Recorded) -> None:
    for note in commit.recorder.take_notes():
        watch.note(note)
    scores = {"train loss": snapshot.loss["train"], "test accuracy": snapshot.accuracy["test"]}
    watch.epoch_done(snapshot.epoch, scores if snapshot.evaluated else {}, recorded.probed)
    if recorded.diverged:
        watch.note(f"the loss is no longer finite at epoch {snapshot.epoch}: this run ends here")


def finished(journal: Journal, trained: int) -> Status | None:
    """Return how a run with this many trained epochs ended, None if it has not.

    A run has ended with the checkpoint of its last epoch, or of one at which it diverged. A record without its
    checkpoint is no end: that epoch is trained again and compared, so that the last weights are stored.
    """
    if trained not in journal.epochs():
        return None
    status = Status(int(journal.read(trained)["status"]))
    return status if status is Status.DIVERGED or trained == journal.layout.epochs else None


def in_words(coordinates: Mapping[str, Any]) -> str:
    """Format a run's coordinates as a label.

    >>> in_words({"weight_decay": 0.0, "seed": 1})
    'weight_decay=0.0 seed=1'
    """
    return " ".join(f"{axis}={value}" for axis, value in coordinates.items())


def _report(commit: Commit, data_digest: str, status: Status) -> None:
    """Write status.json: how the run ended, its environment, and its time by activity."""
    facts = {
        "status": status.name.lower(),
        "epoch": commit.trainer.epoch,
        "epochs": commit.trainer.epochs,
        "data_digest": data_digest,
        "environment": commit.environment,
        "engine": commit.recorder.engine,
        "seconds": {part: round(value, 3) for part, value in commit.recorder.seconds.items()},
    }
    write_report(commit.folder, facts)
