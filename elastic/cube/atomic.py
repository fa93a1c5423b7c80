"""Atomic writing of files, and reading of regular files, with errors of the operating system as StudyError."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path

from elastic.errors import Damaged, StudyError

#: Suffix of files being written; the owner of the folder may delete those left by killed writers.
PARTIAL = ".partial"

_HINTS = {
    errno.ENOSPC: "freeing space on this disk, then running again: what was written before is kept",
    errno.EDQUOT: "freeing space in your quota, then running again: what was written before is kept",
    errno.EFBIG: "a higher limit of file sizes (ulimit -f), then running again",
    errno.EROFS: "a place that can be written (run: --out DIR, other commands: -o PATH)",
    errno.EACCES: "a place that you may write (run: --out DIR, other commands: -o PATH), or its permissions (ls -ld)",
    errno.EPERM: "a place that you may write (run: --out DIR, other commands: -o PATH), or its permissions (ls -ld)",
    errno.EEXIST: "another place (run: --out DIR, other commands: -o PATH): a file has this name",
    errno.ENOTDIR: "another place (run: --out DIR, other commands: -o PATH): a file has this name",
}

#: Error numbers of what this user may not do; the system is in order.
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_TO_READ = "its permissions (ls -ld): this user may not read it"

#: Error numbers if a path is not a regular file, or the disk fails.
_NO_FILE = (errno.EISDIR, errno.ENXIO, errno.ELOOP, errno.EIO)
_AWAY = "elastic verify --repair STUDY: it is moved away, and made again where that is possible"


@contextlib.contextmanager
def translate_os_errors(path: Path, expected: str = "be writable") -> Iterator[None]:
    """Raise every `OSError` about ``path`` in the block as a `StudyError`.

    Raises
    ------
    StudyError
        For every OSError (disk full, read-only folder, …) that the block raises.
    Damaged
        If a file to be read is not a regular file.

    Examples
    --------
    >>> with translate_os_errors(Path("a/b.json")):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    elastic.errors.StudyError: a/b.json: `b.json` should be writable; found No space left on device; try freeing ...
    """
    try:
        yield
    except OSError as any_error:
        error = first_of(any_error)
        found = error.strerror or str(error) or type(error).__name__
        hint = _HINTS.get(error.errno or 0, "running again: what was written before is kept")
        if expected == "be readable" and error.errno in _FORBIDDEN:
            hint = _TO_READ
        if expected == "be readable" and error.errno in _NO_FILE:
            raise Damaged(f"`{path.name}`", expected, found, _AWAY, place=str(path)) from error
        raise StudyError(f"`{path.name}`", expected, found, hint, place=str(path)) from error


def first_of(error: OSError) -> OSError:
    """Return the error of the first file, where one of `shutil.copytree` lists each file that failed; else itself.

    >>> first_of(shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'"), ("c", "d", "…")]))
    OSError(28, 'No space left on device')
    """
    listed = error.args[0] if isinstance(error, shutil.Error) and error.args else None
    if not isinstance(listed, list) or not listed:
        return error
    why = str(listed[0][-1])
    number = re.match(r"\[Errno (\d+)\]", why)
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(why)


def is_forbidden(error: StudyError) -> bool:
    """Return whether an error says that this user may not read or write a path."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FORBIDDEN


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; raises for anything else, such as a pipe.

    Raises
    ------
    OSError
        If it cannot be opened, or is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "a folder in its place", str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.ENXIO, "no regular file", str(path))
        return open(descriptor, "rb")  # noqa: PTH123  (a descriptor, which the caller closes)
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path) -> bytes:
    """Return the contents of a file; see `open_regular`.

    >>> read_regular(Path("/dev/zero"))
    Traceback (most recent call last):
    ...
    OSError: [Errno 6] no regular file: '/dev/zero'
    """
    with open_regular(path) as file:
        return file.read()


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise every `OSError` about ``path`` in the block as a `StudyError`, except for a missing file.

    Raises
    ------
    FileNotFoundError
        If the file is missing: another process may have moved its contents.
    StudyError
        For every other OSError that the block raises.
    """
    try:
        with translate_os_errors(path, "be readable"):
            yield
    except StudyError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: it has either its old or its new contents at any time.

    The bytes are written to a temporary file, flushed to the disk, and renamed; the folder, created if missing, is
    flushed too.

    Raises
    ------
    StudyError
        If the disk is full, the folder read-only, …; the old file stays unchanged and no temporary file is left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    with translate_os_errors(path):
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
    """Create a folder and its parents if missing, each flushed to the disk."""
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


def sync_all(paths: Iterable[Path]) -> None:
    """Flush files and folders to the disk, several at a time: each waits for the disk, and they wait together."""
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(sync_folder, paths))


def remove_partials(folder: Path, name: str = "*") -> None:
    """Remove temporary files that killed writers left, of one file or of all in a folder; only for the owner."""
    with translate_os_errors(folder):
        for partial in folder.glob(f".{name}.*{PARTIAL}"):
            partial.unlink(missing_ok=True)
