"""Unpacking an archive: nothing is written outside the folder, and nothing if the archive has an unsafe entry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elastic.cube.atomic import translate_os_errors
from elastic.errors import Damaged, ElasticError, StudyError
from elastic.publishing.archive import Archive, Reader, ReadFailed
from elastic.publishing.zip_safety import shown, wrong_name


def unpack(archive: Archive, folder: Path) -> None:
    """Write the files of an archive to a folder, which must be empty and is created if missing.

    Raises
    ------
    Damaged
        If an entry is unsafe, or its contents differ from the archive's directory.
    StudyError
        If it cannot be written, or the folder is not empty.
    """
    refuse_unsafe(archive)
    with translate_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise StudyError("the folder", "be empty", "files", "another one", place=str(folder))
        with archive.reading() as reader:
            for name in archive.entries:
                _write(reader, name, folder)


@contextmanager
def unpacked(archive: Archive) -> Iterator[Path]:
    """Yield a temporary folder with the files of an archive; errors in the block name the archive in its place.

    Raises
    ------
    ElasticError
        As `unpack`.
    """
    with tempfile.TemporaryDirectory(prefix="elastic-archive-") as temporary:
        folder = Path(temporary) / "archive"
        try:
            unpack(archive, folder)
            yield folder
        except ElasticError as error:
            for one in (error, *error.others):
                _name_archive(one, folder, archive.path)
            raise


def _name_archive(error: ElasticError, folder: Path, path: Path) -> None:
    """Replace the path of a temporary folder in an error by that of the archive, which cannot be repaired."""
    for part in ("field", "expected", "found", "hint", "place"):
        if text := getattr(error, part):
            setattr(error, part, text.replace(str(folder), str(path)))
    if isinstance(error, Damaged):
        error.hint = "another copy of the archive"
    error.args = (error.field, error.expected, error.found, error.hint, error.place)


def refuse_unsafe(archive: Archive) -> None:
    """Raise a Damaged if an entry of an archive must not be read."""
    if archive.unsafe:
        name, wrong = archive.unsafe[0]
        more = f", and {len(archive.unsafe) - 1} more" if len(archive.unsafe) > 1 else ""
        expected, hint = "be safe to unpack", "another copy of the archive; elastic verify names all that is wrong"
        raise Damaged(f"`{name}`" if name else "the archive", expected, f"{wrong}{more}", hint, place=str(archive.path))


def _write(reader: Reader, name: str, folder: Path) -> None:
    if wrong := wrong_name(name):  # checked again before writing
        raise Damaged(f"`{shown(name)}`", "be safe to unpack", wrong, "another copy", place=str(reader.archive.path))
    target = folder.joinpath(*name.split("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as file:
            for block in reader.blocks(name):
                file.write(block)
    except ReadFailed as error:
        hint = "another copy of the archive"
        raise Damaged(f"`{shown(name)}`", "be readable", str(error), hint, place=str(reader.archive.path)) from None
