"""Serial executor: one run after the other in this process; then it waits for the runs of other processes."""

from __future__ import annotations

from collections.abc import Callable

from elastic.progress import Watcher
from elastic.study.executors.attempts import Work, attempt
from elastic.study.executors.board import Board
from elastic.study.executors.waiting import Waiting
from elastic.study.stopping import Stop


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
    """Try each remaining run once; return whether this process owned one of them.

    Parameters
    ----------
    board, work
        The remaining runs, and their folder.
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
