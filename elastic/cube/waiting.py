"""Waiting for another process, with messages; Ctrl-C (SIGTERM, SIGHUP) ends the wait at once."""

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
    """A wait that the first Ctrl-C ends; used as a context manager.

    While a study trains, the first Ctrl-C means to stop after the epoch, and a notebook or a training loop may handle
    it similarly. A wait has nothing to finish. Ctrl-C takes effect between two attempts, so that no lock is acquired
    partially; if the process ignores Ctrl-C (``&`` in a script), it stays ignored.

    Raises
    ------
    KeyboardInterrupt
        By `pause`.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._begun = time.monotonic()
        self._last: tuple[str, float] | None = None
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
        """Print the purpose and the owner to standard error after a second, and again if the owner changes."""
        now = time.monotonic()
        again = self._last is None or (whom != self._last[0] and now - self._last[1] >= _BETWEEN)
        if again and now - self._begun >= PATIENCE:
            self._last = whom, now
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
