"""Files that are either whole or not there, whenever the process dies or the disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from elastic.errors import StudyError

#: Ending of files that are being written; whoever owns the folder may delete those of dead writers.
PARTIAL = ".partial"

_HINTS = {
    errno.ENOSPC: "freeing space on this disk, then running again: what was written before is kept",
    errno.EDQUOT: "freeing space in your quota, then running again: what was written before is kept",
    errno.EFBIG: "a higher limit of file sizes (ulimit -f), then running again",
    errno.EROFS: "a folder that can be written (--out DIR)",
    errno.EACCES: "a folder that you may write (--out DIR), or its permissions (ls -ld)",
    errno.EPERM: "a folder that you may write (--out DIR), or its permissions (ls -ld)",
    errno.ENOTDIR: "another folder (--out DIR): a file has this name",
}


@contextlib.contextmanager
def explained(path: Path, should: str = "be writable") -> Iterator[None]:
    """Turn an error of the operating system about ``path`` into a sentence.

    Raises
    ------
    StudyError
        For every OSError (disk full, read-only folder, …) that the block raises.

    Examples
    --------
    >>> with explained(Path("a/b.json")):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    elastic.errors.StudyError: a/b.json: `b.json` should be writable; found No space left on device; try freeing ...
    """
    try:
        yield
    except OSError as error:
        found = error.strerror or str(error) or type(error).__name__
        hint = _HINTS.get(error.errno or 0, "running again: what was written before is kept")
        raise StudyError(f"`{path.name}`", should, found, hint, place=str(path)) from error


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of the operating system that meets the reader of ``path`` into a sentence, but for a missing file.

    Raises
    ------
    FileNotFoundError
        If the file is not there: another process may have moved what it held.
    StudyError
        For every other OSError that the block raises.
    """
    try:
        with explained(path, "be readable"):
            yield
    except StudyError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at every instant its old bytes are there, or its new ones.

    The bytes go to a file beside it, are flushed to the disk, and only then take the name; the folder, made
    where it is missing, is flushed too.

    Raises
    ------
    StudyError
        If the disk is full, the folder read-only, …: the old file is untouched and nothing else is left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    with explained(path):
        make_folder(path.parent)
        try:
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, each flushed to the disk, unless it is there."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder to the disk: a rename is safe only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partials(folder: Path, name: str = "*") -> None:
    """Remove what dead writers left half-written of one file, or of all in a folder. Only its owner may call this."""
    with explained(folder):
        for partial in folder.glob(f".{name}.*{PARTIAL}"):
            partial.unlink(missing_ok=True)
