"""Begins in this process and goes over to workers once they are measured to save time.

To start a worker takes seconds, in which a small study is done. How long a study takes is known only when its first
epochs are trained. Workers start while this process goes on with its run, and take over when they are ready. Going over
loses nothing: the run that is under way goes on from its checkpoint, bit by bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing

from elastic.errors import ElasticError
from elastic.progress import Relay, Watcher
from elastic.protocol import Cell
from elastic.study.executors.attempts import Work
from elastic.study.executors.board import Board
from elastic.study.executors.capacity import environments, threads_of, workers_allowed
from elastic.study.executors.pool import Pool
from elastic.study.executors.serial import run_serially, try_all
from elastic.study.executors.worker import Settings
from elastic.study.executors.workers import carry_out
from elastic.study.growth import probed
from elastic.study.stopping import Stop

#: Seconds that are measured at least, that workers take to start, and that are to be saved at least.
MEASURED, START, SAVED = 2.0, 4.0, 5.0

#: Seconds that this process waits for its workers to start, after each epoch that it trains in the meantime.
PATIENCE = 0.0


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
    pace = Pace(watch, cells)

    def count() -> int:
        asked = min(len(board.left), workers_allowed(board.left, device))
        return asked if pace.seconds >= MEASURED and saves(pace.rest, asked) else 1

    with ExitStack() as stack:

        def start(workers: int) -> Pool:
            pool = Pool(board, settings, watch, workers, environments(cells, device))
            stack.enter_context(closing(pool)).start()  # however the block is left
            return pool

        handover = Handover(count, start, watch, stop)
        try:
            try_all(board, work, pace, handover)
        except KeyboardInterrupt:
            if stop() or handover.pool is None or not handover.is_ready:
                raise
            watch.note(f"{len(board.left)} runs are left: going on with {handover.workers} at a time, in processes")
            try:
                carry_out(board, handover.pool, watch, stop)
                return
            except ElasticError as error:  # no worker starts: they may lack a module that this process has imported
                watch.note(f"{error}; going on in this process")
    board.retry_busy()
    run_serially(board, work, watch, stop)


class Handover:
    """Asked after every epoch whether this process is to leave its run: to stop, or to workers that have started.

    Parameters
    ----------
    count
        Returns how many workers are worth while.
    start
        Starts so many.
    watch, stop
        Told of workers that cannot start; asked whether to stop.

    Attributes
    ----------
    pool, workers
        What was started, None and 1 before; also where they cannot start.
    is_ready
        Whether all of them have started.
    """

    def __init__(self, count: Callable[[], int], start: Callable[[int], Pool], watch: Watcher, stop: Stop) -> None:
        self.pool: Pool | None = None
        self.workers, self.is_ready = 1, False
        self._count, self._start, self._watch, self._stop = count, start, watch, stop
        self._is_given_up = False

    def __call__(self) -> bool:
        """Return whether to leave the run that is under way."""
        if self._stop():
            return True
        try:
            if self.pool is None and not self._is_given_up and (workers := self._count()) > 1:
                self.pool, self.workers = self._start(workers), workers
            self.is_ready = self.pool is not None and self.pool.has_started(PATIENCE)
        except (ElasticError, OSError) as error:  # they may lack a module that this process has imported
            if self.pool is not None:
                self.pool.close()
            self.pool, self._is_given_up = None, True
            self._watch.note(f"{error}; going on in this process")
        return self.is_ready


def saves(rest: float, workers: int) -> bool:
    """Return whether it saves time to leave the rest to workers.

    Parameters
    ----------
    rest
        Seconds that the rest takes in this process, which goes on while they start.
    workers
        How many.

    Examples
    --------
    >>> saves(20.0, workers=2), saves(12.0, workers=2), saves(1000.0, workers=1)
    (True, False, False)
    """
    return (rest - START) * (1 - 1 / workers) >= SAVED


class Pace(Relay):
    """Measures how fast epochs go, with and without probes, and passes on what it is told.

    It measures the time of the process on its cores: where others use the cores, more processes are not the way to save
    time, and what a study takes does not depend on who else is busy.

    Parameters
    ----------
    watch
        Who is told.
    cells
        The runs that are left.

    Attributes
    ----------
    left
        Epochs that are left of all runs, without probes (False) and with them (True).
    """

    def __init__(self, watch: Watcher, cells: Sequence[Cell]) -> None:
        from elastic.runs.cell import in_words

        super().__init__(watch)
        self._probed = {in_words(c.coordinates): probed(c.settings, c.settings.training.epochs) for c in cells}
        every = sum(cell.settings.training.epochs + 1 for cell in cells)
        with_probes = sum(map(len, self._probed.values()))
        self.left = {False: every - with_probes, True: with_probes}
        self._done, self._took = {False: 0, True: 0}, {False: 0.0, True: 0.0}
        self._threads = max(map(threads_of, cells))
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """Seconds that were measured."""
        return sum(self._took.values())

    @property
    def rest(self) -> float:
        """Seconds that the rest takes, as far as epochs like it were measured."""
        return sum(self.left[kind] * self._took[kind] / done for kind, done in self._done.items() if done)

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Leave out what was trained before."""
        self._since = time.process_time()
        if epoch:
            with_probes = sum(known <= epoch for known in self._probed[label])
            self.left[True] -= with_probes
            self.left[False] -= epoch + 1 - with_probes
        super().run_started(label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Count an epoch."""
        before, self._since = self._since, time.process_time()
        self._took[probed] += (self._since - before) / self._threads
        self._done[probed] += 1
        self.left[probed] -= 1
        super().epoch_done(epoch, scores, probed)
