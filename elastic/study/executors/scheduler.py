"""Executor that submits the runs of a study to a dask scheduler, of a cluster or of this machine.

All workers see the study's folder under the same path. All runs are submitted at once, so that an adaptive cluster
can scale. If a worker dies, dask retries its run on another one, where it resumes from its
checkpoint; when dask gives up, the shared board decides (`elastic.study.executors.board`).
"""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from elastic.errors import OptionError
from elastic.progress import Watcher
from elastic.study.executors.board import Board
from elastic.study.executors.capacity import workers_allowed
from elastic.study.executors.deaths import listening
from elastic.study.executors.submission import Submission
from elastic.study.executors.waiting import Waiting
from elastic.study.executors.worker import Settings
from elastic.study.executors.worker_process import blocked_signals
from elastic.study.stopping import Stop

if TYPE_CHECKING:
    from distributed import Client

#: A scheduler with workers on this machine, for the duration of the study.
LOCAL = "local"

#: Timeout of a scheduler's answer in seconds.
PATIENCE = 30.0


def run_on_scheduler(board: Board, address: str, settings: Settings, watch: Watcher, stop: Stop) -> None:
    """Run all runs on a scheduler's workers until each has ended, here or in another process, or failed.

    Raises
    ------
    OptionError
        If dask.distributed is missing, or no scheduler answers.
    RunFailed
        If the scheduler disconnects.
    KeyboardInterrupt
        If it was stopped.
    """
    with ExitStack() as opened:
        deaths = opened.enter_context(listening())
        client = opened.enter_context(connected(address, board, settings))
        submission = Submission(client, board, settings, watch, address, deaths)
        opened.callback(submission.close)
        waiting = Waiting(watch, stop)
        while board.left:
            if stop():
                submission.stop()
                raise KeyboardInterrupt
            submission.submit()
            waiting.listen(board, submission.listen)


@contextmanager
def connected(address: str, board: Board, settings: Settings) -> Iterator[Client]:
    """Connect to a scheduler; a local one is closed at the end of the block."""
    try:
        import distributed
    except ImportError as error:
        hint = "pip install 'elastic-collapse[dask]'"
        raise OptionError("`scheduler`", "have dask.distributed", str(error), hint) from None
    import dask

    with ExitStack() as opened:
        opened.enter_context(_silent(logging.getLogger("distributed.client")))
        if address == LOCAL:
            count = min(len(board.left), workers_allowed(board.left, settings.work.device))
            # Report the first death: `board` decides whether the run is the cause.
            opened.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
            opened.enter_context(_no_script())
            with blocked_signals():  # inherited by the threads of the cluster and the workers that they start
                target: Any = opened.enter_context(
                    distributed.LocalCluster(
                        n_workers=count,
                        threads_per_worker=1,
                        processes=True,
                        memory_limit=0,
                        dashboard_address=":0",  # any free port: another cluster may run here
                        silence_logs=50,
                    )
                )
        else:
            target = address
        try:
            client = distributed.Client(target, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            found = str(error).partition("\n")[0] or type(error).__name__
            hint = "the address that `dask scheduler` prints, or local"
            raise OptionError("`scheduler`", "be the address of a dask scheduler that answers", found, hint) from None
        yield opened.enter_context(client)


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Suppress the tracebacks of a lost connection, which one sentence reports."""
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _no_script() -> Iterator[None]:
    """Hide the script from processes that `multiprocessing` starts: they would execute it again."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
