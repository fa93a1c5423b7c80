"""Zarr stores that read files and never write; small files are read at once, without a thread for each."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Iterable
from pathlib import Path
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from elastic.cube.atomic import read_regular

#: Bytes from which a file is read in a thread, beside others: handing a smaller one over costs more than reading it.
LARGE = 2**20


class ReadingStore(Store):
    """Files by their keys, for reading; a subclass says which there are and reads one.

    Attributes
    ----------
    keys
        The key of every file.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True
    keys: Collection[str]

    def __init__(self) -> None:
        super().__init__(read_only=True)

    @abstractmethod
    def path_of(self, key: str) -> Path:
        """Return the path of a file, which may be missing."""

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """Return the contents of a file; None if the store has none of this key."""

    def _is_large(self, key: str) -> bool:
        try:
            return key in self.keys and self.path_of(key).stat().st_size >= LARGE
        except OSError:
            return False  # `read` raises the error that a reader understands

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a file, or a part of it; the whole file is read."""
        data = await asyncio.to_thread(self.read, key) if self._is_large(key) else self.read(key)
        kind = (prototype or default_buffer_prototype()).buffer
        return None if data is None else kind.from_bytes(_part(data, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of files."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        return key in self.keys

    async def list(self) -> AsyncIterator[str]:
        """Yield every file."""
        for key in self.keys:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the files of a folder and of those in it: Zarr asks for an array by its path alone."""
        inside = f"{prefix.rstrip('/')}/" if prefix else ""
        for key in self.keys:
            if key.startswith(inside):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names in a folder."""
        inside = f"{prefix.rstrip('/')}/" if prefix else ""
        for name in dict.fromkeys(k.removeprefix(inside).split("/")[0] for k in self.keys if k.startswith(inside)):
            yield name

    async def set(self, key: str, value: Buffer) -> None:
        """Raise an error: the store is read-only."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Raise an error: the store is read-only."""
        self._check_writable()


class FolderStore(ReadingStore):
    """The files that a folder has at this moment, as they are.

    Parameters
    ----------
    folder
        Folder of a Zarr store that no process writes to.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder.absolute()
        files = (path for path in self.folder.rglob("*") if path.is_file())
        self.keys = frozenset(path.relative_to(self.folder).as_posix() for path in files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FolderStore) and (self.folder, self.keys) == (other.folder, other.keys)

    def __hash__(self) -> int:
        return hash(self.folder)

    def __repr__(self) -> str:
        return f"<FolderStore of {self.folder}>"

    def path_of(self, key: str) -> Path:
        """Return the path of a file."""
        return self.folder / key

    def read(self, key: str) -> bytes | None:
        """Return the contents of a file; None if the folder had none of this name."""
        return read_regular(self.path_of(key)) if key in self.keys else None


def _part(data: bytes, wanted: Any) -> bytes:
    if isinstance(wanted, RangeByteRequest):
        return data[wanted.start : wanted.end]
    if isinstance(wanted, OffsetByteRequest):
        return data[wanted.offset :]
    if isinstance(wanted, SuffixByteRequest):
        return data[max(0, len(data) - wanted.suffix) :]
    return data
