"""Several processes of this machine carry out the runs of a study; this one gives them out and tells of progress."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from elastic.errors import ElasticError, RunFailed
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.completeness import named
from elastic.study.executors.attempts import Attempt
from elastic.study.executors.board import Board
from elastic.study.executors.serial import Waiting
from elastic.study.executors.worker import READY, STOP, STOPPED, Event, Settings, Unfit
from elastic.study.stopping import SIGNALS, Stop

#: Seconds between two looks at signals and at workers that died without a word.
TICK = 0.1

#: Seconds between two looks at the runs of other processes while workers are busy.
BETWEEN_LOOKS = 2.0

#: How many workers in a row may die before they can take a run.
STILLBORN = 3

#: What a new interpreter does. It takes its path from the pipe, so that it finds what this process finds.
BOOT = (
    "import sys; from multiprocessing.connection import Connection; pipe = Connection(int(sys.argv[1])); "
    "sys.path[:] = pipe.recv(); from elastic.study.executors.worker import work_for; work_for(pipe)"
)


def run_in_workers(
    board: Board,
    settings: Settings,
    watch: Watcher,
    stop: Stop,
    *,
    count: int,
    environments: Sequence[dict[str, str]] = ({},),
) -> None:
    """Carry out all runs in worker processes until each has ended, here or in another process, or failed here.

    Parameters
    ----------
    board
        What is left.
    settings
        What each worker is told.
    watch, stop
        Told of progress; asked whether to stop.
    count
        Greatest number of workers.
    environments
        Environment variables, taken in turn by the workers: one GPU each.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    RunFailed
        If no worker can start.
    """
    with _pool(Pool(board, settings, watch, count, environments)) as pool:
        waiting = Waiting(watch, stop)
        ticks = 0
        while board.left:
            if stop():
                pool.stop()
            else:
                pool.assign()
            if board.running:
                stop.end_wait()
                pool.listen(TICK)
                ticks += 1
                if board.busy and ticks * TICK >= BETWEEN_LOOKS:
                    ticks = 0
                    board.retry_busy()
            elif stop():
                raise KeyboardInterrupt
            elif board.busy:
                waiting.pause(board.busy)
                board.retry_busy()


@contextmanager
def _pool(pool: Pool) -> Iterator[Pool]:
    """End all workers with the block, however it is left; a second signal ends the farewell, too."""
    try:
        yield pool
    finally:
        pool.close()


class Pool:
    """The workers of a study: started when there is a run for them, replaced when they die."""

    def __init__(
        self, board: Board, settings: Settings, watch: Watcher, count: int, environments: Sequence[dict[str, str]]
    ) -> None:
        self._board, self._settings, self._watch = board, settings, watch
        self._environments = [environments[place % len(environments)] for place in range(count)]
        self._workers: list[Worker | None] = [None] * count
        self._stillborn = 0
        self._is_stopping = False

    def assign(self) -> None:
        """Give a run to each worker that has none, as long as there are runs to try."""
        for place, worker in enumerate(self._workers):
            if worker is not None and worker.cell is not None:
                continue
            cell = self._board.take()
            if cell is None:
                return
            try:
                if worker is None:
                    worker = self._workers[place] = Worker(self._settings, self._environments[place])
                worker.give(cell)
            except BaseException:
                self._board.give_back(cell)
                raise

    def listen(self, seconds: float) -> None:
        """Wait for messages of the workers, at most so long, and act on them."""
        workers = {worker.connection: worker for worker in self._workers if worker is not None}
        ready = wait(list(workers), seconds)
        for connection, worker in workers.items():
            if connection in ready:
                self._receive(worker)
            elif worker.has_ended:
                self._bury(worker)

    def stop(self) -> None:
        """Let each worker stop after its epoch; those that train nothing yet end at once."""
        if self._is_stopping:
            return
        self._is_stopping = True
        for worker in self._workers:
            if worker is not None and worker.cell is not None:
                worker.stop()
                if not worker.is_ready:
                    self._board.give_back(worker.cell)
                    self._end(worker)

    def close(self) -> None:
        """End all workers at once; what they were carrying out is left."""
        for worker in self._workers:
            if worker is not None:
                worker.kill()
                if worker.cell is not None:
                    self._board.give_back(worker.cell)

    def _receive(self, worker: Worker) -> None:
        try:
            message: Any = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if isinstance(message, Event):
            place = self._workers.index(worker)
            getattr(self._watch.worker(place), message.method)(*message.arguments)
        elif isinstance(message, Attempt):
            worker.cell = None
            self._board.settle(message)
        elif message == READY:
            worker.is_ready = True
            self._stillborn = 0
        elif message == STOPPED:
            cell, worker.cell = worker.cell, None
            if cell is not None:
                self._board.give_back(cell)
        elif isinstance(message, Unfit):
            raise message.error if isinstance(message.error, ElasticError) else unfit(message.error)

    def _bury(self, worker: Worker) -> None:
        """Give the run of a worker that died to another one."""
        how, cell, place = worker.end(), worker.cell, self._workers.index(worker)
        self._end(worker)
        if cell is None:
            return
        if not worker.is_ready:
            self._board.give_back(cell)
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise unfit(how)
            return
        label = named(cell.coordinates)
        failure = self._board.lost(cell, how)
        self._watch.worker(place).run_lost(label, failure is None)
        again = "goes on from its checkpoint in another one" if failure is None else "is given up"
        self._watch.note(f"{label}: its process was {how}; the run {again}")

    def _end(self, worker: Worker) -> None:
        worker.kill()
        self._workers[self._workers.index(worker)] = None


class Worker:
    """A worker process, seen from its owner.

    Attributes
    ----------
    cell
        The run that it carries out, None while it has none.
    is_ready
        Whether it has started.
    """

    def __init__(self, settings: Settings, environment: dict[str, str]) -> None:
        self.cell: Cell | None = None
        self.is_ready = False
        self.connection, theirs = Pipe()
        with theirs, blocked_signals():
            self._process = _started(theirs, environment)
        self._send(sys.path)
        self._send(settings)

    def give(self, cell: Cell) -> None:
        """Let the worker carry out a run."""
        self.cell = cell
        self._send(cell)

    def stop(self) -> None:
        """Let the worker stop after the epoch."""
        self._send(STOP)

    @property
    def has_ended(self) -> bool:
        """Whether the process is dead and has nothing left to say."""
        return self._process.poll() is not None and not self.connection.poll()

    def end(self) -> str:
        """Wait for the end of a process that has closed its pipe; return how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        self.kill()
        return in_words(self._process.returncode)

    def kill(self) -> None:
        """End the process at once: between two epochs and in the middle of one, what it recorded is kept."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # a worker that died is noticed when it is listened to
            self.connection.send(message)


def _started(theirs: Connection, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # The spin count is as in `elastic.__main__`: threads that wait must not hold the cores that others need.
    variables = {"GOMP_SPINCOUNT": "2000", **os.environ, **environment}
    descriptor = theirs.fileno()
    command = [sys.executable, "-P", "-c", BOOT, str(descriptor)]
    return subprocess.Popen(command, pass_fds=[descriptor], env=variables, stdin=subprocess.DEVNULL)


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block signals in a process that is started in the block, until it ignores them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_words(code: int | None) -> str:
    """Return how a process ended, completing "was …".

    >>> in_words(-9), in_words(1)
    ('killed by signal 9 (SIGKILL)', 'ended with exit code 1')
    """
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    return f"killed by signal {-code}"


def unfit(how: str) -> RunFailed:
    """Return the error of workers that cannot start."""
    hint = "--workers 1, which runs everything in this process, or the messages above"
    return RunFailed("a worker process", "start", f"one that was {how}", hint)
