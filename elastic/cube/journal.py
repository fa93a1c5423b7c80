"""The journal of a run: one record an epoch, each whole or not there.

``journal/000017.npz`` holds the numbers of epoch 17 under the keys ``group/name``, and ``status``; an open run may also
have ``000017.25.npz``. Whether a record of an open run holds the probes' variables is told by its keys.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elastic.cube.atomic import explained, remove_partials, write_atomically
from elastic.cube.comparison import differences
from elastic.cube.epoch_files import epoch_of, file_name
from elastic.cube.layout import Layout
from elastic.cube.layout_file import FILE, read_layout
from elastic.cube.names import STATUS, TRAINING, Status
from elastic.cube.record import Array, Mould, decode, encode, held
from elastic.cube.variable import Variable
from elastic.errors import NotReproduced, StudyError
from elastic.registry import shorten

FOLDER = "journal"

#: Bytes of records held at once while a journal is read.
_BATCH = 16 * 2**20


class Journal:
    """The records of one run.

    Parameters
    ----------
    folder
        Folder of the run; the records lie in its ``journal``.
    layout
        What a record holds; read from the folder's ``layout.json`` unless given.
    writing
        Whether the caller owns the run and is about to append: what dead writers left half-written is removed.

    Raises
    ------
    StudyError
        If there is no layout, or the folder cannot be read.
    """

    def __init__(self, folder: Path, layout: Layout | None = None, *, writing: bool = False) -> None:
        self.run_folder = Path(folder)
        self.folder = self.run_folder / FOLDER
        found = layout or read_layout(self.run_folder)
        if found is None:
            hint = "running the study (elastic run)"
            raise StudyError(f"`{FILE}`", "tell what the run records", "no such file", hint, place=str(folder))
        self.layout = found
        self._moulds = _moulds(found)
        if writing:
            remove_partials(self.folder)
            remove_partials(self.run_folder)

    def path(self, epoch: float) -> Path:
        """Return the file that holds an epoch's record."""
        return self.folder / file_name(epoch)

    def epochs(self) -> list[int | float]:
        """Return the recorded epochs in ascending order; whole ones are integers."""
        with explained(self.folder, "be readable"):
            try:
                names = [path.name for path in self.folder.iterdir()]
            except (FileNotFoundError, NotADirectoryError):  # not begun, or removed by another process
                names = []
        return sorted(epoch for name in names if (epoch := epoch_of(name)) is not None)

    def is_probed(self, epoch: float) -> bool:
        """Return whether the record of an epoch holds the probes' variables; one of a planned run need not be there."""
        if not self.layout.is_open:
            return self.layout.is_probed(epoch)
        path = self.path(epoch)
        try:
            with explained(path, "be readable"), zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError) as error:
            raise self._damaged(epoch, f"{type(error).__name__}: {error}") from None
        return any(_is_probed_key(name.removesuffix(".npy")) for name in names)

    def extend(self, variables: Sequence[Variable]) -> None:
        """Give an open run further variables of the group ``training``; records that lack them read as NaN."""
        self.layout = self.layout.extended(variables)
        self._moulds = _moulds(self.layout)
        write_atomically(self.run_folder / FILE, self.layout.to_json().encode())

    def append(self, epoch: float, record: Mapping[str, ArrayLike]) -> None:
        """Record an epoch; when this returns, the record is on the disk.

        Parameters
        ----------
        epoch
            0 … the layout's last; of an open run any that is finite and not negative.
        record
            Each variable's numbers under ``group/name``: those of training, and at a probed epoch all; each is kept to
            the last bit, and what the layout's type does not hold exactly is refused. ``status``
            is `Status.DONE` unless it is given; with `Status.DIVERGED` any variable may be left out (NaN). An open run
            may leave out any variable of training, and is probed where the record has a probe's variable.

        Raises
        ------
        NotReproduced
            If the epoch was recorded before with other bytes; the old record is kept.
        StudyError
            If the record is not what the layout says, the disk is full, the folder read-only, …
        """
        data = encode(self._checked(epoch, record))
        path = self.path(epoch)
        if path.exists():
            self._compare(epoch, data)
        else:
            write_atomically(path, data)

    def read(self, epoch: float) -> dict[str, Array]:
        """Return an epoch's record: ``status`` and the variables by ``group/name``.

        Raises
        ------
        StudyError
            If there is none, or it is torn or damaged.
        """
        data = self._bytes(epoch)
        try:
            arrays = decode(data)
        except ValueError as error:
            raise self._damaged(epoch, str(error)) from None
        blank = self._moulds[self._probed_as(epoch, arrays)].arrays
        if self.layout.is_open:
            arrays = {key: blank[key] for key in blank if _is_scalar(key)} | arrays
        if arrays.keys() != blank.keys():
            raise self._damaged(epoch, f"other variables: {', '.join(sorted(arrays.keys() ^ blank.keys()))}")
        for key, array in arrays.items():
            if (array.shape, array.dtype) != (blank[key].shape, blank[key].dtype):
                raise self._damaged(epoch, f"{key} of shape {array.shape} and type {array.dtype}")
        if arrays[STATUS] not in (Status.DONE, Status.DIVERGED):
            raise self._damaged(epoch, f"status {arrays[STATUS]}")
        return arrays

    def by_probed(self) -> dict[bool, list[int | float]]:
        """Return the recorded epochs in ascending order, those that are not probed and those that are."""
        recorded, last = self.epochs(), self.layout.epochs
        if last is not None and recorded and recorded[-1] > last:
            raise self._damaged(recorded[-1], f"an epoch after the last one, {last}")
        found: dict[bool, list[int | float]] = {False: [], True: []}
        for epoch in recorded:
            found[self.is_probed(epoch)].append(epoch)
        return found

    def blocks(
        self, epochs: Mapping[bool, Sequence[int | float]] | None = None
    ) -> Iterator[tuple[list[int | float], dict[str, Array]]]:
        """Yield every record: some epochs, all probed or none, and their arrays stacked [epoch, …].

        Parameters
        ----------
        epochs
            What `by_probed` returned: records that another process adds meanwhile are left out.
        """
        for probed, recorded in (self.by_probed() if epochs is None else epochs).items():
            length = max(1, _BATCH // self._moulds[probed].size)
            for start in range(0, len(recorded), length):
                part = list(recorded[start : start + length])
                yield part, self._stacked(part, probed)

    def _stacked(self, epochs: Sequence[float], probed: bool) -> dict[str, Array]:
        block = self._moulds[probed].cast([self._bytes(epoch) for epoch in epochs])
        if block is not None and np.isin(block[STATUS], (Status.DONE, Status.DIVERGED)).all():
            return block
        # One of them is not as usual: read each by itself, which tells which one and what is wrong with it.
        records = [self.read(epoch) for epoch in epochs]
        return {key: np.stack([record[key] for record in records]) for key in records[0]}

    def _bytes(self, epoch: float) -> bytes:
        with explained(self.path(epoch), "be readable"):
            return self.path(epoch).read_bytes()

    def _probed_as(self, epoch: float, record: Mapping[str, Any]) -> bool:
        return any(map(_is_probed_key, record)) if self.layout.is_open else self.layout.is_probed(epoch)

    def _checked(self, epoch: float, record: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Return the whole record, in the layout's types and shapes."""
        last = self.layout.epochs
        if last is not None and not (0 <= epoch <= last and epoch == int(epoch)):
            raise self._misfit(epoch, "epoch", f"be one of 0 … {last}", str(epoch))
        blank = self._moulds[self._probed_as(epoch, record)].arrays
        state = Status(int(np.asarray(record.get(STATUS, Status.DONE))))
        if state is Status.MISSING:
            raise self._misfit(epoch, STATUS, "be done or diverged", "missing")
        absent = blank.keys() - record.keys() - {STATUS}
        if unknown := record.keys() - blank.keys():
            raise self._misfit(epoch, sorted(unknown)[0], "be a variable of this epoch's record", "one more")
        absent = {key for key in absent if not (self.layout.is_open and _is_scalar(key))}
        if absent and state is Status.DONE:
            raise self._misfit(epoch, sorted(absent)[0], "be in the record of the epoch", "nothing")
        whole: dict[str, Array] = {STATUS: np.asarray(state, dtype=np.int8)}
        for key in blank.keys() - {STATUS}:
            try:
                array = held(record.get(key, blank[key]), blank[key].dtype)
            except ValueError as error:
                should = f"be real numbers that {blank[key].dtype} holds exactly"
                raise self._misfit(epoch, key, should, shorten(str(error))) from None
            if array.shape != blank[key].shape:
                raise self._misfit(epoch, key, f"be of shape {blank[key].shape}", str(array.shape))
            whole[key] = array
        return whole

    def _compare(self, epoch: float, data: bytes) -> None:
        if self._bytes(epoch) == data:
            return
        before = self.read(epoch)
        if encode(before) == data:
            return  # variables that came later are NaN in both
        found = differences(before, decode(data))
        hint = "the torch, thread count and machine that began the run, or deleting its folder to run it anew"
        if self.layout.is_open:
            hint = "restart=True to replace the run, or other coordinates; the record is kept"
        field = f"the record of epoch {epoch}"
        raise NotReproduced(field, "be the same when replayed", found, hint, place=str(self.path(epoch)))

    def _misfit(self, epoch: float, field: str, should: str, found: str) -> StudyError:
        hint = "a metric that returns what its registration says (elastic list metrics)"
        return StudyError(f"`{field}`", should, found, hint, place=str(self.path(epoch)))

    def _damaged(self, epoch: float, found: str) -> StudyError:
        hint = f"deleting {self.run_folder} and running again: this run is trained anew, the others are kept"
        field = f"the record of epoch {epoch}"
        return StudyError(field, "be whole", found, hint, place=str(self.path(epoch)))


def _is_probed_key(key: str) -> bool:
    """Return whether a key of a record is of a variable that a probe measures."""
    return key != STATUS and key.partition("/")[0] != TRAINING


def _is_scalar(key: str) -> bool:
    """Return whether a key of a record may be missing from an open run's."""
    return key.partition("/")[0] == TRAINING


def _moulds(layout: Layout) -> dict[bool, Mould]:
    return {probed: Mould(_blank(layout, probed)) for probed in (False, True)}


def _blank(layout: Layout, probed: bool) -> dict[str, Array]:
    """Return a record without numbers: every variable NaN, in its type and shape."""
    blank: dict[str, Array] = {STATUS: np.asarray(Status.MISSING, dtype=np.int8)}
    for variable in layout.recorded(probed=probed):
        # The byte order is fixed, so that a record's bytes do not depend on the machine.
        dtype: np.dtype[Any] = np.dtype(variable.dtype).newbyteorder("<")
        blank[variable.key] = np.full(layout.shape(variable), np.nan, dtype)
    return blank
