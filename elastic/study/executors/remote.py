"""What a worker of a dask scheduler does: one run, of which it tells the client."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.executors.attempts import Attempt, attempt
from elastic.study.executors.worker import STOPPED, Settings, prepare

if TYPE_CHECKING:
    from distributed import Worker

#: Torch's random numbers and numbers of threads are the process's: one run at a time, however many threads it has.
_ONE = threading.Lock()

#: Seconds between two events of epochs that are not probed.
BETWEEN_EVENTS = 0.5

#: States of a task that is still wanted.
_WANTED = ("executing", "long-running")

#: Names of states of a worker that ends, also because its scheduler has gone.
_ENDING = ("closing", "closed", "failed", "stopping", "stopped")


class Reporting(Watcher):
    """Tells the client what a run tells, as events of the scheduler."""

    def __init__(self, worker: Worker, topic: str, cell: str) -> None:
        self._worker, self._topic, self._cell = worker, topic, cell
        self._last = 0.0

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Tell that a run begins or goes on."""
        self.tell("run_started", label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Tell the scores of an epoch; those between two probes twice a second at most."""
        if probed or time.monotonic() - self._last >= BETWEEN_EVENTS:
            self._last = time.monotonic()
            self.tell("epoch_done", epoch, {name: float(value) for name, value in scores.items()}, bool(probed))

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Tell that a run is done."""
        self.tell("run_finished", label, {name: float(value) for name, value in seconds.items()})

    def run_lost(self, label: str, again: bool) -> None:
        """Tell that a run was left before its end."""
        self.tell("run_lost", label, again)

    def run_ended_elsewhere(self, label: str) -> None:
        """Tell that another process has ended a run."""
        self.tell("run_ended_elsewhere", label)

    def note(self, message: str) -> None:
        """Tell something else."""
        self.tell("note", message)

    def tell(self, method: str, *arguments: Any) -> None:
        """Send an event: the run, its worker, a method of `Watcher`, and arguments."""
        self._worker.log_event(self._topic, [self._cell, self._worker.address, method, list(arguments)])


def carry_out(cell: Cell, settings: Settings, topic: str) -> Attempt | None:
    """Carry out a run on this worker; None if it was stopped.

    It stops after the epoch when the client no longer wants it: that was stopped, has ended, or was lost.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_unwanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in _WANTED or worker.status.name in _ENDING

    watch = Reporting(worker, topic, cell.digest)
    with _ONE:
        if is_unwanted():
            return None
        watch.tell("begun")
        try:
            prepare(settings)
            return attempt(cell, settings.work, watch, is_unwanted)
        except KeyboardInterrupt:
            return None
        finally:
            watch.tell(STOPPED)
