"""One array of a Zarr store as files: its metadata and chunks, and rechunking."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from elastic.cube.atomic import read_regular, sync_folder
from elastic.cube.streaming import regions

METADATA = "zarr.json"

#: Contents of a removed chunk, which zstd cannot decode.
TOMBSTONE = b"This chunk belonged to a cube that was sealed before; open the cube again.\n"

#: Bytes of an array that are in memory at once.
_BLOCK = 16 * 2**20

Metadata = dict[str, Any]


class StoredArray:
    """An array in a store.

    Parameters
    ----------
    store
        Folder of the store.
    path
        Of the array in it.
    metadata
        What its ``zarr.json`` says, or the metadata of the whole store; both may be there.
    """

    def __init__(self, store: Path, path: str, metadata: Sequence[Metadata]) -> None:
        self.store, self.path, self.metadata = store, path, metadata
        self.folder = store / path

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Return whether a folder of a store holds an array."""
        return _read(folder / METADATA).get("node_type") == "array"

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        return _chunks(self.metadata[0])

    @property
    def separator(self) -> str:
        """What stands between the numbers in the name of a chunk."""
        return _separator(self.metadata[0])

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk before compression; 0 where its type has no fixed size (strings of earlier versions)."""
        return max(math.prod(_chunks(one)) * _itemsize(one) for one in self.metadata)

    @cached_property
    def chunks_digest(self) -> str:
        """Digest of the names and bytes of all chunks."""
        total = hashlib.sha256()
        for path in self._chunk_files(self.folder):
            data = read_regular(path)
            if data != TOMBSTONE:
                total.update(f"{path.relative_to(self.folder).as_posix()} {len(data)} ".encode())
                total.update(data)
        return total.hexdigest()

    def clashes_with(self, folder: Path) -> bool:
        """Return whether a chunk would take the place of a folder, or lie in a file: its number of dims has changed."""
        for path in self._chunk_files(self.folder):
            name = path.relative_to(self.folder)
            above = [folder / parent for parent in name.parents if parent.parts]
            if (folder / name).is_dir() or any(parent.is_file() for parent in above):
                return True
        return False

    def has_numbers_of(self, other: StoredArray) -> bool:
        """Return whether two arrays are of one shape and type and hold the same bytes, read block by block."""
        try:
            one, two = self._opened(), other._opened()
            if (one.shape, one.dtype) != (two.shape, two.dtype):
                return False
            blocks = regions(one.shape, one.chunks, one.dtype.itemsize, _BLOCK)
            return all(one[region].tobytes() == two[region].tobytes() for region in blocks)
        except Exception:  # a damaged chunk makes Zarr raise nearly anything: it is replaced
            return False

    def larger_than(self, size: int) -> tuple[int, ...]:
        """Return the shape of chunks of more bytes than that, longer along their longest dim if need be.

        Chunks of an array without dims cannot be larger; no cube has one.
        """
        chunks = list(self.chunks)
        if chunks and self.chunk_bytes <= size:
            longest = int(np.argmax(chunks))
            others = math.prod(chunks[:longest] + chunks[longest + 1 :]) * _itemsize(self.metadata[0])
            chunks[longest] = size // max(1, others) + 1
        return tuple(chunks)

    def repack(self, chunks: tuple[int, ...], separator: str) -> None:
        """Give the array chunks of another shape, or other names; the metadata of the whole store say so, too."""
        changed = json.loads(json.dumps(self.metadata[0]))
        changed["chunk_grid"]["configuration"]["chunk_shape"] = list(chunks)
        changed["chunk_key_encoding"]["configuration"]["separator"] = separator
        beside = self.folder.with_name(f".{self.folder.name}.repacked")
        beside.mkdir()
        _write(beside / METADATA, changed)
        before = self._opened()
        after = zarr.open_array(beside, mode="r+").with_config({"write_empty_chunks": True})
        for region in regions(after.shape, after.chunks, after.dtype.itemsize, _BLOCK):
            after[region] = before[region]
        repacked = StoredArray(beside.parent, beside.name, [changed])
        if not self.has_numbers_of(repacked):
            raise OSError(f"{self.path} does not read back as it was written")
        for path in self._chunk_files(beside):
            sync_folder(path)
        shutil.rmtree(self.folder)
        beside.replace(self.folder)
        whole = _read(self.store / METADATA)
        whole["consolidated_metadata"]["metadata"][self.path] = changed
        _write(self.store / METADATA, whole)
        self.metadata = [changed]

    def _opened(self) -> Any:
        return zarr.open_array(self.folder, mode="r")

    @staticmethod
    def _chunk_files(folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != METADATA)


def stored_arrays(store: Path) -> dict[str, StoredArray]:
    """Return the arrays of a store by their paths: those that have metadata, and those that the whole store lists.

    Damaged metadata count as missing: an array has its own metadata, or is listed in those of the store.
    """
    metadata_files: dict[str, list[Metadata]] = {}
    for path in store.rglob(METADATA):
        one = _read(path)
        if _is_of_array(one):
            metadata_files.setdefault(path.parent.relative_to(store).as_posix(), []).append(one)
    for name, one in _listed(_read(store / METADATA)).items():
        if _is_of_array(one) and not {"", ".", ".."} & set(name.split("/")):
            metadata_files.setdefault(name, []).append(one)
    return {name: StoredArray(store, name, metadata) for name, metadata in metadata_files.items()}


def _listed(metadata: Metadata) -> Metadata:
    """Return the metadata of the arrays and groups of a store that those of its root list, by their paths."""
    listed: Any = metadata
    for key in ("consolidated_metadata", "metadata"):
        listed = listed.get(key) if isinstance(listed, dict) else None
    return listed if isinstance(listed, dict) else {}


def _is_of_array(metadata: Any) -> bool:
    """Return whether metadata have all entries that this module uses; damaged ones have not."""
    try:
        chunks, itemsize = _chunks(metadata), _itemsize(metadata)
        return bool(
            metadata["node_type"] == "array"
            and all(type(length) is int and length > 0 for length in chunks)
            and itemsize >= 0
            and _separator(metadata) in ("/", ".")
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return False


def _separator(metadata: Metadata) -> str:
    return str(metadata["chunk_key_encoding"]["configuration"]["separator"])


def _chunks(metadata: Metadata) -> tuple[int, ...]:
    return tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])


def _itemsize(metadata: Metadata) -> int:
    kind = metadata["data_type"]
    if isinstance(kind, dict):
        return int(kind.get("configuration", {}).get("length_bytes", 0))
    return 0 if kind == "string" else np.dtype(kind).itemsize


def _read(path: Path) -> Metadata:
    """Return what a file of metadata says, nothing where it is missing or damaged."""
    try:
        metadata = json.loads(read_regular(path))
    except (OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _write(path: Path, metadata: Metadata) -> None:
    with path.open("wb") as file:
        file.write(json.dumps(metadata, indent=2).encode())
        file.flush()
        os.fsync(file.fileno())
