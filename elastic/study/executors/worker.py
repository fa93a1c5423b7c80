"""A worker: a process that carries out runs that another process gives it, and lives no longer than that one.

It is a new interpreter, which knows nothing of the script or the notebook that started the study: what it needs comes
through a pipe. Signals are for the process that started it, which tells the worker to stop after the epoch, or kills
it. When the other end of the pipe is closed, for whatever reason, the worker ends at once: what was recorded is kept.
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
from elastic.study.executors.telling import Telling
from elastic.study.stopping import SIGNALS

#: Messages to a worker: to stop after the epoch; to a worker's owner: its imports are done, an attempt was stopped.
STOP, READY, STOPPED = "stop", "ready", "stopped"

#: Message of a worker of a scheduler: it has taken a run.
BEGUN = "begun"


@dataclass(frozen=True)
class Settings:
    """What a worker is told when it starts.

    Attributes
    ----------
    work
        What the attempts share.
    modules
        To be imported for what they register.
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
    """What the owner sends, read by a thread of its own, so that the worker notices its end in the middle of a run."""

    def __init__(self, connection: Connection) -> None:
        self._cells: queue.SimpleQueue[Cell] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._connection = connection
        self._parent = os.getppid()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def next(self) -> Cell:
        """Return the next run to carry out; wait for it."""
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
                        os._exit(0)
                order = self._connection.recv()
                if order == STOP:
                    self._stop.set()
                else:
                    self._cells.put(order)
        finally:
            os._exit(0)


def work_for(connection: Connection) -> None:
    """Carry out runs until the connection is closed: the whole life of a worker."""
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
    watch = Telling(connection.send)
    warnings.showwarning = lambda message, category, *_: watch.note(f"{category.__name__}: {message}")
    while True:
        connection.send(_attempted(orders.next(), settings.work, watch, orders))


def prepare(settings: Settings) -> None:
    """Make a process ready for runs: libraries, threads, and what other modules register."""
    import torch

    import elastic.runs.cell  # noqa: F401  (so that no run pays for it)
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
