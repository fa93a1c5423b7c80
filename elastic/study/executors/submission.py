"""The runs submitted to a dask scheduler, and their events."""

from __future__ import annotations

import queue
import uuid
from typing import TYPE_CHECKING, Any

from elastic.errors import RunFailed
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.completeness import named
from elastic.study.executors.attempts import Attempt, unexplained
from elastic.study.executors.board import Board
from elastic.study.executors.deaths import Deaths
from elastic.study.executors.events import Event
from elastic.study.executors.waiting import TICK
from elastic.study.executors.worker import BEGUN, STOPPED, Settings

if TYPE_CHECKING:
    from distributed import Client, Future, KilledWorker

#: Of a future.
_DONE, _FAILED = "finished", "error"


class Submission:
    """The runs submitted to a scheduler, and their events. Its threads put events in a queue, which `listen` reads."""

    def __init__(
        self, client: Client, board: Board, settings: Settings, watch: Watcher, address: str, deaths: Deaths
    ) -> None:
        self._client, self._board, self._settings, self._watch = client, board, settings, watch
        self._address, self._deaths = address, deaths
        self._topic = f"elastic-{uuid.uuid4().hex}"
        self._futures: dict[Future, Cell] = {}
        self._wanted: set[str] = set()
        self._begun: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._processes: dict[str, int] = {}
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        client.subscribe_topic(self._topic, lambda event: self._news.put(event[1]))

    def submit(self) -> None:
        """Submit all runs that can be tried."""
        from elastic.study.executors.remote import carry_out

        while (cell := self._board.take()) is not None:
            key = f"{self._topic}-{cell.digest}-{uuid.uuid4().hex[:8]}"
            future = self._client.submit(carry_out, cell, self._settings, self._topic, key=key, pure=False)
            self._futures[future] = cell
            self._wanted.add(cell.digest)
            future.add_done_callback(self._news.put)

    def listen(self, seconds: float) -> None:
        """Wait at most this long for events, and process all that have arrived."""
        try:
            news = self._news.get(timeout=seconds)
            while True:
                self._take(news)
                news = self._news.get_nowait()
        except queue.Empty:
            return

    def stop(self) -> None:
        """Cancel all runs, and wait until those in progress have stopped after an epoch, or their workers are gone."""
        self._client.cancel(list(self._futures))
        self._futures.clear()
        while self._begun:
            self.listen(TICK)
            alive = self._client.scheduler_info(n_workers=-1)["workers"]
            self._begun = {cell: worker for cell, worker in self._begun.items() if worker in alive}

    def close(self) -> None:
        """Leave nothing to the workers."""
        if self._futures:
            self._client.cancel(list(self._futures))
            self._futures.clear()

    def _take(self, news: Any) -> None:
        if isinstance(news, list | tuple):
            self._event(*news)
        elif news in self._futures:
            self._settle(news, self._futures.pop(news))

    def _event(self, cell: str, worker: str, method: str, arguments: list[Any]) -> None:
        if method == BEGUN:
            self._begun[cell] = worker
            self._processes[cell] = arguments[0]
            free = set(range(len(self._begun))) - set(self._places.values())
            self._places.setdefault(cell, min(free, default=len(self._places)))
        elif method == STOPPED:
            self._begun.pop(cell, None)
            self._places.pop(cell, None)
        elif cell in self._wanted:  # dask runs a task again if its result was lost with a worker
            Event(method, tuple(arguments)).deliver(self._watch.worker(self._places.get(cell, 0)))

    def _settle(self, future: Future, cell: Cell) -> None:
        self._wanted.discard(cell.digest)
        if future.status == _DONE:
            attempt: Attempt | None = future.result()
            if attempt is None:
                self._board.give_back(cell)
            else:
                self._board.settle(attempt)
        elif future.status == _FAILED:
            self._fail(cell, future.exception())
        else:  # cancelled, but not by this process
            hint = "the same command again, when a scheduler runs: what was recorded is kept"
            expected = "answer until all runs have ended"
            raise RunFailed(f"the scheduler {self._address}", expected, "no connection any more", hint)

    def _fail(self, cell: Cell, error: BaseException | None) -> None:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            self._bury(cell, error)
            return
        folder = self._settings.work.folder(cell)
        failure = unexplained(error if isinstance(error, Exception) else Exception(str(error)), folder)
        self._watch.note(f"{named(cell.coordinates)} failed: {failure}")
        self._board.settle(Attempt(cell, failed=failure))

    def _bury(self, cell: Cell, error: KilledWorker) -> None:
        """Record the death of a run's worker and report it; a run that had not started is not the cause."""
        if self._begun.pop(cell.digest, None) is None:
            self._board.give_back(cell)
            return
        label, place = named(cell.coordinates), self._places.pop(cell.digest, 0)
        how = self._deaths.of(self._processes.pop(cell.digest, None)) or unknown(error)
        failure = self._board.lost(cell, how)
        self._watch.worker(place).run_lost(label, failure is None)
        again = "goes on from its checkpoint" if failure is None else "is given up"
        self._watch.note(f"{label}: its worker was {how}; the run {again}")


def unknown(error: KilledWorker) -> str:
    """Return the known cause of death of a worker on another machine, completing "was …"."""
    times, address = error.allowed_failures + 1, error.last_worker.address
    where = f"lost at {address}" if times == 1 else f"lost on {times} workers, the last time at {address}"
    return f"{where} (dask's KilledWorker: the log of that worker shows the signal, or its batch job that it was ended)"
