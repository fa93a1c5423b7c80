"""The task of a worker of a dask scheduler: one run, whose events it sends to the client."""

from __future__ import annotations

import os
import threading

from elastic.protocol import Cell
from elastic.study.executors.attempts import Attempt, attempt
from elastic.study.executors.events import Event, EventSender
from elastic.study.executors.worker import BEGUN, STOPPED, Settings, prepare

#: Random numbers and threads of torch belong to the process: one run at a time, whatever the number of dask's threads.
_ONE = threading.Lock()

#: Seconds between two events of epochs without probes.
BETWEEN_EVENTS = 0.5

#: States of a task that the client still waits for.
_WANTED = ("executing", "long-running")

#: States of a worker that is closing, also because its scheduler has gone.
_ENDING = ("closing", "closed", "failed", "stopping", "stopped")


def carry_out(cell: Cell, settings: Settings, topic: str) -> Attempt | None:
    """Run a run on this worker; None if it was stopped.

    It stops after the epoch when the client no longer waits for it: it was stopped, has ended, or was lost.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_unwanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in _WANTED or worker.status.name in _ENDING

    def send(event: Event) -> None:
        worker.log_event(topic, [cell.digest, worker.address, event.method, list(event.arguments)])

    watch = EventSender(send, BETWEEN_EVENTS)
    with _ONE:
        if is_unwanted():
            return None
        os.environ.update(environment(settings, worker.name))
        watch.emit(BEGUN, os.getpid())
        try:
            prepare(settings)
            return attempt(cell, settings.work, watch, is_unwanted)
        except KeyboardInterrupt:
            return None
        finally:
            watch.emit(STOPPED)


def environment(settings: Settings, name: object) -> dict[str, str]:
    """Return the environment variables of one of the workers of a local cluster, selected by its index.

    >>> from elastic.study.executors.attempts import Work
    >>> from pathlib import Path
    >>> settings = Settings(Work(Path()), environments=({"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}))
    >>> environment(settings, 1), environment(settings, "tcp://10.0.0.2:4000")
    ({'CUDA_VISIBLE_DEVICES': '5'}, {})
    """
    known = settings.environments
    return known[int(str(name)) % len(known)] if known and str(name).isdigit() else {}
