"""Begins in this process and goes over to workers once they are measured to save time.

To start a worker takes seconds, in which a small study is done. How long a study takes is known only when its first
epochs are trained. Going over loses nothing: the run that is under way goes on from its checkpoint, bit by bit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from elastic.errors import ElasticError
from elastic.progress import Relay, Watcher
from elastic.study.executors.attempts import Work
from elastic.study.executors.board import Board
from elastic.study.executors.capacity import environments, threads_of, workers_allowed
from elastic.study.executors.serial import run_serially, try_all
from elastic.study.executors.worker import Settings
from elastic.study.executors.workers import run_in_workers
from elastic.study.stopping import Stop

#: Seconds that are measured at least, that a worker takes to start, and that are to be saved at least.
MEASURED, START, SAVED = 5.0, 5.0, 10.0


def run_automatically(board: Board, work: Work, settings: Settings, watch: Watcher, stop: Stop) -> None:
    """Carry out all runs, in this process or in workers.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    """
    cells, device = board.left, work.device
    if len(cells) == 1 or workers_allowed(cells, device) == 1:
        run_serially(board, work, watch, stop)
        return
    epochs = sum(cell.settings.training.epochs for cell in cells)
    pace = Pace(watch, epochs, max(threads_of(cell) for cell in cells))
    count = 1

    def is_over() -> bool:
        nonlocal count
        if stop():
            return True
        if pace.seconds >= MEASURED:
            asked = min(len(board.left), workers_allowed(board.left, device))
            count = asked if saves(pace.seconds, pace.done, pace.left, asked) else 1
        return count > 1

    try:
        try_all(board, work, pace, is_over)
    except KeyboardInterrupt:
        if stop() or count == 1:
            raise
        watch.note(f"{len(board.left)} runs are left: going on with {count} at a time, in processes of their own")
        try:
            run_in_workers(board, settings, watch, stop, count=count, environments=environments(cells, device))
            return
        except ElasticError as error:  # no worker starts: they may lack a module that this process has imported
            watch.note(f"{error}; going on in this process")
    board.retry_busy()
    run_serially(board, work, watch, stop)


def saves(seconds: float, done: int, left: int, count: int) -> bool:
    """Return whether it saves time to leave the rest to workers.

    Parameters
    ----------
    seconds, done
        How long so many epochs took.
    left
        Epochs that are left.
    count
        Number of workers.

    Examples
    --------
    >>> saves(6.0, 60, 400, count=2), saves(6.0, 60, 200, count=2), saves(1.0, 1, 400, count=2)
    (True, False, False)
    """
    if seconds < MEASURED or not done:
        return False
    rest = seconds / done * left
    return rest - (START + rest / count) >= SAVED


class Pace(Relay):
    """Measures how fast epochs go, and passes on what it is told.

    It measures the time of the process on its cores: where others use the cores, more processes are not the way to save
    time, and what a study takes does not depend on who else is busy.

    Parameters
    ----------
    watch
        Who is told.
    epochs
        How many all runs have.
    threads
        How many cores a run uses at the same time.

    Attributes
    ----------
    done, left
        Epochs trained since the first run began, and those that are left of all runs.
    """

    def __init__(self, watch: Watcher, epochs: int, threads: int) -> None:
        super().__init__(watch)
        self.done, self.left = 0, epochs
        self._threads = threads
        self._begun: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the first run began."""
        return 0.0 if self._begun is None else (time.process_time() - self._begun) / self._threads

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Leave out what was trained before."""
        self._begun = time.process_time() if self._begun is None else self._begun
        self.left -= epoch
        super().run_started(label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Count an epoch."""
        if epoch:
            self.done, self.left = self.done + 1, self.left - 1
        super().epoch_done(epoch, scores, probed)
