"""Intervals of polling: runs in progress here, and those of other processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from elastic.errors import RunBusy
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.completeness import named
from elastic.study.executors.board import Board
from elastic.study.stopping import Stop

#: Seconds between two checks for signals, and for workers that died silently.
TICK = 0.1

#: Seconds between two checks of other processes' runs while idle: the first, and the longest.
SOON, LATE = 0.1, 2.0

#: Seconds between two checks of other processes' runs while some are in progress here.
BETWEEN_LOOKS = 2.0

#: Seconds between two notes on what is waited for.
BETWEEN_NOTES = 30.0

#: Most runs that a note names.
NAMED = 3


class Waiting:
    """Waits for runs in progress here or in other processes, and retries the latter from time to time."""

    def __init__(self, watch: Watcher, stop: Stop) -> None:
        self._watch, self._stop = watch, stop
        self._seconds = SOON
        self._noted: float | None = None
        self._looked = time.monotonic()

    def go_on(self) -> None:
        """Check again soon: something has changed."""
        self._seconds = SOON

    def listen(self, board: Board, hear: Callable[[float], None]) -> None:
        """Listen to the runs in progress here; if there are none, wait for those of other processes.

        Parameters
        ----------
        board
            Which runs are in progress, and which others own.
        hear
            Waits for events of the runs in progress, at most this many seconds, and processes them.

        Raises
        ------
        KeyboardInterrupt
            If the process is asked to stop and no run is in progress here.
        """
        if board.running:
            self._stop.end_wait()
            hear(TICK)
            if time.monotonic() - self._looked >= BETWEEN_LOOKS:
                self._looked = time.monotonic()
                board.retry_busy()
        elif self._stop():
            raise KeyboardInterrupt
        elif board.busy:
            self.pause(board.busy)
            board.retry_busy()

    def pause(self, busy: Sequence[tuple[Cell, RunBusy]]) -> None:
        """Wait until the next check, a little longer each time, with a note now and then.

        Raises
        ------
        KeyboardInterrupt
            If the process is asked to stop.
        """
        self._stop.waiting = True  # until this process owns a run
        now = time.monotonic()
        if self._noted is None or now - self._noted >= BETWEEN_NOTES:
            self._noted = now
            self._watch.note(waited_for(busy))
        while not self._stop() and (left := now + self._seconds - time.monotonic()) > 0:
            time.sleep(min(left, SOON))
        if self._stop():
            raise KeyboardInterrupt
        self._seconds = min(2 * self._seconds, LATE)


def waited_for(busy: Sequence[tuple[Cell, RunBusy]]) -> str:
    """Return which runs are waited for, and their owners."""
    shown = [f"{named(cell.coordinates)} ({error.found})" for cell, error in busy[:NAMED]]
    more = f" and {len(busy) - NAMED} more" if len(busy) > NAMED else ""
    return f"waiting for runs of other processes: {', '.join(shown)}{more}; Ctrl-C ends the wait, not their runs"
