"""Reading the records of a run from single files, from the compacted file, or from both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from elastic.cube.atomic import translate_os_errors
from elastic.cube.compact_records import CompactRecords
from elastic.cube.epoch_files import COMPACT, FOLDER
from elastic.cube.layout import Layout
from elastic.cube.layout_file import FILE, read_layout
from elastic.cube.record import Array
from elastic.cube.record_contents import is_probed_key
from elastic.cube.single_records import SingleRecords
from elastic.errors import StudyError

#: Bytes of records held at once while a journal is read.
_BATCH = 16 * 2**20

#: How often records are looked for that another process compacts meanwhile.
_ATTEMPTS = 3

Records = SingleRecords | CompactRecords
Found = TypeVar("Found")


class JournalRecords:
    """The records of one run, for reading.

    Parameters
    ----------
    folder
        Folder of the run, named after its cell; the records lie in its ``journal``.
    layout
        What a record holds; read from the folder's ``layout.json`` unless given.

    Raises
    ------
    StudyError
        If there is no layout, or the folder cannot be read.
    """

    def __init__(self, folder: Path, layout: Layout | None = None) -> None:
        self.run_folder = Path(folder)
        self.folder = self.run_folder / FOLDER
        known = layout or read_layout(self.run_folder)
        if known is None:
            hint = "running the study (elastic run)"
            raise StudyError(f"`{FILE}`", "define what the run records", "no such file", hint, place=str(folder))
        self._use(known)

    def _use(self, layout: Layout) -> None:
        """Read the records as those of a layout."""
        self.layout = layout
        self._singles = SingleRecords(self.run_folder, self.folder, layout)
        self.blanks = self._singles.blanks
        self._compact: CompactRecords | None = None
        self._look_for_compact()

    def path(self, epoch: float) -> Path:
        """Return the file that holds an epoch's record, or would hold it."""
        records = self._records(epoch)
        return records.path if isinstance(records, CompactRecords) else records.path(epoch)

    def epochs(self) -> list[int | float]:
        """Return the recorded epochs in ascending order; whole ones are integers."""
        single = self._singles.epochs()
        self._look_for_compact()  # in this order: a compacted journal is there before the first single file goes
        return single if self._compact is None else sorted({*single, *self._compact.epochs})

    def holds(self, epoch: float) -> bool:
        """Return whether an epoch is recorded."""
        return self.path(epoch).exists()

    def is_probed(self, epoch: float) -> bool:
        """Return whether the record of an epoch holds the probes' variables; one of a planned run need not be there."""
        if not self.layout.is_open:
            return self.layout.is_probed(epoch)
        return self._found(epoch, lambda: self._records(epoch).is_probed(epoch))

    def read(self, epoch: float) -> dict[str, Array]:
        """Return an epoch's record: ``status`` and the variables by ``group/name``.

        Raises
        ------
        Damaged
            If it is torn or damaged, or is the record of another run or epoch.
        StudyError
            If there is none.
        """
        return self._found(epoch, lambda: self._records(epoch).read(epoch))

    def by_probed(self) -> dict[bool, list[int | float]]:
        """Return the recorded epochs in ascending order, those that are not probed and those that are."""
        recorded, last = self.epochs(), self.layout.epochs
        if last is not None and recorded and recorded[-1] > last:
            raise self._singles.damaged(recorded[-1], f"an epoch after the last one, {last}")
        epochs: dict[bool, list[int | float]] = {False: [], True: []}
        for epoch in recorded:
            epochs[self.is_probed(epoch)].append(epoch)
        return epochs

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
            for part in batches(recorded, sum(blank.nbytes for blank in self.blanks[probed].values())):
                yield part, self._stacked(part, probed)

    def read_variable(self, key: str, within: tuple[slice, ...] = ()) -> tuple[list[int | float], Array]:
        """Return one variable over all epochs; other variables are not read, nor more than a few megabytes at once.

        Parameters
        ----------
        key
            ``group/name``, or ``status``.
        within
            Parts of the variable's dims that are returned, in their order; the rest is left out.

        Returns
        -------
        epochs, numbers
            The epochs whose records hold the variable, in ascending order, and its numbers, stacked [epoch, …].

        Raises
        ------
        Damaged
            If what is read is not as it was written.
        """
        epochs = self.by_probed()[True] if is_probed_key(key) else self.epochs()
        blank = self.blanks[True][key]
        values = np.empty((len(epochs), *blank[within].shape), blank.dtype)
        place = 0
        for rows in self.variable_blocks(key, epochs):
            values[place : place + len(rows)] = rows[:, *within]
            place += len(rows)
        return epochs, values

    def variable_blocks(self, key: str, epochs: Sequence[int | float]) -> Iterator[Array]:
        """Yield one variable at some recorded epochs, in ascending order, in parts [epoch, …] of a few megabytes."""
        for part in batches(epochs, self.blanks[True][key].nbytes):
            yield self._gathered(part, lambda records, epochs: {key: records.variable(epochs, key)})[key]

    def keys(self, *, probed: bool) -> list[str]:
        """Return the names of the arrays of a record."""
        return list(self.blanks[probed])

    def single_epochs(self) -> list[int | float]:
        """Return the epochs whose records lie in files of their own, in ascending order."""
        return self._singles.epochs()

    def _look_for_compact(self) -> None:
        """Open the compacted journal if there is one, unless it is open."""
        try:
            if self._compact is None or not self._compact.is_current():
                path = self.folder / COMPACT
                self._compact = CompactRecords(self.run_folder, path, self.blanks)
        except (FileNotFoundError, NotADirectoryError):
            self._compact = None

    def _records(self, epoch: float) -> Records:
        return self._compact if self._compact is not None and epoch in self._compact else self._singles

    def _found(self, epoch: float, read: Callable[[], Found]) -> Found:
        """Return what is read of an epoch; another process may move records from single files to a compacted one."""
        for _ in range(_ATTEMPTS):
            try:
                return read()
            except FileNotFoundError:
                self._look_for_compact()
        with translate_os_errors(self._singles.path(epoch), "be readable"):
            return read()

    def _gathered(
        self, epochs: Sequence[float], read: Callable[[Records, Sequence[float]], dict[str, Array]]
    ) -> dict[str, Array]:
        """Return the arrays [epoch, …] of some epochs, read from where each of them lies."""

        def gather() -> dict[str, Array]:
            compact = [epoch for epoch in epochs if self._records(epoch) is self._compact]
            if len(compact) == len(epochs) and self._compact is not None:
                return read(self._compact, epochs)
            if not compact or self._compact is None:
                return read(self._singles, epochs)
            single = [epoch for epoch in epochs if self._records(epoch) is self._singles]
            parts, order = (read(self._compact, compact), read(self._singles, single)), np.argsort([*compact, *single])
            return {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}

        return self._found(epochs[0] if epochs else 0, gather)

    def _stacked(self, epochs: Sequence[float], probed: bool) -> dict[str, Array]:
        return self._gathered(epochs, lambda records, part: records.stacked(part, probed))


def batches(epochs: Sequence[int | float], size: int) -> Iterator[list[int | float]]:
    """Yield the epochs in parts of which records of so many bytes are held at once."""
    length = max(1, _BATCH // max(1, size))
    for start in range(0, len(epochs), length):
        yield list(epochs[start : start + length])
