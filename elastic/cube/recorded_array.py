"""Lazy reading of a variable of a cube from the journals of its runs.

Records never change, but a run may be removed, restarted, or compacted into one file. Each file is therefore compared
with its state when the cube was assembled: values are those of that moment, or reading raises an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from elastic.cube.atomic import translate_os_errors
from elastic.cube.journal import Journal
from elastic.cube.record import Array
from elastic.errors import RecordsChanged

_Identity = tuple[int, int, int]


class RunRecords:
    """The records of one run, as they lie on the disk now.

    Parameters
    ----------
    journal
        Of the run.
    epochs
        Its recorded epochs.
    """

    def __init__(self, journal: Journal, epochs: Sequence[float]) -> None:
        self.journal = journal
        self._paths = {epoch: journal.path(epoch) for epoch in epochs}
        self._files: dict[Path, _Identity | None] = {path: self._identity(path) for path in set(self._paths.values())}

    def blocks(self, key: str, epochs: Sequence[float]) -> Iterator[Array]:
        """Yield one variable at some of the epochs, in ascending order, in parts [epoch, …] of a few megabytes.

        Raises
        ------
        RecordsChanged
            If one of the files is gone, or another one has its name.
        Damaged
            If it is not as it was written.
        """
        paths = {self._paths[epoch] for epoch in epochs}
        self._check(paths)
        for block in self.journal.variable_blocks(key, epochs):
            self._check(paths)  # a file that was there before and after it was read was read
            yield block

    def _check(self, paths: set[Path]) -> None:
        for path in paths:
            if self._files[path] is None or self._identity(path) != self._files[path]:
                expected, hint = "be the records that the open cube found", "opening the study again"
                found = "others: the run was compacted, removed or recorded again"
                raise RecordsChanged(f"`{path.name}`", expected, found, hint, place=str(path))

    @staticmethod
    def _identity(path: Path) -> _Identity | None:
        with translate_os_errors(path, "be readable"):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Piece:
    """What one run has of a variable.

    Attributes
    ----------
    position
        Where the run stands on the axes.
    records
        Of the run.
    epochs
        Those whose records hold the variable, in ascending order.
    places
        Where the run's own epochs and labels stand in the cube, along the epoch and each dim of the variable.
    """

    position: tuple[int, ...]
    records: RunRecords
    epochs: Sequence[float]
    places: tuple[Array, ...]


class RecordedArray(BackendArray):
    """The numbers of one variable over all runs; what no run has is NaN.

    Parameters
    ----------
    key
        ``group/name``.
    shape, dtype
        Of the whole variable: the axes, the epochs, and its dims.
    pieces
        What each run has of it.
    """

    def __init__(self, key: str, shape: tuple[int, ...], dtype: Any, pieces: Sequence[Piece]) -> None:
        self.key, self.shape, self.dtype, self.pieces = key, shape, np.dtype(dtype), list(pieces)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Array:
        wanted = [np.atleast_1d(np.arange(length)[part]) for length, part in zip(self.shape, key, strict=True)]
        values = np.full([len(along) for along in wanted], np.nan, self.dtype)
        for piece in self.pieces:
            self._put(piece, wanted, values)
        return values[tuple(0 if np.ndim(part) == 0 and not isinstance(part, slice) else slice(None) for part in key)]

    def _put(self, piece: Piece, wanted: Sequence[Array], values: Array) -> None:
        """Put what a run has of the wanted indices in place."""
        axes = len(piece.position)
        at = [np.flatnonzero(along == i) for along, i in zip(wanted[:axes], piece.position, strict=True)]
        pairs = [
            _pairs(along, places, length)
            for along, places, length in zip(wanted[axes:], piece.places, self.shape[axes:], strict=True)
        ]
        if any(len(along) == 0 for along in (*at, *(to for to, _ in pairs))):
            return
        (to_epochs, own_epochs), rest = pairs[0], pairs[1:]
        recorded, inverse = np.unique(own_epochs, return_inverse=True)
        start = 0
        for block in piece.records.blocks(self.key, [piece.epochs[i] for i in recorded]):
            rows = np.flatnonzero((start <= inverse) & (inverse < start + len(block)))
            part = block[np.ix_(inverse[rows] - start, *(own for _, own in rest))]
            values[np.ix_(*at, to_epochs[rows], *(to for to, _ in rest))] = part
            start += len(block)


def lazily(array: RecordedArray) -> Any:
    """Return an array as xarray keeps those of files: read when it is used, kept once it was read whole."""
    kept: Any = indexing.MemoryCachedArray
    return kept(indexing.LazilyIndexedArray(array))


def _pairs(wanted: Array, places: Array, length: int) -> tuple[Array, Array]:
    """Return where in the wanted indices a run has something, and at which of its own indices."""
    own = np.full(length, -1, dtype=np.intp)
    own[places] = np.arange(len(places))
    to = np.flatnonzero(own[wanted] >= 0)
    return to, own[wanted][to]
