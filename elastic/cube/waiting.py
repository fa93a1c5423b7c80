"""Waiting for another process: it says for what and whom, and Ctrl-C (SIGTERM, SIGHUP) ends it at once."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from types import TracebackType
from typing import Any, NoReturn

from elastic.errors import Stopped

#: Seconds of waiting in silence.
PATIENCE = 1.0

#: Seconds between two messages, if the owner changes.
_BETWEEN = 10.0


class Wait:
    """A wait, used as a context manager: while it lasts, the first Ctrl-C ends it.

    A study that trains takes the first Ctrl-C as a wish to stop after the epoch, and a notebook or a training loop may
    do so too. A wait has nothing to finish. Ctrl-C is seen between two looks, so that no lock is half taken then; if
    the process ignores Ctrl-C (``&`` in a script), it stays ignored.

    Raises
    ------
    KeyboardInterrupt
        By `pause`.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._begun = time.monotonic()
        self._told: tuple[str, float] | None = None
        self._seconds = 0.01
        self._number = signal.SIGINT
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Wait:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before = signal.getsignal(number)
                if callable(before) or (number == signal.SIGINT and before is signal.SIG_DFL):
                    self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def tell(self, message: str, whom: str) -> None:
        """Say on standard error what is waited for, after a second, and again if it is for another."""
        now = time.monotonic()
        again = self._told is None or (whom != self._told[0] and now - self._told[1] >= _BETWEEN)
        if again and now - self._begun >= PATIENCE:
            self._told = whom, now
            print(f"elastic: {message}", file=sys.stderr, flush=True)

    def pause(self) -> None:
        """Sleep a little, longer each time, up to a quarter of a second."""
        if not self.interrupted:
            time.sleep(self._seconds * random.uniform(0.5, 1.0))
            self._seconds = min(2 * self._seconds, 0.25)
        if self.interrupted:
            self.end()

    def end(self) -> NoReturn:
        """Raise the KeyboardInterrupt of the signal that ended the wait."""
        raise KeyboardInterrupt if self._number == signal.SIGINT else Stopped(self._number)

    def _interrupt(self, number: int, _frame: object) -> None:
        self.interrupted, self._number = True, signal.Signals(number)
