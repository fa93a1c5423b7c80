"""Reading an archive: its files, as they stand in a ZIP file or in the folder that it was unpacked into.

Nothing is executed and nothing is written outside the folder that `unpack` makes.
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
from elastic.publishing.zip_safety import LIMITS, Limits, shown, wrong_entries, wrong_metadata, wrong_name

BLOCK = 2**20

#: First bytes of a ZIP file, of an empty one among them.
ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")

#: Bytes before the end record in which that of a large file (ZIP64) stands.
_ZIP64 = 1024

#: What reading a damaged ZIP file raises.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError, OverflowError)


class ReadFailed(Exception):
    """Contents of an entry that are not what the directory of the archive says."""


@dataclass(frozen=True)
class Archive:
    """The files of an archive.

    Attributes
    ----------
    path
        Of the ZIP file or the folder.
    entries
        Size of each file by its path, without a folder that all files lie in.
    unsafe
        (name, what is wrong) of entries that are not read.
    prefix
        The folder that all files of a ZIP file lie in, "" if there is none.
    """

    path: Path
    entries: Mapping[str, int]
    unsafe: tuple[tuple[str, str], ...]
    prefix: str = ""

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Give what reads the files."""
        if self.path.is_dir():
            yield Reader(self, None)
            return
        with _zip_file(self.path) as opened:
            yield Reader(self, opened)


@dataclass(frozen=True)
class Reader:
    """Reads the files of an archive, in blocks and never more of them than the archive says."""

    archive: Archive
    opened: zipfile.ZipFile | None

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the contents of a file.

        Raises
        ------
        ReadFailed
            If they are not as long as the archive says, have another CRC, or cannot be unpacked.
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
        """Return the contents of a file that is read as a whole.

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
        files = {info.orig_filename: info.file_size for info in infos if not info.is_dir()}
    prefix = _prefix(list(files))
    large = tuple((shown(name), wrong) for name, size in files.items() if (wrong := wrong_metadata(name, size, limits)))
    entries = {name.removeprefix(prefix): size for name, size in files.items()}
    return Archive(path, entries, (*unsafe, *large), prefix)


def unpack(archive: Archive, folder: Path) -> None:
    """Write the files of an archive below a folder, which must be empty and is made where it is missing.

    Raises
    ------
    Damaged
        If an entry is unsafe, or its contents are not what the archive says.
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
        expected, hint = "be safe to unpack", "another copy of the archive; elastic verify names all that is wrong"
        raise Damaged(f"`{name}`" if name else "the archive", expected, f"{wrong}{more}", hint, place=str(archive.path))


def _write(reader: Reader, name: str, folder: Path) -> None:
    if wrong := wrong_name(name):  # held again where it counts
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
        raise _no_archive(path, f"a folder without {SUMS}")
    return Archive(path, entries, tuple(unsafe))


@contextmanager
def _zip_file(path: Path, limits: Limits = LIMITS) -> Iterator[zipfile.ZipFile]:
    """Give an open ZIP file whose directory is no larger than the limit."""
    if not path.exists():
        raise StudyError("`FILE`", "be an archive", "no such file", "the path of a ZIP file", place=str(path))
    with translate_os_errors(path, "be readable"), open_regular(path) as file:
        is_zip = file.read(4) in ZIP_MARKS
        if not is_zip and path.suffix.lower() != ".zip":
            raise _no_archive(path, "a file of another kind")
        try:
            size = _directory_size(file)
            if size > limits.directory:
                raise zipfile.BadZipFile(f"a directory of {size} bytes, more than {limits.directory}")
            opened = zipfile.ZipFile(file)
        except UNREADABLE as error:
            found = " ".join(str(error).split())[:200]
            hint = "another copy of the archive"
            raise Damaged("the archive", "be a whole ZIP file", found, hint, place=str(path)) from None
        with opened:
            yield opened


def _directory_size(file: BinaryIO) -> int:
    """Return how many bytes the directory of a ZIP file has, from its end record; nothing of it is read."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 22 - 65535 - _ZIP64))
    end = file.read()
    file.seek(0)
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or len(end) - at < 22:
        raise zipfile.BadZipFile("no end of its directory")
    size = int(struct.unpack_from("<L", end, at + 12)[0])
    at64 = end.rfind(b"PK\x06\x06", 0, at)
    if size == 0xFFFFFFFF and at64 < 0:
        raise zipfile.BadZipFile("a directory of no known size")
    if at64 < 0 or len(end) - at64 < 48:
        return size
    size64 = int(struct.unpack_from("<Q", end, at64 + 40)[0])
    return size64 if size == 0xFFFFFFFF else max(size, size64)


def _prefix(names: list[str]) -> str:
    """Return the folder that all files lie in, if the list of sums is there and not at the top.

    >>> _prefix(["study/SHA256SUMS", "study/a"]), _prefix(["SHA256SUMS", "a/b"]), _prefix(["a/b"])
    ('study/', '', '')
    """
    tops = {name.partition("/")[0] for name in names}
    top = next(iter(tops)) if len(tops) == 1 else ""
    return f"{top}/" if top and f"{top}/{SUMS}" in names else ""


def _no_archive(path: Path, found: str) -> StudyError:
    return StudyError("`FILE`", "be an archive of a study", found, "one that `elastic publish` wrote", place=str(path))
