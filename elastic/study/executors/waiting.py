"""The time between two looks at runs: those under way here, and those of other processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from elastic.errors import RunBusy
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.completeness import named
from elastic.study.executors.board import Board
from elastic.study.stopping import Stop

#: Seconds between two looks at signals, and at workers that died without a word.
TICK = 0.1

#: Seconds between two looks at the runs of other processes: the first, and the longest, while nothing else is to do.
SOON, LATE = 0.1, 2.0

#: Seconds between two looks at the runs of other processes while some are under way here.
BETWEEN_LOOKS = 2.0

#: Seconds between two notes of what is waited for.
BETWEEN_NOTES = 30.0

#: How many runs a note names.
NAMED = 3


class Waiting:
    """Waits for runs under way here or in other processes, and has those of others tried again from time to time."""

    def __init__(self, watch: Watcher, stop: Stop) -> None:
        self._watch, self._stop = watch, stop
        self._seconds = SOON
        self._told: float | None = None
        self._looked = time.monotonic()

    def go_on(self) -> None:
        """Look again soon: something has changed."""
        self._seconds = SOON

    def listen(self, board: Board, hear: Callable[[float], None]) -> None:
        """Listen to the runs under way here; where there are none, wait for those of other processes.

        Parameters
        ----------
        board
            Which runs are under way, and which others own.
        hear
            Waits for news of the runs under way, at most so many seconds, and acts on it.

        Raises
        ------
        KeyboardInterrupt
            If the process is asked to stop and nothing is under way here.
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
        """Wait until it is time to look again, a little longer each time; say so now and then.

        Raises
        ------
        KeyboardInterrupt
            If the process is asked to stop.
        """
        self._stop.waiting = True  # until this process owns a run
        now = time.monotonic()
        if self._told is None or now - self._told >= BETWEEN_NOTES:
            self._told = now
            self._watch.note(waited_for(busy))
        while not self._stop() and (left := now + self._seconds - time.monotonic()) > 0:
            time.sleep(min(left, SOON))
        if self._stop():
            raise KeyboardInterrupt
        self._seconds = min(2 * self._seconds, LATE)


def waited_for(busy: Sequence[tuple[Cell, RunBusy]]) -> str:
    """Return which runs are waited for, and whose they are."""
    shown = [f"{named(cell.coordinates)} ({error.found})" for cell, error in busy[:NAMED]]
    more = f" and {len(busy) - NAMED} more" if len(busy) > NAMED else ""
    return f"waiting for runs of other processes: {', '.join(shown)}{more}; Ctrl-C ends the wait, not their runs"
