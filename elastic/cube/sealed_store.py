"""A Zarr store for the files of a sealed cube that compares every file with the manifest.

Zarr reads missing chunks as NaN, and chunks of a cube that was sealed again under the labels of the open one. This
store keeps the manifest from the time of opening and compares every file with it on reading.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from elastic.cube.atomic import read_regular, translate_os_errors
from elastic.cube.manifest import CUBE, FILE, read_manifest
from elastic.errors import Damaged, SealedAgain, StudyError

#: Files that Zarr looks for and need not find, of both versions of the format.
_OPTIONAL = frozenset({"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"})


class DamagedCube(Damaged, RuntimeError):
    """A file of a sealed cube that is not as it was sealed; a RuntimeError too, as Zarr raises for a wrong checksum."""


class SealedStore(Store):
    """The files of ``cube.zarr`` as one manifest lists them, for reading.

    Parameters
    ----------
    folder
        Folder of the study.
    listed
        Return value of `elastic.cube.read_manifest` at opening: {path in the folder: SHA-256}.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, folder: Path, listed: Mapping[str, str]) -> None:
        super().__init__(read_only=True)
        # Absolute: a notebook may change the working directory between opening and reading.
        self.folder, self.listed = folder.absolute(), dict(listed)
        self.keys = {name.removeprefix(f"{CUBE}/"): name for name in listed if name.startswith(f"{CUBE}/")}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealedStore) and (self.folder, self.listed) == (other.folder, other.listed)

    def __hash__(self) -> int:
        return hash((self.folder, self.listed.get(f"{CUBE}/zarr.json")))

    def __repr__(self) -> str:
        return f"<SealedStore of {self.folder / CUBE}>"

    def read(self, key: str) -> bytes | None:
        """Return the contents of a file; None for metadata files that are not part of the cube.

        Raises
        ------
        SealedAgain
            If the cube has been sealed again or unsealed since.
        Damaged
            If the file differs from the manifest, is missing, or is not listed.
        """
        if key not in self.keys:
            if PurePosixPath(key).name in _OPTIONAL:
                return None
            raise self._wrong(key, f"be listed in {FILE}", "no such line")
        path = self.folder / self.keys[key]
        with translate_os_errors(path, "be readable"):
            try:
                data = read_regular(path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise self._wrong(key, f"be there, as {FILE} lists it", "no such file") from None
        if hashlib.sha256(data).hexdigest() != self.listed[self.keys[key]]:
            found = "damaged metadata" if PurePosixPath(key).name in _OPTIONAL else "another one"
            raise self._wrong(key, f"have the checksum that {FILE} lists", found)
        return data

    def _wrong(self, key: str, expected: str, found: str) -> StudyError:
        path = self.folder / CUBE / key
        now = read_manifest(self.folder)
        if now != self.listed:
            found = "a cube that was sealed since" if now else "no seal: the study is being recorded or sealed"
            hint = "opening the study again: elastic.open_study(…).cube"
            return SealedAgain(f"`{CUBE}`", "be the sealed cube that was opened", found, hint, place=str(path))
        return DamagedCube(f"`{CUBE}/{key}`", expected, found, repair_hint(self.folder), place=str(path))

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a file, or a part of it; the whole file is read and compared."""
        data = await asyncio.to_thread(self.read, key)
        kind = (prototype or default_buffer_prototype()).buffer
        return None if data is None else kind.from_bytes(_part(data, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of files."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether the manifest lists a file."""
        return key in self.keys

    async def list(self) -> AsyncIterator[str]:
        """Yield every file."""
        for key in self.keys:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the files whose paths begin so."""
        for key in self.keys:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names in a folder."""
        inside = f"{prefix.rstrip('/')}/" if prefix else ""
        for name in dict.fromkeys(k.removeprefix(inside).split("/")[0] for k in self.keys if k.startswith(inside)):
            yield name

    async def set(self, key: str, value: Buffer) -> None:
        """Raise an error: sealed cubes are read-only."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Raise an error: sealed cubes are read-only."""
        self._check_writable()


def repair_hint(folder: Path) -> str:
    """Return the hint for a damaged cube."""
    return f"elastic verify --repair {quote(str(folder))}: it is sealed anew from the journals"


def _part(data: bytes, wanted: Any) -> bytes:
    if isinstance(wanted, RangeByteRequest):
        return data[wanted.start : wanted.end]
    if isinstance(wanted, OffsetByteRequest):
        return data[wanted.offset :]
    if isinstance(wanted, SuffixByteRequest):
        return data[max(0, len(data) - wanted.suffix) :]
    return data
