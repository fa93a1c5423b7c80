"""What a worker of a dask scheduler does: one run, of which it tells the client."""

from __future__ import annotations

import threading

from elastic.protocol import Cell
from elastic.study.executors.attempts import Attempt, attempt
from elastic.study.executors.telling import Event, Telling
from elastic.study.executors.worker import STOPPED, Settings, prepare

#: Torch's random numbers and numbers of threads are the process's: one run at a time, however many threads it has.
_ONE = threading.Lock()

#: Seconds between two events of epochs that are not probed.
BETWEEN_EVENTS = 0.5

#: States of a task that is still wanted.
_WANTED = ("executing", "long-running")

#: Names of states of a worker that ends, also because its scheduler has gone.
_ENDING = ("closing", "closed", "failed", "stopping", "stopped")


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

    def send(event: Event) -> None:
        worker.log_event(topic, [cell.digest, worker.address, event.method, list(event.arguments)])

    watch = Telling(send, BETWEEN_EVENTS)
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
