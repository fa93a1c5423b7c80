"""The runs of a study that have not ended: this process takes those that are free, then waits for those of others.

Any number of processes run one study. Each tries every run that has not ended; one that another process owns is passed
over and tried again, so that a run whose owner died, or met an error, is taken up. All of them end when all runs have.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from elastic.cube import write_atomically
from elastic.errors import ElasticError, RunBusy, RunFailed, StudyError
from elastic.progress import Watcher
from elastic.protocol import Cell, Protocol
from elastic.study.stopping import Stop
from elastic.study.study import Study

#: Seconds between two looks at the runs of others: the first, and the longest.
SOON, LATE = 0.1, 2.0

#: Seconds between two notes of what is waited for.
BETWEEN_NOTES = 30.0

#: How many runs a note names.
NAMED = 3


@dataclass(frozen=True)
class Attempt:
    """How it went to run a cell: ended, unless another process owns it or it failed."""

    cell: Cell
    busy: RunBusy | None = None
    failed: ElasticError | None = None


def run_cells(
    study: Study, protocol: Protocol, *, allow: Sequence[str], device: str | None, watch: Watcher, stop: Stop
) -> list[ElasticError]:
    """Run all cells that have not ended, or wait for the processes that do; return the errors of those that failed.

    A run that fails is tried once by each process. One that another process has ended since is no failure.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    """
    from elastic.runs.setup import forget_data

    ended = {run.cell for run in study.runs() if run.ended}
    left = [cell for cell in protocol.cells if cell.digest not in ended]
    watch.study_started(study.name, len(protocol.cells), len(protocol.cells) - len(left))
    waiting, failed = Waiting(watch, stop), []
    try:
        while left:
            attempts = [attempt(cell, study, allow=allow, device=device, watch=watch, stop=stop) for cell in left]
            failed += [(one.cell, one.failed) for one in attempts if one.failed]
            busy = [(one.cell, one.busy) for one in attempts if one.busy]
            if len(busy) == len(left):
                waiting.pause(busy)
            else:
                waiting.go_on()
            left = [cell for cell, _ in busy]
    finally:
        forget_data()
    return [error for cell, error in failed if not has_ended(study, cell)]


def attempt(
    cell: Cell, study: Study, *, allow: Sequence[str], device: str | None, watch: Watcher, stop: Stop
) -> Attempt:
    """Run a cell to its end, unless another process owns it or has ended it."""
    from elastic.runs.cell import in_words, run_cell

    folder = study.run_folder(cell.digest)
    try:
        status = run_cell(
            cell,
            folder,
            allow=allow,
            device=device,
            watch=watch,
            stop=stop,
            has_ended=lambda: study.has_ended(cell.digest),
        )
    except RunBusy as busy:
        return Attempt(cell, busy=busy)
    except Exception as error:  # a model of the user's own may raise anything; the other runs go on
        told = error if isinstance(error, ElasticError) else unexplained(error, folder)
        watch.note(f"failed: {told}")
        return Attempt(cell, failed=told)
    if status is None:
        watch.run_ended_elsewhere(in_words(cell.coordinates))
    return Attempt(cell)


def has_ended(study: Study, cell: Cell) -> bool:
    """Return whether a run has ended, as far as its folder can be read."""
    with suppress(ElasticError):
        return study.has_ended(cell.digest)
    return False


def unexplained(error: Exception, folder: Path) -> RunFailed:
    """Return what to tell of an error that is none of elastic's; its traceback is kept in the run's folder."""
    path = folder / "traceback.txt"
    with suppress(StudyError):  # a full disk must not hide the error
        write_atomically(path, "".join(traceback.format_exception(error)).encode(errors="replace"))
    found = f"{type(error).__name__}: {error}".partition("\n")[0]
    return RunFailed("the run", "raise no error of its own", found, f"mending what {path} shows", place=str(folder))


class Waiting:
    """Waits for runs that other processes own, a little longer each time, and says so now and then."""

    def __init__(self, watch: Watcher, stop: Stop) -> None:
        self._watch, self._stop = watch, stop
        self._seconds = SOON
        self._told: float | None = None

    def go_on(self) -> None:
        """Look again soon: something has changed."""
        self._seconds = SOON

    def pause(self, busy: Sequence[tuple[Cell, RunBusy]]) -> None:
        """Wait until it is time to look again.

        Raises
        ------
        KeyboardInterrupt
            If the process is asked to stop.
        """
        now = time.monotonic()
        if self._told is None or now - self._told >= BETWEEN_NOTES:
            self._told = now
            self._watch.note(waited_for(busy))
        self._stop.waiting = True
        try:
            while not self._stop() and (left := now + self._seconds - time.monotonic()) > 0:
                time.sleep(min(left, SOON))
        finally:
            self._stop.waiting = False
        if self._stop():
            raise KeyboardInterrupt
        self._seconds = min(2 * self._seconds, LATE)


def waited_for(busy: Sequence[tuple[Cell, RunBusy]]) -> str:
    """Return which runs are waited for, and whose they are."""
    from elastic.runs.cell import in_words

    named = [f"{in_words(cell.coordinates)} ({error.found})" for cell, error in busy[:NAMED]]
    more = f" and {len(busy) - NAMED} more" if len(busy) > NAMED else ""
    return f"waiting for runs of other processes: {', '.join(named)}{more}; Ctrl-C ends the wait, not their runs"
