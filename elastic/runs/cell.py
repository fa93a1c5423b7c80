"""One run, trained to its end, resuming earlier work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elastic.checkpoint import environment
from elastic.cube import Journal, Status, compact_journal, run_lock, write_report
from elastic.cube.report_file import UNDER_WAY
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.runs.arithmetic import arithmetic_of
from elastic.runs.commit import Commit, between_checkpoints
from elastic.runs.recorder import Recorded, RunRecorder
from elastic.runs.setup import build_setup, resolve_device
from elastic.training import Snapshot, train


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
        damaged; StudyError if the disk is full; NotReproduced if a replayed epoch differs.
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


def _train(commit: Commit, watch: Watcher, stop: Callable[[], bool]) -> Status:
    snapshots = train(commit.trainer)
    while True:
        with commit.recorder.timed("training"):
            snapshot = next(snapshots, None)
        if snapshot is None:
            return Status.DONE
        recorded = commit(snapshot)
        try:
            _announce(watch, commit, snapshot, recorded)
            if recorded.diverged:
                return Status.DIVERGED
            if stop():
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            commit.save()  # between two epochs, so that none is trained again
            raise


def _announce(watch: Watcher, commit: Commit, snapshot: Snapshot, recorded: Recorded) -> None:
    """Hand a committed epoch, and the notes about it, to the watcher."""
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
