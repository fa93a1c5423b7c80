"""Signals that ask a process to end: a study stops at a point where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from elastic.errors import Stopped
from elastic.progress import Watcher

#: Ctrl-C; signals that clusters send before they preempt or end a job; a closed terminal.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether to stop: asked after every epoch, and while waiting for other processes.

    Attributes
    ----------
    waiting
        Whether no training is in progress, so that the process stops at once.
    number
        The first signal, None before.
    """

    def __init__(self, watch: Watcher) -> None:
        self.waiting = False
        self.number: int | None = None
        self._watch = watch

    def __call__(self) -> bool:
        """Return whether the process was asked to stop."""
        return self.number is not None

    def ask(self, number: int = signal.SIGINT, _frame: object = None) -> None:
        """Request a stop; the second request stops at once.

        Raises
        ------
        Stopped
            If a stop was requested before.
        """
        if self.number is not None:
            raise Stopped(number)
        self.number = number
        if not self.waiting:
            with suppress(OSError, RuntimeError):  # the terminal has gone, or was being written to
                self._watch.note(f"stopping after this epoch ({again(number)}: at once; nothing is lost either way)")

    def end_wait(self) -> None:
        """Note that training begins."""
        self.waiting = False

    def raise_stopped(self) -> None:
        """Raise the Stopped of the first signal; do nothing if there was none."""
        if self.number is not None:
            raise Stopped(self.number)


def again(number: int) -> str:
    """Return how to request the second stop.

    >>> again(signal.SIGINT), again(signal.SIGTERM)
    ('Ctrl-C again', 'SIGTERM again')
    """
    return "Ctrl-C again" if number == signal.SIGINT else f"{signal.Signals(number).name} again"


@contextmanager
def stopping_cleanly(watch: Watcher) -> Iterator[Stop]:
    """Yield a function that returns whether to stop, which signals set; a second signal stops at once.

    They are Ctrl-C, SIGTERM and SIGHUP. Those that the process ignores stay ignored (``nohup``, or ``&`` in a script).
    Signals reach the main thread only: in other threads the function always returns False.

    Raises
    ------
    Stopped
        In place of the KeyboardInterrupt of a block that was asked to stop; it names the signal.
    """
    stop = Stop(watch)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    taken = {number: before for number, before in handlers.items() if before not in (None, signal.SIG_IGN)}
    for number in taken:
        signal.signal(number, stop.ask)
    try:
        yield stop
    except KeyboardInterrupt as error:
        if not isinstance(error, Stopped):
            stop.raise_stopped()
        raise
    finally:
        for number, before in taken.items():
            signal.signal(number, before)
