"""Unpacking an archive: nothing is written outside the folder, and nothing if the archive has an unsafe entry."""

from __future__ import annotations

from pathlib import Path

from elastic.cube.atomic import translate_os_errors
from elastic.errors import Damaged, StudyError
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


def refuse_unsafe(archive: Archive) -> None:
    """Raise a Damaged if an entry of an archive must not be read."""
    if archive.unsafe:
        name, wrong = archive.unsafe[0]
        more = f", and {len(archive.unsafe) - 1} more" if len(archive.unsafe) > 1 else ""
        should, hint = "be safe to unpack", "another copy of the archive; elastic verify names all that is wrong"
        raise Damaged(f"`{name}`" if name else "the archive", should, f"{wrong}{more}", hint, place=str(archive.path))


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
