"""The workers of a study: the run of each, its messages, and what happens to its run when it dies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

from elastic.errors import ElasticError, RunFailed
from elastic.progress import Watcher
from elastic.study.completeness import named
from elastic.study.executors.attempts import Attempt
from elastic.study.executors.board import Board
from elastic.study.executors.events import Event
from elastic.study.executors.worker import READY, STOPPED, Settings, Unfit
from elastic.study.executors.worker_process import Worker

#: How many workers in a row may die before they are ready.
STILLBORN = 3


class Pool:
    """The workers of a study: started when there is a run for them, and replaced when they die."""

    def __init__(
        self, board: Board, settings: Settings, watch: Watcher, count: int, environments: Sequence[dict[str, str]]
    ) -> None:
        self._board, self._settings, self._watch = board, settings, watch
        self._environments = [environments[place % len(environments)] for place in range(count)]
        self._workers: list[Worker | None] = [None] * count
        self._stillborn = 0
        self._is_stopping = False

    def start(self) -> None:
        """Start all workers, before there is a run for them."""
        for place, worker in enumerate(self._workers):
            if worker is None:
                self._workers[place] = Worker(self._settings, self._environments[place])

    def has_started(self, seconds: float) -> bool:
        """Wait at most this many seconds for workers to start; return whether all have started or died.

        Raises
        ------
        ElasticError
            If a worker reports that it cannot start.
        """
        until = time.monotonic() + seconds
        self.listen(0.0)
        while self._is_starting and (left := until - time.monotonic()) > 0:
            self.listen(left)
        return not self._is_starting

    @property
    def _is_starting(self) -> bool:
        return any(worker is not None and not worker.is_ready for worker in self._workers)

    def assign(self) -> None:
        """Send a run to each idle worker, as long as there are runs to try."""
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
        """Wait at most this long for messages of the workers, and process them."""
        workers = {worker.connection: worker for worker in self._workers if worker is not None}
        ready = wait(list(workers), seconds)
        for connection, worker in workers.items():
            if connection in ready:
                self._receive(worker)
            elif worker.has_ended:
                self._bury(worker)

    def stop(self) -> None:
        """Ask each worker to stop after its epoch; idle ones end at once."""
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
        """Kill all workers; their runs can be resumed."""
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
            message.deliver(self._watch.worker(place))
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
        """Return the run of a worker that died to the queue."""
        how, cell, place = worker.end(), worker.cell, self._workers.index(worker)
        self._end(worker)
        if cell is None:
            return
        if not worker.is_ready or self._is_stopping:
            self._board.give_back(cell)
            self._stillborn += not self._is_stopping
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


def unfit(how: str) -> RunFailed:
    """Return the error of workers that cannot start."""
    hint = "--workers 1, which runs everything in this process, or the messages above"
    return RunFailed("a worker process", "start", f"one that was {how}", hint)
