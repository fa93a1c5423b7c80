"""One process owns one run: a lock that a dead owner loses at once."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from elastic.cube.atomic import explained, make_folder
from elastic.errors import RunBusy

LOCK = "lock"
OWNER = "lock-owner"
STUDY_LOCK = ".study.lock"


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Own a run's folder (made where it is missing) for the length of the block, without waiting.

    The system itself drops the lock of a process that dies, however it dies.

    Raises
    ------
    RunBusy
        If another living process owns it; the message tells which.
    StudyError
        If the folder cannot be written.
    """
    folder = Path(folder)
    with explained(folder / LOCK):
        make_folder(folder)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise _busy(folder) from None
        try:
            (folder / OWNER).write_text(f"{_this_process()}\n")
        except BaseException:
            lock.release()
            raise
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Own the description of a study (its folder is made where it is missing); waits for another owner.

    Raises
    ------
    StudyError
        If the folder cannot be written.
    """
    with explained(folder / STUDY_LOCK):
        make_folder(folder)
        lock = FileLock(folder / STUDY_LOCK)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _busy(folder: Path) -> RunBusy:
    try:
        owner = (folder / OWNER).read_text().strip()
    except OSError:
        owner = ""
    hint = "waiting until it is done, or stopping it: what it recorded is kept, and the run can be resumed"
    if owner == _this_process():
        owner, hint = f"{owner}, which is this one", "closing its Recorder (close(), or a `with` block)"
    return RunBusy("the run", "be owned by one process", owner or "another owner", hint, place=str(folder))


def _this_process() -> str:
    return f"process {os.getpid()} on {platform.node()}"
