"""Which runs of a study are left, and their results: the state shared by all executors.

A run whose worker was killed is tried again from its checkpoint. The cause is attributed as follows:

1. After the first death of its worker a run returns to the queue: the cause may be unrelated to the run.
2. If the worker dies again and the run has recorded no epoch in between, the run is *suspect*: it is tried once more
   after all others, with no other run beside it, so that memory used by others is excluded as the cause.
3. If its worker dies again without a recorded epoch since the last death, the run has failed.

Deaths are counted in memory: if the process itself is killed (a walltime limit), no run is charged with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from elastic.errors import ElasticError, RunBusy, RunFailed
from elastic.protocol import Cell
from elastic.study.completeness import named
from elastic.study.executors.attempts import Attempt, Work

#: Value for a run without records when its worker died.
NOTHING: Final = -1.0


class Board:
    """The remaining runs of a study, in the order in which they are tried.

    Parameters
    ----------
    cells
        Runs that have not ended.
    work
        Folder of the runs' folders.

    Attributes
    ----------
    busy
        Runs that other processes own, with the error that names the owner.
    failed
        Runs that failed, with the error.
    """

    def __init__(self, cells: Iterable[Cell], work: Work) -> None:
        self.busy: list[tuple[Cell, RunBusy]] = []
        self.failed: list[tuple[Cell, ElasticError]] = []
        self._work = work
        self._queue = deque(cells)
        self._suspects: deque[Cell] = deque()
        self._running: dict[str, Cell] = {}
        self._alone = False
        self._deaths: dict[str, list[float]] = {}

    @property
    def running(self) -> int:
        """Number of runs in progress here."""
        return len(self._running)

    @property
    def left(self) -> Sequence[Cell]:
        """Runs that have neither ended nor failed."""
        busy = [cell for cell, _ in self.busy]
        return [*self._running.values(), *self._queue, *self._suspects, *busy]

    def take(self) -> Cell | None:
        """Return the next run to try, None if none can be tried now."""
        if self._alone:
            return None
        if self._queue:
            return self._started(self._queue.popleft())
        if self._suspects and not self._running:
            self._alone = True
            return self._started(self._suspects.popleft())
        return None

    def put_first(self, is_first: Callable[[Cell], bool]) -> None:
        """Try some runs before all others."""
        self._queue = deque(sorted(self._queue, key=lambda cell: not is_first(cell)))

    def settle(self, attempt: Attempt) -> None:
        """Store the result of an attempt."""
        self._stopped(attempt.cell)
        if attempt.busy is not None:
            self.busy.append((attempt.cell, attempt.busy))
        if attempt.failed is not None:
            self.failed.append((attempt.cell, attempt.failed))

    def retry_busy(self) -> None:
        """Try the runs that other processes own again."""
        self._queue.extend(cell for cell, _ in self.busy)
        self.busy.clear()

    def give_back(self, cell: Cell) -> None:
        """Return a run to the queue, first, if its attempt ended before it started or was stopped."""
        was_alone = self._alone
        self._stopped(cell)
        (self._suspects if was_alone else self._queue).appendleft(cell)

    def lost(self, cell: Cell, how: str) -> RunFailed | None:
        """Record the death of a run's worker; return the error if the run is the cause.

        Parameters
        ----------
        cell
            Run of the worker.
        how
            Cause of death, completing "its process was …".
        """
        alone = len(self._running) == 1
        self._stopped(cell)
        epoch = self._work.epoch(cell)
        reached = NOTHING if epoch is None else epoch
        deaths = self._deaths.setdefault(cell.digest, [])
        repeated = bool(deaths) and deaths[-1] == reached
        deaths.append(reached)
        if repeated and alone:
            failure = self._blame(cell, how, len(deaths))
            self.failed.append((cell, failure))
            return failure
        (self._suspects if repeated else self._queue).append(cell)
        return None

    def _blame(self, cell: Cell, how: str, times: int) -> RunFailed:
        epoch = self._work.epoch(cell)
        after = "before its first epoch" if epoch is None else f"after epoch {epoch:g}"
        found = f"one that was {how} {after}, {times} times, the last time with no other run beside it"
        hint = "more memory for it, or --workers 1, where an error of its code is seen; the others are kept"
        folder = str(self._work.folder(cell))
        return RunFailed(f"the run {named(cell.coordinates)}", "leave its process alive", found, hint, place=folder)

    def _started(self, cell: Cell) -> Cell:
        self._running[cell.digest] = cell
        return cell

    def _stopped(self, cell: Cell) -> None:
        del self._running[cell.digest]
        self._alone = False
