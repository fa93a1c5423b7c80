"""Automatic executor: starts in this process and switches to workers once measurements show that they save time.

Starting a worker takes seconds, enough to finish a small study. The duration of a study is known only after its first
epochs. Workers start while this process continues its run, and take over when they are ready. Switching loses
nothing: the current run resumes from its checkpoint, bit for bit.
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

#: Least seconds to measure, seconds to start workers, and least seconds to save.
MEASURED, START, SAVED = 2.0, 4.0, 5.0

#: Seconds that this process waits for its workers to start, after each epoch that it trains in the meantime.
PATIENCE = 0.0


def run_automatically(board: Board, work: Work, settings: Settings, watch: Watcher, stop: Stop) -> None:
    """Run all runs, in this process or in workers.

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
            watch.note(f"{len(board.left)} runs are left: continuing with {handover.workers} worker processes")
            try:
                carry_out(board, handover.pool, watch, stop)
                return
            except ElasticError as error:  # no worker starts: they may lack a module that this process has imported
                watch.note(f"{error}; continuing in this process")
    board.retry_busy()
    run_serially(board, work, watch, stop)


class Handover:
    """Asked after every epoch whether this process should leave its run: to stop, or to workers that have started.

    Parameters
    ----------
    count
        Returns how many workers save time.
    start
        Starts this many workers.
    watch, stop
        Receives a message if workers cannot start; asked whether to stop.

    Attributes
    ----------
    pool, workers
        The started workers and their number; None and 1 before, and if they cannot start.
    is_ready
        Whether all of them have started.
    """

    def __init__(self, count: Callable[[], int], start: Callable[[int], Pool], watch: Watcher, stop: Stop) -> None:
        self.pool: Pool | None = None
        self.workers, self.is_ready = 1, False
        self._count, self._start, self._watch, self._stop = count, start, watch, stop
        self._is_given_up = False

    def __call__(self) -> bool:
        """Return whether to leave the current run."""
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
            self._watch.note(f"{error}; continuing in this process")
        return self.is_ready


def saves(rest: float, workers: int) -> bool:
    """Return whether leaving the remaining runs to workers saves time.

    Parameters
    ----------
    rest
        Seconds that the remaining runs take in this process, which continues while workers start.
    workers
        Number of workers.

    Examples
    --------
    >>> saves(20.0, workers=2), saves(12.0, workers=2), saves(1000.0, workers=1)
    (True, False, False)
    """
    return (rest - START) * (1 - 1 / workers) >= SAVED


class Pace(Relay):
    """Measures the duration of epochs, with and without probes, and forwards all calls to a watcher.

    It measures CPU time of the process on its cores: if other processes use the cores, more processes save no time, and
    the cost of a study does not depend on other load.

    Parameters
    ----------
    watch
        Watcher that receives the calls.
    cells
        The remaining runs.

    Attributes
    ----------
    left
        Remaining epochs of all runs, without probes (False) and with them (True).
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
        """Measured seconds."""
        return sum(self._took.values())

    @property
    def rest(self) -> float:
        """Remaining seconds, for epochs of a kind that was measured."""
        return sum(self.left[kind] * self._took[kind] / done for kind, done in self._done.items() if done)

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Exclude what was trained before."""
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
