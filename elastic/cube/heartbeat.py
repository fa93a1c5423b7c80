"""Heartbeat for locks that the system does not release with their process: a thread that touches their files."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

#: Seconds between two touches.
BEAT = 1.0

#: Seconds without a change after which the owner of a file counts as dead; long enough for pauses of a busy machine.
STALE = 30.0


class Heartbeat:
    """Touches files once a second, as long as there are any."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self, path: Path) -> None:
        """Touch a file from now on."""
        with self._changed:
            self._paths.add(path)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="elastic-heartbeat", daemon=True)
                self._thread.start()

    def stop(self, path: Path) -> None:
        """Touch a file no longer."""
        with self._changed:
            self._paths.discard(path)
            self._changed.notify()

    def forget(self) -> None:
        """Start anew in a forked process: it has no such thread, and the locks are its parent's."""
        self.__init__()  # type: ignore[misc]

    def _beat(self) -> None:
        while paths := self._next():
            for path in paths:
                with contextlib.suppress(OSError):  # the next touch may succeed, or the lock is lost (`Lock.check`)
                    os.utime(path)

    def _next(self) -> tuple[Path, ...]:
        """Wait for one beat and return what to touch; without the lock, for a file system may hang."""
        with self._changed:
            self._changed.wait(BEAT)
            if not self._paths:
                self._thread = None
            return tuple(self._paths)


class Watch:
    """Decides whether a file is being touched, by observing it repeatedly.

    Only changes are used, because clocks of two machines may differ. Time without observations does not count: while a
    file server hangs, or this machine sleeps, no owner can be seen.

    Examples
    --------
    >>> watch = Watch(stale=2.0)
    >>> watch.look("a", now=0.0), watch.look("a", now=1.0), watch.look("b", now=1.5)  # None: not known yet
    (None, None, True)
    >>> watch = Watch(stale=2.0)
    >>> [watch.look("a", now) for now in (0.0, 1.0, 1000.0, 1001.0)]  # 1, 1 and 1 seconds in which somebody looked
    [None, None, False, False]
    """

    def __init__(self, stale: float = STALE) -> None:
        self.stale = stale
        self._seen: tuple[object, float] | None = None
        self._unchanged = 0.0

    def look(self, state: object, now: float) -> bool | None:
        """Return True if the file has changed since the last look, False if it is stale, None if that is not known yet.

        Parameters
        ----------
        state
            What the file is now.
        now
            Seconds on this machine's monotonic clock.
        """
        if self._seen is None:
            self._seen = (state, now)
            return None
        before, at = self._seen
        self._seen = (state, now)
        if state != before:
            self._unchanged = 0.0
            return True
        self._unchanged += min(now - at, BEAT)
        return False if self._unchanged >= self.stale else None


HEARTBEAT = Heartbeat()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HEARTBEAT.forget)
