"""Locks of the operating system, released when their process ends (`fcntl.flock`)."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

try:
    import fcntl
except ImportError:  # on Windows
    _AVAILABLE = False
else:
    _AVAILABLE = True

#: Another has the lock. EACCES is what some network file systems answer.
_BUSY = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}

#: The file system has no such locks, or its server of locks does not answer.
_UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY}


@dataclass(eq=False)
class Kept:
    """An open file whose lock the system holds."""

    descriptor: int


_KEPT: set[Kept] = set()


def try_flock(path: Path) -> Kept | Literal[False] | None:
    """Lock a file (made where it is missing) without waiting; False if another has it, None if it cannot be done here.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    if not _AVAILABLE:
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    kept = Kept(descriptor)
    _KEPT.add(kept)
    is_taken = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_taken = _is_still_there(descriptor, path)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        if error.errno not in _BUSY:
            raise
        return False
    finally:
        if not is_taken:
            drop(kept)
    return kept if is_taken else try_flock(path)  # another has removed the folder, and the file with it


def is_flocked(path: Path) -> bool | None:
    """Return whether any process holds a lock that the system knows of, None if that cannot be seen.

    Writes nothing. A lock that is free is shared for an instant: who cannot take it then tries once more
    (`elastic.cube.lock`).
    """
    if not _AVAILABLE:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # removed, and the lock with it
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in _BUSY else None
    finally:
        os.close(descriptor)
    return False


def drop(kept: Kept | None) -> None:
    """Give a lock back."""
    if kept is not None and kept in _KEPT:  # not in a forked child, which has closed it
        _KEPT.discard(kept)
        os.close(kept.descriptor)


def _is_still_there(descriptor: int, path: Path) -> bool:
    """Return whether a path still names an open file: removing the folder also removes the lock."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _forget_in_child() -> None:
    """Close in a forked process what its parent has locked: a child that outlives the owner must not keep the lock."""
    while _KEPT:
        os.close(_KEPT.pop().descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
