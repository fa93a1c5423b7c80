"""Ctrl-C: a study stops where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from elastic.errors import Stopped
from elastic.progress import Watcher


class Stop:
    """Whether to stop: asked after every epoch, and while waiting for other processes.

    Attributes
    ----------
    waiting
        Whether nothing is trained at the moment, so that the process stops at once.
    """

    def __init__(self, watch: Watcher) -> None:
        self.waiting = False
        self._watch = watch
        self._asked = threading.Event()

    def __call__(self) -> bool:
        """Return whether the process was asked to stop."""
        return self._asked.is_set()

    def ask(self, number: int = signal.SIGINT, _frame: object = None) -> None:
        """Ask to stop; when asked twice, stop at once.

        Raises
        ------
        Stopped
            If it was asked before.
        """
        if self._asked.is_set():
            raise Stopped(number)
        self._asked.set()
        if not self.waiting:
            self._watch.note("stopping after this epoch (Ctrl-C again: at once; nothing is lost either way)")


@contextmanager
def stopping_cleanly(watch: Watcher) -> Iterator[Stop]:
    """Give a question "should the run stop?" that Ctrl-C answers with yes; a second Ctrl-C stops at once.

    Signals reach the main thread only: in another one the answer is always no. So it is where Ctrl-C is ignored, as in
    a program that a script starts with ``&``.
    """
    stop = Stop(watch)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield stop
        return
    before = signal.signal(signal.SIGINT, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
