"""Locks of runs and studies: one process owns a run, and one at a time describes or seals a study.

If the file system supports it, the operating system holds the lock (`fcntl.flock`) and releases it when the process
ends, for any reason. Otherwise (ENOLCK, EOPNOTSUPP, …) files hold it: an owner names itself in a marker and touches it
once a second. The marker of a process of this machine is void as soon as the process has ended, any other after `STALE`
seconds without a touch. Both kinds have markers, so that machines with and without `flock` respect each other's locks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from elastic.cube.lock import Lock, holding
from elastic.cube.lock_file import SUFFIX

LOCK = "lock"
STUDY_LOCK = ".study.lock"

#: Locks of runs that this process holds, by their paths.
_HELD: dict[Path, Lock] = {}


@contextlib.contextmanager
def run_lock(folder: Path, *, wait: str | None = None) -> Iterator[Lock]:
    """Own a run's folder, created if missing, inside the block.

    Parameters
    ----------
    folder
        Folder of the run.
    wait
        Purpose of waiting, as the words after "waiting to"; None does not wait. Without `flock`, it takes a second to
        see that an owner is alive, and up to `STALE` seconds to see that it is not.

    Raises
    ------
    RunBusy
        If another running process owns it; the message names it.
    StudyError
        If the folder cannot be written.
    """
    path = Path(folder) / LOCK
    with holding(path, wait) as lock:
        _HELD[path.absolute()] = lock
        try:
            yield lock
        finally:
            _HELD.pop(path.absolute(), None)


def check_run_lock(folder: Path) -> None:
    """Raise a StudyError if this process owned a run's folder, and others have taken it over; see `Lock.check`."""
    if lock := _HELD.get(Path(folder).absolute() / LOCK):
        lock.check()


@contextlib.contextmanager
def study_lock(folder: Path) -> Iterator[Lock]:
    """Own the description of a study, whose folder is created if missing; waits for another owner.

    Raises
    ------
    StudyError
        If the folder cannot be written.
    """
    with waiting_lock(Path(folder) / STUDY_LOCK, "describe the study") as lock:
        yield lock


@contextlib.contextmanager
def waiting_lock(path: Path, purpose: str) -> Iterator[Lock]:
    """Hold a lock inside the block; waits for another owner.

    After a second of waiting a message on standard error names the purpose and the owner. Ctrl-C ends the wait at once,
    even if the process handles Ctrl-C differently.

    Parameters
    ----------
    path
        File of the lock; its folder is created if missing.
    purpose
        Purpose of the lock, as the words after "waiting to": "seal the cube".

    Raises
    ------
    StudyError
        If the folder cannot be written.
    KeyboardInterrupt
        If Ctrl-C ended the wait.
    """
    with holding(path, purpose) as lock:
        yield lock


def is_lock_file(path: Path) -> bool:
    """Return whether a file of a study belongs to a lock.

    >>> [is_lock_file(Path(name)) for name in ("runs/ab/lock", ".sealing.lock-owner.3", "study.json", "lock-owner")]
    [True, True, False, True]
    """
    return path.name.partition(SUFFIX)[0] in (LOCK, STUDY_LOCK, ".sealing.lock")
