"""What a worker of a dask scheduler does: one run, of which it tells the client."""

from __future__ import annotations

import os
import threading

from elastic.protocol import Cell
from elastic.study.executors.attempts import Attempt, attempt
from elastic.study.executors.telling import Event, Telling
from elastic.study.executors.worker import BEGUN, STOPPED, Settings, prepare

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
        os.environ.update(environment(settings, worker.name))
        watch.tell(BEGUN, os.getpid())
        try:
            prepare(settings)
            return attempt(cell, settings.work, watch, is_unwanted)
        except KeyboardInterrupt:
            return None
        finally:
            watch.tell(STOPPED)


def environment(settings: Settings, name: object) -> dict[str, str]:
    """Return the environment variables of one of the workers of a local cluster, which are named by their places.

    >>> from elastic.study.executors.attempts import Work
    >>> from pathlib import Path
    >>> settings = Settings(Work(Path()), environments=({"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}))
    >>> environment(settings, 1), environment(settings, "tcp://10.0.0.2:4000")
    ({'CUDA_VISIBLE_DEVICES': '5'}, {})
    """
    known = settings.environments
    return known[int(str(name)) % len(known)] if known and str(name).isdigit() else {}
