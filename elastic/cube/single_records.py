"""The records of a run in single files, one per epoch, ``journal/000017.npz``: checked, and read many at once."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from elastic.cube.atomic import open_regular, read_regular, readable
from elastic.cube.epoch_files import epoch_of, file_name, record_files
from elastic.cube.labels import DIGITS, Label, has_checksum, labelled, read_label
from elastic.cube.layout import Layout
from elastic.cube.layout_file import cell_of
from elastic.cube.names import STATUS, Status
from elastic.cube.record import Array, decode, encode
from elastic.cube.record_contents import blank_record, is_probed_key, is_scalar_key
from elastic.cube.record_table import RecordTable
from elastic.errors import Damaged


class SingleRecords:
    """The single-epoch files of one journal.

    Every record names the cell of its run and its epoch. Records that name others were moved here and are rejected;
    those that name nothing are of an earlier release and accepted only in a run started by such a release.

    Parameters
    ----------
    run_folder
        Folder of the run, named after its cell.
    folder
        Of the journal.
    layout
        What a record holds.
    """

    def __init__(self, run_folder: Path, folder: Path, layout: Layout) -> None:
        self.run_folder, self.folder, self.layout = run_folder, folder, layout
        self.blanks = {probed: blank_record(layout, probed=probed) for probed in (False, True)}
        self._cell = cell_of(run_folder)

    @cached_property
    def tables(self) -> dict[bool, RecordTable]:
        """Where everything lies in a record that is not probed and in one that is; a compacted run needs none."""
        return {probed: RecordTable(blank) for probed, blank in self.blanks.items()}

    def path(self, epoch: float) -> Path:
        """Return the file that holds an epoch's record."""
        return self.folder / file_name(epoch)

    def epochs(self) -> list[int | float]:
        """Return the epochs of which there is a file, in ascending order."""
        epochs = [epoch_of(name) for name in record_files(self.folder)]
        return sorted(epoch for epoch in epochs if epoch is not None)

    def encode(self, epoch: float, arrays: Mapping[str, Array], after: str = "") -> bytes:
        """Return the file of a record, with its label, which may say what it comes after, and its checksum."""
        return labelled(encode(arrays), Label("record", self._cell, epoch, after))

    def is_probed(self, epoch: float) -> bool:
        """Return whether the record of an epoch holds the probes' variables."""
        if not self.layout.is_open:
            return self.layout.is_probed(epoch)
        try:
            with readable(self.path(epoch)), zipfile.ZipFile(self.path(epoch)) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError) as error:
            raise self.damaged(epoch, f"{type(error).__name__}: {error}") from None
        return any(is_probed_key(name.removesuffix(".npy")) for name in names)

    def read(self, epoch: float) -> dict[str, Array]:
        """Return an epoch's record: ``status`` and the variables by ``group/name``.

        Raises
        ------
        FileNotFoundError
            If there is none.
        Damaged
            If it is torn or damaged, or the record of another run or epoch.
        """
        data = self._bytes(epoch)
        try:
            self._check_label(epoch, data)
            arrays = decode(data)
        except ValueError as error:
            raise self.damaged(epoch, str(error)) from None
        probed = any(map(is_probed_key, arrays)) if self.layout.is_open else self.layout.is_probed(epoch)
        blank = self.blanks[probed]
        if self.layout.is_open:
            arrays = {key: blank[key] for key in blank if is_scalar_key(key)} | arrays
        if arrays.keys() != blank.keys():
            raise self.damaged(epoch, f"other variables: {', '.join(sorted(arrays.keys() ^ blank.keys()))}")
        for key, array in arrays.items():
            if (array.shape, array.dtype) != (blank[key].shape, blank[key].dtype):
                raise self.damaged(epoch, f"{key} of shape {array.shape} and type {array.dtype}")
        if arrays[STATUS] not in (Status.DONE, Status.DIVERGED):
            raise self.damaged(epoch, f"status {arrays[STATUS]}")
        return arrays

    def stacked(self, epochs: Sequence[float], probed: bool) -> dict[str, Array]:
        """Return the records of some epochs, all probed or none, each variable stacked [epoch, …]."""
        bodies = [self._body(epoch, self._bytes(epoch), probed) for epoch in epochs]
        block = None if None in bodies else self.tables[probed].cast([body for body in bodies if body is not None])
        if block is not None and np.isin(block[STATUS], (Status.DONE, Status.DIVERGED)).all():
            return block
        # One of them is unusual: read each separately to find which one is damaged.
        records = [self.read(epoch) for epoch in epochs]
        return {key: np.stack([record[key] for record in records]) for key in records[0]}

    def variable(self, epochs: Sequence[float], key: str) -> Array:
        """Return one variable [epoch, …] of the records of some epochs; the rest of the files is not read."""
        blank = self.blanks[True][key]
        values = np.empty((len(epochs), *blank.shape), blank.dtype)
        for place, epoch in enumerate(epochs):
            array = self._member(epoch, key)
            values[place] = self.read(epoch)[key] if array is None else array
        return values

    def _member(self, epoch: float, key: str) -> Array | None:
        """Return one variable of a record, None unless the record is as usual."""
        path = self.path(epoch)
        with readable(path), open_regular(path) as file:
            size, descriptor = os.fstat(file.fileno()).st_size, file.fileno()

            def is_usual(table: RecordTable) -> bool:
                if size == table.size:
                    return self.layout.cell is None
                return self._label(epoch).fits(os.pread(descriptor, max(0, size - table.size - DIGITS), table.size))

            # A record of an open run may be probed or not: the position of its label shows which.
            table = next((table for table in self.tables.values() if key in table.members and is_usual(table)), None)
            if table is None:
                return None
            member = table.members[key]
            return table.cast_member(key, os.pread(descriptor, member.stop - member.head, member.head))

    def damaged(self, epoch: float, found: str) -> Damaged:
        """Return the error of a damaged record."""
        hint = f"deleting {self.run_folder} and running again: this run is trained anew, the others are kept"
        return Damaged(f"the record of epoch {epoch}", "be whole", found, hint, place=str(self.path(epoch)))

    def _label(self, epoch: float) -> Label:
        return Label("record", self._cell, epoch)

    def _check_label(self, epoch: float, data: bytes) -> None:
        """Raise unless a file has a correct checksum, and is the record of this run and epoch."""
        if not has_checksum(data):
            if self.layout.cell is not None:
                raise ValueError("no checksum")
            return
        label = read_label(data)
        if label != self._label(epoch):
            hint = "moving the files back to their places, or " + self.damaged(epoch, "").hint
            found = f"the {label}" if label else "a file without a label"
            expected = f"be that of run {self._cell} at epoch {epoch}"
            raise Damaged("the record", expected, found, hint, place=str(self.path(epoch)))

    def _body(self, epoch: float, data: bytes, probed: bool) -> bytes | None:
        """Return a record as it is without its label, None if it is not as usual."""
        size = self.tables[probed].size
        if len(data) == size:
            return data if self.layout.cell is None else None
        try:
            is_usual = self._label(epoch).fits(data[size:-DIGITS]) and has_checksum(data)
        except ValueError:
            return None
        # The last two bytes of an archive's end are the length of its comment.
        return data[: size - 2] + b"\0\0" if is_usual else None

    def _bytes(self, epoch: float) -> bytes:
        path = self.path(epoch)
        with readable(path):
            return read_regular(path)
