"""Running the runs of a study with the chosen executor."""

from __future__ import annotations

import sys

from elastic.errors import OptionError
from elastic.progress import Watcher
from elastic.registry import modules_outside
from elastic.study.executors.attempts import Work
from elastic.study.executors.automatic import run_automatically
from elastic.study.executors.board import Board
from elastic.study.executors.capacity import environments
from elastic.study.executors.choice import AUTO, Way
from elastic.study.executors.scheduler import LOCAL, run_on_scheduler
from elastic.study.executors.serial import run_serially, try_all
from elastic.study.executors.worker import Settings
from elastic.study.executors.workers import run_in_workers
from elastic.study.stopping import Stop

#: The module of a script or a notebook, which a worker does not execute.
SCRIPT = "__main__"


def execute(board: Board, way: Way, work: Work, watch: Watcher, stop: Stop) -> None:
    """Try all runs of a board until each has ended or failed; with a share, until no free run is left.

    Raises
    ------
    OptionError
        If workers are requested, and runs need code that only this process has.
    KeyboardInterrupt
        If it was stopped.
    """
    left = board.left
    if way.share is not None:
        board.put_first(lambda cell: way.share is not None and way.share.holds(cell.index))
        while board.left and try_all(board, work, watch, stop):
            board.retry_busy()  # the owner of one may have died in the meantime
        return
    if way.scheduler is None and (len(left) < 2 or way.workers == 1):
        run_serially(board, work, watch, stop)
        return
    modules = modules_outside()
    if SCRIPT in (*modules, *work.allow):
        if way.workers != AUTO:
            raise _needs_script("workers" if way.scheduler is None else "scheduler", modules)
        run_serially(board, work, watch, stop)
        return
    places = environments(left, work.device)
    settings = Settings(work, tuple(modules), torch_threads(), tuple(places) if way.scheduler == LOCAL else ())
    if way.scheduler is not None:
        run_on_scheduler(board, way.scheduler, settings, watch, stop)
        return
    if way.workers == AUTO:
        run_automatically(board, work, settings, watch, stop)
        return
    count = min(int(way.workers), len(left))
    run_in_workers(board, settings, watch, stop, count=count, environments=places)


def torch_threads() -> int | None:
    """Return how many threads torch uses here; None if it is not imported, so that workers use its default, too."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _needs_script(option: str, modules: list[str]) -> OptionError:
    what = "registers a part" if SCRIPT in modules else "holds the allowed code"
    hint = "moving that code into a module of its own, or leaving it out"
    return OptionError(f"`{option}`", "be left out for code that only this process has", f"a script that {what}", hint)
