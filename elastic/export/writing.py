"""Atomic writing of export files of any size."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from elastic.cube.atomic import PARTIAL, make_folder, sync_folder
from elastic.errors import StudyError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path; if the block succeeds, rename it to the file.

    Raises
    ------
    StudyError
        For every OSError of the block (disk full, read-only folder, …); an existing file stays unchanged, and the
        temporary file is removed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        make_folder(path.parent)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        found = error.strerror or str(error)
        hint = "a folder that you may write, on a disk with space (-o DIR)"
        raise StudyError(f"`{path.name}`", "be writable", found, hint, place=str(path)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
