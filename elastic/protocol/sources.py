"""Resolution of the name of a shipped protocol, or of a path, to a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from elastic.errors import UnknownName
from elastic.protocol.formatting import format_value, one_line
from elastic.protocol.shipped import SUFFIXES, likely_meant, shipped_protocols


@dataclass(frozen=True)
class Source:
    """The file of a protocol.

    Attributes
    ----------
    path
        Path of the file, which need not exist.
    folder
        Folder to search for the user's modules: that of the file; for a shipped protocol the working directory.
    note
        Warning if the name is ambiguous, or None.
    """

    path: Path
    folder: Path
    note: str | None = None


def find_protocol(given: str | os.PathLike[str]) -> Source:
    """Return the file that a user means.

    A word without a separator of folders and without ``.yaml`` or ``.yml`` is the name of a protocol that ships, unless
    a file of exactly this name is in the working folder. Everything else, and every path object, is a path.

    Raises
    ------
    UnknownName
        If no protocol of this name ships.

    Examples
    --------
    >>> find_protocol("quickstart").path.name, find_protocol("mine.yaml").path
    ('quickstart.yaml', PosixPath('mine.yaml'))
    >>> find_protocol("quickstrat")
    Traceback (most recent call last):
    ...
    elastic.errors.UnknownName: `PROTOCOL` should be the name of a protocol that ships, or the path of a file; found
    'quickstrat'; try 'quickstart' (elastic list protocols)
    """
    path = Path(given)
    shipped = shipped_protocols().get(given) if isinstance(given, str) else None
    if not isinstance(given, str) or not is_name(given) or _is_file(path):
        ships = path in shipped_protocols().values()
        return Source(path, Path() if ships else path.parent, _other_of_name(path, shipped))
    if shipped is None:
        found = format_value(one_line(given)) + (", which is a folder" if given and _is_folder(path) else "")
        hint = likely_meant(given, Path(), "its path with .yaml, or a protocol that ships")
        raise UnknownName("`PROTOCOL`", "be the name of a protocol that ships, or the path of a file", found, hint)
    return Source(shipped, Path(), _other_of_suffix(given, shipped))


def is_name(text: str) -> bool:
    """Return whether a text is the name of a protocol, rather than a path.

    >>> is_name("quickstart"), is_name("./quickstart"), is_name("quickstart.yaml"), is_name("..")
    (True, False, False, False)
    """
    separators = {os.sep, os.altsep or os.sep}
    return not (separators & set(text) or text.lower().endswith(SUFFIXES) or text in (".", "..") or "\0" in text)


def _other_of_name(path: Path, shipped: Path | None) -> str | None:
    """Return the note on a file that is named like a protocol that ships."""
    if shipped is None or _is_same(path, shipped):
        return None
    return f"{path} is a file of this folder; the protocol of that name that ships is {shipped}"


def _other_of_suffix(name: str, shipped: Path) -> str | None:
    """Return the note on a name that a file of this folder also has, with a suffix."""
    for path in (Path(name + suffix) for suffix in SUFFIXES):
        if _is_file(path) and not _is_same(path, shipped):
            return f"{name} is the protocol that ships with elastic; the file of this folder is {path}"
    return None


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a null character
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
