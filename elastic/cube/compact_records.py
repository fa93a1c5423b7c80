"""The compacted journal of a run that has ended: all its records in one file, ``journal/records.npz``.

The file is an uncompressed ``.npz`` with a label and a checksum: ``epochs`` [E]; ``probed`` [E], which of them the
probes were read at; ``status`` and the variables of ``training`` [E, …]; every other variable [P, …] at the P probed
epochs. Rows of one variable are read without the rest.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from elastic.cube.atomic import open_regular, readable
from elastic.cube.checked_files import Condition, check_archive
from elastic.cube.epoch_files import COMPACT
from elastic.cube.labels import Label
from elastic.cube.layout_file import cell_of
from elastic.cube.names import STATUS, Status
from elastic.cube.record import Array
from elastic.errors import Damaged

EPOCHS, PROBED = "epochs", "probed"


@dataclass(frozen=True)
class Rows:
    """Where the rows of one variable lie in the file.

    Attributes
    ----------
    offset
        Of the first number, in bytes.
    dtype, shape
        Of the whole array, the rows along its first dim.
    """

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))


@cache
def _type_and_shape(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return what the header of a ``.npy`` file says; the runs of a study have the same ones, and parsing costs.

    Raises
    ------
    ValueError
        If it is none, or of an array without rows.
    """
    file = io.BytesIO(header)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array in another form")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran or not shape:
        raise ValueError("an array in another form")
    return dtype, shape


class CompactRecords:
    """A compacted journal, open for reading; its checksum is compared once, when this is made.

    Parameters
    ----------
    run_folder
        Folder of the run, named after its cell.
    path
        Of the file.
    blanks
        A record without numbers for epochs that are not probed and for those that are.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    Damaged
        If it is not as it was written, is of another run, or holds other variables than the layout.
    """

    def __init__(self, run_folder: Path, path: Path, blanks: Mapping[bool, Mapping[str, Array]]) -> None:
        self.run_folder, self.path, self.blanks = run_folder, path, blanks
        with readable(path):
            self._file = self._identity(path.stat())
        self._check_label()
        self._rows = self._directory()
        epochs = self.rows(EPOCHS).tolist()
        self.epochs: list[int | float] = [int(epoch) if epoch == int(epoch) else epoch for epoch in epochs]
        self._probed = self.rows(PROBED)
        self._places = {epoch: place for place, epoch in enumerate(self.epochs)}
        # The row of an epoch in the variables that only probed epochs have.
        self._probed_places = np.cumsum(self._probed) - 1
        self._check_shapes()

    def __contains__(self, epoch: float) -> bool:
        return epoch in self._places

    def is_probed(self, epoch: float) -> bool:
        """Return whether the record of an epoch holds the probes' variables."""
        return bool(self._probed[self._places[epoch]])

    def read(self, epoch: float) -> dict[str, Array]:
        """Return an epoch's record: ``status`` and the variables by ``group/name``."""
        return {key: rows[0] for key, rows in self.stacked([epoch], self.is_probed(epoch)).items()}

    def variable(self, epochs: Sequence[float], key: str) -> Array:
        """Return the rows [epoch, …] of a variable at some recorded epochs, in ascending order."""
        places = [self._places[epoch] for epoch in epochs]
        if key not in self._rows:  # a scalar that came later
            blank = next(blank[key] for blank in self.blanks.values() if key in blank)
            return np.broadcast_to(blank, (len(epochs), *blank.shape))
        if key not in self.blanks[False]:
            places = [int(self._probed_places[place]) for place in places]
        if not places:
            return self.rows(key, 0, 0)
        values = self.rows(key, places[0], places[-1] + 1)
        return values if len(values) == len(places) else values[np.subtract(places, places[0])]

    def stacked(self, epochs: Sequence[float], probed: bool) -> dict[str, Array]:
        """Return the records of some epochs, all probed or none, each variable stacked [epoch, …]."""
        return {key: self.variable(epochs, key) for key in self.blanks[probed]}

    def rows(self, key: str, start: int = 0, stop: int | None = None) -> Array:
        """Return some rows of an array of the file, by default all."""
        rows = self._rows[key]
        stop = rows.shape[0] if stop is None else stop
        values = np.empty((stop - start, *rows.shape[1:]), rows.dtype)
        with self._opened() as file:
            file.seek(rows.offset + start * rows.row_bytes)
            if file.readinto(values.reshape(-1).view(np.uint8).data) != values.nbytes:
                raise self._damaged("a file that is cut short")
        return values

    def _opened(self) -> BufferedReader:
        """Return the open file; a file that has replaced it since counts as missing."""
        with readable(self.path):
            file = open_regular(self.path)
            if self._identity(os.fstat(file.fileno())) != self._file:
                file.close()
                raise FileNotFoundError(self.path)
            return file

    def is_current(self) -> bool:
        """Return whether the file is still the one that was checked."""
        with readable(self.path):
            return self._identity(self.path.stat()) == self._file

    @staticmethod
    def _identity(status: os.stat_result) -> tuple[int, int, int]:
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _check_label(self) -> None:
        finding, expected = check_archive(self.path), Label("journal", cell_of(self.run_folder))
        if finding.condition is not Condition.INTACT:
            raise self._damaged(finding.found or "no checksum")
        if finding.label != expected:
            hint = f"moving the files back to their places, or {self._damaged('').hint}"
            found = f"the {finding.label}" if finding.label else "a file without a label"
            raise Damaged(f"`{COMPACT}`", f"be the {expected}", found, hint, place=str(self.path))

    def _directory(self) -> dict[str, Rows]:
        directory = {}
        try:
            with self._opened() as file, zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    if info.compress_type != zipfile.ZIP_STORED:
                        raise ValueError(f"{info.filename} in another form")
                    file.seek(info.header_offset + 26)
                    start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
                    file.seek(start)
                    before = file.read(10)
                    header = before + file.read(int.from_bytes(before[8:], "little"))
                    directory[info.filename.removesuffix(".npy")] = Rows(start + len(header), *_type_and_shape(header))
        except (ValueError, zipfile.BadZipFile, NotImplementedError, KeyError, struct.error) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from None
        if missing := {EPOCHS, PROBED, STATUS} - directory.keys():
            raise self._damaged(f"no {sorted(missing)[0]}")
        return directory

    def _check_shapes(self) -> None:
        counts = {False: len(self.epochs), True: int(self._probed.sum())}
        expected = {key: (counts[key not in self.blanks[False]], blank) for key, blank in self.blanks[True].items()}
        for key, rows in self._rows.items():
            if key in (EPOCHS, PROBED):
                continue
            if key not in expected:
                raise self._damaged(f"another variable, {key}")
            count, blank = expected[key]
            if (rows.shape, rows.dtype) != ((count, *blank.shape), blank.dtype):
                raise self._damaged(f"{key} of shape {rows.shape} and type {rows.dtype}")
        absent = [key for key in expected if key not in self._rows and key.partition("/")[0] != "training"]
        if absent and counts[True]:
            raise self._damaged(f"no {absent[0]}")
        if (
            self.epochs != sorted(set(self.epochs))
            or not np.isin(self.rows(STATUS), (Status.DONE, Status.DIVERGED)).all()
        ):
            raise self._damaged("other epochs or another status")

    def _damaged(self, found: str) -> Damaged:
        hint = f"deleting {self.run_folder} and running again: this run is trained anew, the others are kept"
        return Damaged(f"`{COMPACT}`", "be as it was written", found, hint, place=str(self.path))
