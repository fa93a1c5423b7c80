"""One process owns one run, and one at a time describes or seals a study: locks that a dead owner loses.

The system holds a lock (`fcntl.flock`) where the file system can, and drops it with the process at once, however the
process dies. Elsewhere (ENOLCK, EOPNOTSUPP, …) files hold it: an owner names itself in a marker and touches that once
a second; a marker of a process of this machine that has ended is void at once, any other after `STALE` seconds without
a touch. Both kinds have markers, so that machines of which only some can use `flock` respect each other's locks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from elastic.cube.lock import Lock, holding
from elastic.cube.lock_file import SUFFIX, Markers

LOCK = "lock"
STUDY_LOCK = ".study.lock"

#: Locks of runs that this process holds, by their paths.
_HELD: dict[Path, Lock] = {}


@contextlib.contextmanager
def run_lock(folder: Path, *, wait: str | None = None) -> Iterator[Lock]:
    """Own a run's folder (made where it is missing) for the length of the block.

    Parameters
    ----------
    folder
        Folder of the run.
    wait
        What to wait for, completing "waiting to …"; None does not wait. Without `flock`, it takes a second to see
        whether an owner lives, and up to `STALE` seconds to see that it does not.

    Raises
    ------
    RunBusy
        If another living process owns it; the message tells which.
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
    """Own the description of a study (its folder is made where it is missing); waits for another owner.

    Raises
    ------
    StudyError
        If the folder cannot be written.
    """
    with waiting_lock(Path(folder) / STUDY_LOCK, "describe the study") as lock:
        yield lock


@contextlib.contextmanager
def waiting_lock(path: Path, purpose: str) -> Iterator[Lock]:
    """Hold a lock for the length of the block; waits for another owner.

    A wait of more than a second says on standard error for what and for whom; Ctrl-C ends it at once, whatever the
    process does with Ctrl-C otherwise.

    Parameters
    ----------
    path
        File of the lock; its folder is made where it is missing.
    purpose
        What the lock is for, completing "waiting to …": "seal the cube".

    Raises
    ------
    StudyError
        If the folder cannot be written.
    KeyboardInterrupt
        If Ctrl-C ended the wait.
    """
    with holding(path, purpose) as lock:
        yield lock


def is_held(path: Path) -> bool:
    """Return whether another process, which may be alive, holds a lock. Nothing is written."""
    markers = Markers(path)
    others = [one for one in markers.scan() if not (one.owner and one.owner.is_this_process)]
    return any(markers.look(one, flock=False) is not False for one in others)


def is_lock_file(path: Path) -> bool:
    """Return whether a file of a study belongs to a lock.

    >>> [is_lock_file(Path(name)) for name in ("runs/ab/lock", ".sealing.lock-owner.3", "study.json", "lock-owner")]
    [True, True, False, True]
    """
    return path.name.partition(SUFFIX)[0] in (LOCK, STUDY_LOCK, ".sealing.lock")
