"""A worker process, as its owner sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from elastic.protocol import Cell
from elastic.study.executors.worker import STOP, Settings
from elastic.study.stopping import SIGNALS

#: Code of the new interpreter. It receives sys.path through the pipe, so that both import the same modules.
BOOT = (
    "import sys; from multiprocessing.connection import Connection; pipe = Connection(int(sys.argv[1])); "
    "sys.path[:] = pipe.recv(); from elastic.study.executors.worker import work_for; work_for(pipe)"
)


class Worker:
    """A worker process, as its owner sees it.

    Attributes
    ----------
    cell
        Current run, None if the worker is idle.
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
        """Send a run to the worker."""
        self.cell = cell
        self._send(cell)

    def stop(self) -> None:
        """Ask the worker to stop after the epoch."""
        self._send(STOP)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended and all its messages are read."""
        return self._process.poll() is not None and not self.connection.poll()

    def end(self) -> str:
        """Wait for the end of a process that has closed its pipe; return how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        self.kill()
        return in_words(self._process.returncode)

    def kill(self) -> None:
        """Kill the process: its records are kept, between two epochs and during one."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # `listen` notices a worker that died
            self.connection.send(message)


def _started(theirs: Connection, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # The spin count is as in `elastic.__main__`: waiting threads must not occupy cores that others need.
    variables = {"GOMP_SPINCOUNT": "2000", **os.environ, **environment}
    descriptor = theirs.fileno()
    command = [sys.executable, "-P", "-c", BOOT, str(descriptor)]
    return subprocess.Popen(command, pass_fds=[descriptor], env=variables, stdin=subprocess.DEVNULL)


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block signals in processes started in the block, until they ignore them."""
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
