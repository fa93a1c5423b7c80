"""Reading of arbitrary paths: damaged or missing files, folders, pipes, files without permission."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from elastic.cube.atomic import open_regular, read_regular, translate_os_errors
from elastic.cube.checked_files import Condition, check_archive, decode_json
from elastic.cube.labels import Label
from elastic.errors import ElasticError
from elastic.study.verification.findings import Finding, State

#: State of a file by the condition of its bytes.
STATES = {
    Condition.INTACT: State.INTACT,
    Condition.DAMAGED: State.DAMAGED,
    Condition.NOT_CHECKABLE: State.NOT_CHECKABLE,
}

Value = TypeVar("Value")


def is_there(path: Path) -> bool:
    """Return whether a path exists, including dangling links."""
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def files_below(folder: Path) -> list[str]:
    """Return the paths in a folder of all files below it, sorted; links are files too: `os.walk` follows none."""
    files_and_links = []
    for place, folders, files in os.walk(folder):
        below = os.path.relpath(place, folder).replace(os.sep, "/")
        links = [name for name in folders if os.path.islink(f"{place}/{name}")]  # noqa: PTH114 (many files)
        files_and_links += [name if below == "." else f"{below}/{name}" for name in files + links]
    return sorted(files_and_links)


def refuse_unreadable(folder: Path, names: Iterable[str]) -> None:
    """Raise a StudyError if this user may not read one of some paths, or a folder on the way to it.

    What cannot be read is neither intact nor damaged, and a repair must not move it.
    """
    for name in names:
        for part in (*reversed(PurePosixPath(name).parents), PurePosixPath(name)):
            place = folder / part
            if os.access(place, os.F_OK) and not os.access(place, os.R_OK | (os.X_OK if place.is_dir() else 0)):
                with translate_os_errors(place, "be readable"):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))


def misfit(path: Path) -> str:
    """Return why a path cannot be read as a file: it is a folder, a pipe, …; "" if it may be readable."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return error.strerror or type(error).__name__
    if stat.S_ISREG(mode):
        return ""
    return "a folder in its place" if stat.S_ISDIR(mode) else "no regular file"


def attempted(read: Callable[[], Value]) -> tuple[Value | None, str]:
    """Return what is read, or None and the error.

    Raises
    ------
    FileNotFoundError
        If the file has gone meanwhile.
    """
    try:
        return read(), ""
    except FileNotFoundError:
        raise
    except ElasticError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        return None, error.found
    except Exception as error:  # parsers may raise nearly anything on damaged bytes
        return None, f"{type(error).__name__}: {error}".partition("\n")[0]


def read_object(path: Path, name: str) -> tuple[dict[str, Any] | None, Finding | None]:
    """Return the contents of a JSON file and its finding; (None, None) if it does not exist."""
    if not is_there(path):
        return None, None
    if wrong := misfit(path):
        return None, Finding(name, State.DAMAGED, wrong)
    read, wrong = attempted(lambda: decode_json(read_regular(path)))
    if read is None:
        return None, Finding(name, State.DAMAGED, wrong)
    facts, is_checked = read
    return facts, Finding(name, State.INTACT if is_checked else State.NOT_CHECKABLE)


def check_labelled(path: Path, name: str, label: Label, *, labelled: bool) -> tuple[Finding, Label | None]:
    """Return the finding for an archive, and its label.

    Parameters
    ----------
    path, name
        Of the file, and its path in the study.
    label
        Expected label; for a checkpoint any epoch is accepted.
    labelled
        Whether it must have a label: files of earlier releases have none.
    """
    if wrong := misfit(path):
        return Finding(name, State.DAMAGED, wrong), None
    checked, wrong = attempted(lambda: check_archive(path))
    if checked is None:
        return Finding(name, State.DAMAGED, wrong), None
    has = checked.label
    if checked.condition is Condition.DAMAGED:
        return Finding(name, State.DAMAGED, checked.found), None
    if has is None:
        if labelled:
            return Finding(name, State.DAMAGED, "a file without a checksum or a label"), None
        unnamed = Finding(name, State.NOT_CHECKABLE, "whole, but it does not say of which run it is")
        return unnamed if checked.condition is Condition.INTACT else Finding(name, STATES[checked.condition]), None
    asked = Label(label.kind, label.cell, has.epoch) if label.kind == "checkpoint" else label
    if has != asked:
        return Finding(name, State.DAMAGED, f"the {has}, in another place"), has
    return Finding(name, State.INTACT), has


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
