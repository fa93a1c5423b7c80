"""Chunk sizes of a variable in all cubes sealed so far in a study folder.

Stored as names of empty folders, which are created atomically and cannot be damaged: ``first-<bytes>-<digest>`` for
the first cube, ``largest-<bytes>`` for the largest chunks of all.
"""

from __future__ import annotations

from pathlib import Path

from elastic.cube.stored_array import StoredArray


class ChunkSizes:
    """The chunk sizes of a variable that readers of earlier cubes may expect.

    Parameters
    ----------
    folder
        Folder of the records; created when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = [path.name.split("-") for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        first = [parts[2] for parts in names if parts[0] == "first" and len(parts) == 3]
        #: Digest of the chunks of the first cube, None if nothing is remembered.
        self.first: str | None = first[0] if first else None
        self._sizes = {int(parts[1]) for parts in names if parts[0] in ("first", "largest") and parts[1].isdigit()}

    @property
    def known(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._sizes)

    @property
    def largest(self) -> int:
        """Bytes of the largest chunk, before compression."""
        return max(self._sizes, default=0)

    def remember(self, array: StoredArray) -> None:
        """Remember the chunks of a variable that is about to be replaced."""
        size = array.chunk_bytes
        if self.first is None and size:
            self.first = array.chunks_digest
            (self.folder / f"first-{size}-{self.first}").mkdir(parents=True, exist_ok=True)
        if size > self.largest:
            (self.folder / f"largest-{size}").mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob("largest-*"):
                if path.name != f"largest-{size}":
                    path.rmdir()
        self._sizes.add(size)
