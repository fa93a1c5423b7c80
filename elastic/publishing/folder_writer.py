"""Writing an archive as a folder, for a repository with several published studies."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from elastic.cube.atomic import PARTIAL, translate_os_errors
from elastic.errors import StudyError
from elastic.publishing.contents import CUBE, SUMS
from elastic.publishing.listing import decode_sums, files_below


def write_folder(folder: Path, target: Path, *, cube: bool = True) -> None:
    """Copy an archive's folder to a path that is empty, or contains only an archive.

    Parameters
    ----------
    folder
        Of the archive.
    target
        To write.
    cube
        Whether to copy the cube. Without it the list of sums is still that of the complete archive.

    Raises
    ------
    StudyError
        If other files exist there, or it cannot be written; an archive that is there is kept then.
    """
    check_replaceable(target)
    target = target.resolve()  # "." has no name, and a link stays one
    unique = f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}"
    partial, former = target.with_name(f"{unique}{PARTIAL}"), target.with_name(f"{unique}.former")
    with translate_os_errors(target):
        try:
            shutil.copytree(folder, partial, ignore=None if cube else shutil.ignore_patterns(CUBE))
            if target.exists():
                target.rename(former)  # kept until the new one is in its place
            partial.rename(target)
        except BaseException:
            if former.exists() and not target.exists():
                former.rename(target)
            raise
        finally:
            for leftover in (partial, former):
                shutil.rmtree(leftover, ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """Raise a StudyError if a path contains anything but an archive, which is replaced completely."""
    if not target.exists():
        return
    others = [target.name] if not target.is_dir() else files_below(target)
    if target.is_dir() and (target / SUMS).is_file():
        try:
            others = sorted(set(others) - {SUMS, *decode_sums((target / SUMS).read_bytes())})
        except ValueError:
            others = [SUMS]
    if others:
        found = f"{others[0]}" + (f" and {len(others) - 1} more files" if len(others) > 1 else "")
        hint = "a new folder, or a file that ends in .zip"
        raise StudyError("`output`", "be empty, or hold an archive only", found, hint, place=str(target))
