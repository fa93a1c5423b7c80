"""One attempt to run a run, in any process."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from elastic.cube import read_progress, write_atomically
from elastic.cube.report_file import ENDED
from elastic.errors import ElasticError, RunBusy, RunFailed, StudyError
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.completeness import named


@dataclass(frozen=True)
class Work:
    """Settings shared by the attempts at all runs of a study.

    Attributes
    ----------
    runs
        Folder of the runs' folders.
    allow
        Modules from which code may be imported.
    device
        Overrides the protocol's device.
    """

    runs: Path
    allow: tuple[str, ...] = ()
    device: str | None = None

    def folder(self, cell: Cell) -> Path:
        """Return the folder of a run."""
        return self.runs / cell.digest

    def has_ended(self, cell: Cell) -> bool:
        """Return whether a run has ended.

        Raises
        ------
        Damaged
            If its status.json is damaged.
        """
        return read_progress(self.folder(cell)).state in ENDED

    def epoch(self, cell: Cell) -> float | None:
        """Return the last epoch that a run has recorded, None if there is none or its files cannot be read."""
        with suppress(ElasticError):
            return read_progress(self.folder(cell)).epoch
        return None


@dataclass(frozen=True)
class Attempt:
    """Result of an attempt at a run: it has ended, unless another process owns it or it failed."""

    cell: Cell
    busy: RunBusy | None = None
    failed: ElasticError | None = None


def attempt(
    cell: Cell, work: Work, watch: Watcher, stop: Callable[[], bool], owned: Callable[[], None] = lambda: None
) -> Attempt:
    """Run a run to its end, unless another process owns it or has ended it.

    Parameters
    ----------
    cell, work
        The run.
    watch, stop
        Receives progress; asked after every epoch whether to stop.
    owned
        Called as soon as this process owns the run.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    """
    from elastic.runs.cell import run_cell

    folder, label = work.folder(cell), named(cell.coordinates)

    def has_ended() -> bool:
        owned()
        return work.has_ended(cell)

    try:
        status = run_cell(
            cell,
            folder,
            allow=work.allow,
            device=work.device,
            watch=watch,
            stop=stop,
            has_ended=has_ended,
        )
    except RunBusy as busy:
        return Attempt(cell, busy=busy)
    except KeyboardInterrupt:
        watch.run_lost(label, again=True)
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and call exit()
        failure = error if isinstance(error, ElasticError) else unexplained(error, folder)
        watch.run_lost(label, again=False)
        watch.note(f"{label} failed: {failure}")
        return Attempt(cell, failed=failure)
    if status is None:
        watch.run_ended_elsewhere(label)
    return Attempt(cell)


def unexplained(error: Exception | SystemExit, folder: Path) -> RunFailed:
    """Return the failure for an error other than elastic's; its traceback is written to the run's folder."""
    path = folder / "traceback.txt"
    with suppress(StudyError):  # a full disk must not hide the error
        write_atomically(path, "".join(traceback.format_exception(error)).encode(errors="replace"))
    found = f"{type(error).__name__}: {error}".partition("\n")[0]
    return RunFailed("the run", "raise no error of its own", found, f"mending what {path} shows", place=str(folder))
