"""One run after the other in this process; then it waits for the runs of other processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from elastic.errors import RunBusy
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.study.completeness import named
from elastic.study.executors.attempts import Work, attempt
from elastic.study.executors.board import Board
from elastic.study.stopping import Stop

#: Seconds between two looks at the runs of others: the first, and the longest.
SOON, LATE = 0.1, 2.0

#: Seconds between two notes of what is waited for.
BETWEEN_NOTES = 30.0

#: How many runs a note names.
NAMED = 3


def run_serially(board: Board, work: Work, watch: Watcher, stop: Stop) -> None:
    """Try all runs until each has ended, here or in another process, or failed here.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    """
    waiting = Waiting(watch, stop)
    while board.left:
        if not try_all(board, work, watch, stop, owned=stop.end_wait):
            waiting.pause(board.busy)
        else:
            waiting.go_on()
        board.retry_busy()


def try_all(
    board: Board, work: Work, watch: Watcher, stop: Callable[[], bool], owned: Callable[[], None] = lambda: None
) -> bool:
    """Try each run that is left once; return whether one of them was no other process's.

    Parameters
    ----------
    board, work
        What is left, and where.
    watch, stop, owned
        As of `elastic.study.executors.attempts.attempt`.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    """
    from elastic.runs.setup import forget_data

    was_free = False
    try:
        while (cell := board.take()) is not None:
            try:
                done = attempt(cell, work, watch, stop, owned)
            except BaseException:
                board.give_back(cell)
                raise
            board.settle(done)
            was_free |= done.busy is None
    finally:
        forget_data()
    return was_free


class Waiting:
    """Waits for runs that other processes own, a little longer each time, and says so now and then."""

    def __init__(self, watch: Watcher, stop: Stop) -> None:
        self._watch, self._stop = watch, stop
        self._seconds = SOON
        self._told: float | None = None

    def go_on(self) -> None:
        """Look again soon: something has changed."""
        self._seconds = SOON

    def pause(self, busy: Sequence[tuple[Cell, RunBusy]]) -> None:
        """Wait until it is time to look again.

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
