"""Executor with several processes of this machine: this one distributes the runs and reports progress."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from elastic.progress import Watcher
from elastic.study.executors.board import Board
from elastic.study.executors.pool import Pool
from elastic.study.executors.waiting import Waiting
from elastic.study.executors.worker import Settings
from elastic.study.stopping import Stop


def run_in_workers(
    board: Board,
    settings: Settings,
    watch: Watcher,
    stop: Stop,
    *,
    count: int,
    environments: Sequence[dict[str, str]] = ({},),
) -> None:
    """Run all runs in worker processes until each has ended, here or in another process, or failed here.

    Parameters
    ----------
    board
        The remaining runs.
    settings
        Settings of each worker.
    watch, stop
        Receives progress; asked whether to stop.
    count
        Greatest number of workers.
    environments
        Environment variables, taken in turn by the workers: one GPU each.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    RunFailed
        If no worker can start.
    """
    with closing(Pool(board, settings, watch, count, environments)) as pool:  # however the block is left
        carry_out(board, pool, watch, stop)


def carry_out(board: Board, pool: Pool, watch: Watcher, stop: Stop) -> None:
    """Run all runs in the workers of a pool.

    Raises
    ------
    KeyboardInterrupt, RunFailed
        As `run_in_workers`.
    """
    waiting = Waiting(watch, stop)
    while board.left:
        if stop():
            pool.stop()
        else:
            pool.assign()
        waiting.listen(board, pool.listen)
