"""One run, from where it stands to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.checkpoint import FILE, changes, environment, load_checkpoint, save_checkpoint, unfit
from elastic.cube import Journal, Status, run_lock, write_atomically, write_layout
from elastic.errors import StudyError
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.runs.bench import Bench, build_bench, resolve_device
from elastic.training import Trainer, train


def run_cell(
    cell: Cell,
    folder: Path,
    *,
    allow: Sequence[str] = (),
    device: str | None = None,
    watch: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Train and probe one cell in its folder, from where it stands, to its end.

    Parameters
    ----------
    cell
        Coordinates, settings and digest of the run.
    folder
        Folder of the run; made where it is missing.
    allow
        Modules from which code may be imported (`external` models).
    device
        Overrides the protocol's ``training.device``.
    watch
        Is told of progress.
    stop
        Asked after every epoch that is committed.

    Returns
    -------
    Status
        DONE, or DIVERGED if the loss was no longer finite.

    Raises
    ------
    ElasticError
        RunBusy if another process owns the run; DataError, ModelError, … if it cannot be built; StudyError if the
        folder is damaged or full; NotReproduced if a replayed epoch differs from its record.
    KeyboardInterrupt
        If it was stopped; the run goes on from there when it is called again.
    """
    watch = watch or Watcher()
    label = in_words(cell.coordinates)
    with run_lock(folder):
        place = resolve_device(device or cell.settings.training.device)
        bench = build_bench(cell.settings, place, tuple(allow))
        env = environment(place)
        bench.layout = write_layout(folder, bench.layout)
        journal = Journal(folder, bench.layout, writing=True)
        _resume(bench, journal, folder, cell.digest, env, watch)
        watch.run_started(label, bench.trainer.epochs, bench.trainer.epoch)
        if "(" in bench.engine:
            watch.note(f"elasticity probes: {bench.engine}")
        status = finished(journal, bench.trainer.epoch) or _train(
            bench, Commit(journal, folder, cell.digest, env), watch, stop
        )
        _report(folder, bench, env, status)
        watch.run_finished(label, bench.seconds)
    return status


@dataclass(frozen=True)
class Commit:
    """Where a run's epochs are committed: first the record, then the checkpoint."""

    journal: Journal
    folder: Path
    digest: str
    environment: dict[str, str]

    def __call__(self, epoch: int, record: Mapping[str, Any], trainer: Trainer) -> None:
        """Commit an epoch; whoever dies in between replays it and compares."""
        self.journal.append(epoch, record)
        save_checkpoint(self.folder, self.digest, trainer.state_dict(), self.environment)


def _train(bench: Bench, commit: Commit, watch: Watcher, stop: Callable[[], bool]) -> Status:
    snapshots = train(bench.trainer)
    while True:
        with bench.timed("training"):
            snapshot = next(snapshots, None)
        if snapshot is None:
            return Status.DONE
        record = bench.record(snapshot)
        for note in bench.take_notes():
            watch.note(note)
        with bench.timed("writing"):
            commit(snapshot.epoch, record, bench.trainer)
        scores = {"train loss": snapshot.loss["train"], "test accuracy": snapshot.accuracy["test"]}
        watch.epoch_done(snapshot.epoch, scores, bench.layout.is_probed(snapshot.epoch))
        if snapshot.diverged:
            watch.note(f"the loss is no longer finite at epoch {snapshot.epoch}: this run ends here")
            return Status.DIVERGED
        if stop():
            raise KeyboardInterrupt


def _resume(bench: Bench, journal: Journal, folder: Path, digest: str, env: dict[str, str], watch: Watcher) -> None:
    """Load the checkpoint, if there is one, and compare it with the journal and with this machine."""
    loaded = load_checkpoint(folder, digest)
    if loaded is None:
        return
    state, before = loaded
    try:
        bench.trainer.load_state_dict(state)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise unfit(folder / FILE, "be of this model and optimizer", f"{type(error).__name__}: {error}") from None
    recorded, needed = journal.epochs(), list(range(bench.trainer.epoch + 1))
    if recorded[: len(needed)] != needed:
        missing = sorted(set(needed) - set(recorded))
        hint = f"deleting {folder} and running again: this run is trained anew, the others are kept"
        raise StudyError("`journal`", f"hold epochs 0 … {needed[-1]}", f"no record of {missing[:5]}", hint,
                         place=str(journal.folder))  # fmt: skip
    bench.resume(engines_used(journal, bench.trainer.epoch))
    if different := changes(before, env):
        watch.note(f"resumed under {', '.join(different)}: the same bits are not promised")


def engines_used(journal: Journal, trained: int) -> list[float]:
    """Return the codes of the engines of the probed epochs up to one, which decide on those that follow."""
    variable = "elasticity/probe_engine"
    probed = (epoch for epoch in journal.epochs() if epoch <= trained and journal.layout.is_probed(epoch))
    records = (journal.read(epoch) for epoch in probed)
    return [float(record[variable]) for record in records if variable in record]


def finished(journal: Journal, trained: int) -> Status | None:
    """Return how a run ended that has trained so many epochs, None while it has not.

    A run has ended with the checkpoint of its last epoch, or of one at which it diverged. A record without its
    checkpoint is no end: that epoch is trained once more and compared, so that the last weights are kept.
    """
    if trained not in journal.epochs():
        return None
    status = Status(int(journal.read(trained)["status"]))
    return status if status is Status.DIVERGED or trained == journal.layout.epochs else None


def in_words(coordinates: Mapping[str, Any]) -> str:
    """Return a run's coordinates as a label.

    >>> in_words({"weight_decay": 0.0, "seed": 1})
    'weight_decay=0.0 seed=1'
    """
    return " ".join(f"{axis}={value}" for axis, value in coordinates.items())


def _report(folder: Path, bench: Bench, env: dict[str, str], status: Status) -> None:
    """Write status.json: how the run ended, on what, and where its seconds went."""
    facts = {
        "status": status.name.lower(),
        "data_digest": bench.data_digest,
        "environment": env,
        "engine": bench.engine,
        "seconds": {part: round(value, 3) for part, value in bench.seconds.items()},
    }
    write_atomically(folder / "status.json", (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())
