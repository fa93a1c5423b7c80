"""Reading an archive: its files, from a ZIP file or from the folder that it was unpacked to.

Nothing is executed and nothing is written outside the folder that `unpack` creates.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from elastic.cube.atomic import open_regular, translate_os_errors
from elastic.errors import Damaged, StudyError
from elastic.publishing.contents import SUMS
from elastic.publishing.zip_safety import LIMITS, Limits, is_folder, shown, wrong_entries, wrong_metadata
from elastic.publishing.zip_structure import end_of, wrong_structure

BLOCK = 2**20

#: First bytes of a ZIP file, and of an empty one.
ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")

#: Exceptions raised when reading a damaged ZIP file.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError, OverflowError)


class ReadFailed(Exception):
    """Contents of an entry that differ from the archive's directory."""


@dataclass(frozen=True)
class Archive:
    """The files of an archive.

    Attributes
    ----------
    path
        Path of the ZIP file or the folder.
    entries
        Size of each file by its path, relative to the folder that contains all files.
    unsafe
        (name, error) of entries that are not read.
    prefix
        The folder in a ZIP file that contains all files, "" if there is none.
    """

    path: Path
    entries: Mapping[str, int]
    unsafe: tuple[tuple[str, str], ...]
    prefix: str = ""

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Yield a reader of the files."""
        if self.path.is_dir():
            yield Reader(self, None)
            return
        with _zip_file(self.path) as opened:
            yield Reader(self, opened)


@dataclass(frozen=True)
class Reader:
    """Reads the files of an archive in blocks, and never more bytes than its directory declares."""

    archive: Archive
    opened: zipfile.ZipFile | None

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the contents of a file.

        Raises
        ------
        ReadFailed
            If their length differs from the directory, their CRC is wrong, or they cannot be decompressed.
        """
        size = 0
        try:
            with self._open(name) as file:
                while block := file.read(BLOCK):
                    size += len(block)
                    if size > self.archive.entries[name]:
                        raise ReadFailed("more bytes than the archive says")
                    yield block
        except UNREADABLE as error:
            raise ReadFailed(" ".join(str(error).split())[:200] or type(error).__name__) from None
        if size != self.archive.entries[name]:
            raise ReadFailed("fewer bytes than the archive says")

    def read(self, name: str, limits: Limits = LIMITS) -> bytes:
        """Return the contents of a file that is read in one piece.

        Raises
        ------
        ReadFailed
            As `blocks`, or if it is too large for its kind.
        """
        if self.archive.entries[name] > limits.metadata:
            raise ReadFailed(f"{self.archive.entries[name]} bytes, more than {limits.metadata} of a file of its kind")
        return b"".join(self.blocks(name))

    def _open(self, name: str) -> BinaryIO:
        if self.opened is None:
            return open_regular(self.archive.path / name)
        return self.opened.open(self.archive.prefix + name)  # type: ignore[return-value]


def open_archive(path: Path | str, limits: Limits = LIMITS) -> Archive:
    """Return the files of an archive; only its directory is read.

    Raises
    ------
    StudyError
        If there is no such file, or it is no archive.
    Damaged
        If it is a ZIP file that cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return _of_folder(path)
    with _zip_file(path, limits) as opened:
        infos = opened.infolist()
        unsafe = tuple(wrong_entries(infos, limits))
        if not unsafe and opened.fp is not None:
            unsafe = tuple(wrong_structure(opened.fp, infos))
        files = {info.orig_filename: info.file_size for info in infos if not is_folder(info)}
    prefix = _prefix(list(files))
    large = tuple((shown(name), wrong) for name, size in files.items() if (wrong := wrong_metadata(name, size, limits)))
    entries = {name.removeprefix(prefix): size for name, size in files.items()}
    return Archive(path, entries, (*unsafe, *large), prefix)


def _of_folder(path: Path) -> Archive:
    """Return the files of an unpacked archive; links are not followed."""
    entries, unsafe = {}, []
    for top, folders, names in os.walk(path):
        for name in [*folders, *names]:
            one = Path(top, name)
            mode, relative = one.lstat().st_mode, one.relative_to(path).as_posix()
            if stat.S_ISREG(mode):
                entries[relative] = one.stat().st_size
                if wrong := wrong_metadata(relative, one.stat().st_size):
                    unsafe.append((shown(relative), wrong))
            elif not stat.S_ISDIR(mode):
                unsafe.append((shown(relative), "a symbolic link" if stat.S_ISLNK(mode) else "not a file"))
    if SUMS not in entries:
        raise no_archive(path, f"a folder without {SUMS}")
    return Archive(path, entries, tuple(unsafe))


@contextmanager
def _zip_file(path: Path, limits: Limits = LIMITS) -> Iterator[zipfile.ZipFile]:
    """Yield an open ZIP file whose directory is no larger than the limit."""
    if not path.exists():
        raise StudyError("`FILE`", "be an archive", "no such file", "the path of a ZIP file", place=str(path))
    with translate_os_errors(path, "be readable"), open_regular(path) as file:
        is_zip = file.read(4) in ZIP_MARKS
        if not is_zip and path.suffix.lower() != ".zip":
            raise no_archive(path, "a file of another kind")
        try:
            size = end_of(file).size
            if size > limits.directory:
                raise zipfile.BadZipFile(f"a directory of {size} bytes, more than {limits.directory}")
            opened = zipfile.ZipFile(file)
        except UNREADABLE as error:
            found = " ".join(str(error).split())[:200]
            hint = "another copy of the archive"
            raise Damaged("the archive", "be a whole ZIP file", found, hint, place=str(path)) from None
        with opened:
            yield opened


def _prefix(names: list[str]) -> str:
    """Return the folder that contains all files, if the list of sums is there and not at the top.

    >>> _prefix(["study/SHA256SUMS", "study/a"]), _prefix(["SHA256SUMS", "a/b"]), _prefix(["a/b"])
    ('study/', '', '')
    """
    tops = {name.partition("/")[0] for name in names}
    top = next(iter(tops)) if len(tops) == 1 else ""
    return f"{top}/" if top and f"{top}/{SUMS}" in names else ""


def no_archive(path: Path, found: str) -> StudyError:
    """Return the error about a file or folder that is no archive of a study."""
    return StudyError("`FILE`", "be an archive of a study", found, "one that `elastic publish` wrote", place=str(path))
