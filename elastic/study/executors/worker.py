"""A worker: a process that runs the runs that its owner sends, and ends with its owner.

It is a new interpreter, without the script or the notebook that started the study: it receives what it needs through
a pipe. The owner handles signals, and asks the worker to stop after the epoch, or kills it. When the
other end of the pipe is closed, for any reason, the worker ends at once; all records are kept.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection

from elastic.errors import ElasticError
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.executors.attempts import Attempt, Work, attempt
from elastic.study.executors.events import EventSender
from elastic.study.stopping import SIGNALS

#: Messages to a worker: stop after the epoch. Messages of a worker: imports are done, an attempt was stopped.
STOP, READY, STOPPED = "stop", "ready", "stopped"

#: Message of a worker of a scheduler: it has started a run.
BEGUN = "begun"


@dataclass(frozen=True)
class Settings:
    """Settings that a worker receives when it starts.

    Attributes
    ----------
    work
        What the attempts share.
    modules
        Modules to import for what they register.
    threads
        Of torch; None leaves its default.
    environments
        Environment variables of the workers of a local cluster, taken in turn: one GPU each.
    """

    work: Work
    modules: tuple[str, ...] = ()
    threads: int | None = None
    environments: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Unfit:
    """A worker cannot start."""

    error: ElasticError | str


class Orders:
    """Messages of the owner, read by a separate thread, so that the worker notices its end during a run."""

    def __init__(self, connection: Connection) -> None:
        self._cells: queue.SimpleQueue[Cell] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._connection = connection
        self._parent = os.getppid()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def next(self) -> Cell:
        """Wait for the next run and return it."""
        return self._cells.get()

    def stop(self) -> bool:
        """Return whether to stop after the epoch."""
        return self._stop.is_set()

    def _listen(self) -> None:
        try:
            while True:
                # A process that was forked from the owner may hold the other end open.
                while not self._connection.poll(1.0):
                    if os.getppid() != self._parent:
                        return
                order = self._connection.recv()
                if order == STOP:
                    self._stop.set()
                else:
                    self._cells.put(order)
        finally:
            os._exit(0)


def work_for(connection: Connection) -> None:
    """Run runs until the connection is closed: the main loop of a worker."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.set_inheritable(connection.fileno(), False)
    settings: Settings = connection.recv()
    orders = Orders(connection)
    try:
        prepare(settings)
    except Exception as error:
        connection.send(Unfit(error if isinstance(error, ElasticError) else f"{type(error).__name__}: {error}"))
        return
    connection.send(READY)
    watch = EventSender(connection.send)
    warnings.showwarning = lambda message, category, *_: watch.note(f"{category.__name__}: {message}")
    while True:
        connection.send(_attempted(orders.next(), settings.work, watch, orders))


def prepare(settings: Settings) -> None:
    """Prepare a process for runs: libraries, threads, and what other modules register."""
    import torch

    import elastic.runs.cell  # noqa: F401  (imported before the first run, so that no run is slowed by it)
    from elastic.models.own_modules import folder_of, import_own

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    for name in settings.modules:
        import_own(name, folder_of(settings.work.allow))


def _attempted(cell: Cell, work: Work, watch: Watcher, orders: Orders) -> Attempt | str:
    try:
        return attempt(cell, work, watch, orders.stop)
    except KeyboardInterrupt:
        return STOPPED
