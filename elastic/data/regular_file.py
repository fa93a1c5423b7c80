"""Check that data files are regular files: reading a pipe may block, and a device may have no end."""

from __future__ import annotations

import stat
from pathlib import Path

from elastic.errors import DataError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(path: Path, hint: str = "the path of an ordinary file") -> None:
    """Raise a DataError unless a path, following links, is a regular file; opens nothing.

    >>> check_regular(Path("/dev/zero"))
    Traceback (most recent call last):
    ...
    elastic.errors.DataError: `/dev/zero` should be an ordinary file; found a device; try the path of an ordinary file
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):  # missing, or with a null character in its name: reported when it is opened
        return
    if kind != stat.S_IFREG:
        raise DataError(f"`{path}`", "be an ordinary file", _KINDS.get(kind, "something else"), hint)
