"""The journal of a run: one record per epoch, each written atomically.

``journal/000017.npz`` has the values of epoch 17 under the keys ``group/name``, and ``status``; an open run may also
have ``000017.25.npz``. The keys of an open run's record show whether it includes the probes' variables. When a run
ends, its records are compacted into ``journal/records.npz``; an extended run adds single files to it. Both are read the
same way.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from pathlib import Path

from numpy.typing import ArrayLike

from elastic.cube.atomic import (
    make_folder,
    open_regular,
    remove_partials,
    sync_folder,
    translate_os_errors,
    write_atomically,
)
from elastic.cube.comparison import differences, same_but_for_rounding
from elastic.cube.epoch_files import COMPACT
from elastic.cube.journal_records import JournalRecords
from elastic.cube.labels import AFTER, read_checksum
from elastic.cube.layout import Layout
from elastic.cube.layout_file import FILE
from elastic.cube.record import Array, encode
from elastic.cube.record_contents import whole_record
from elastic.cube.variable import Variable, check_names
from elastic.errors import Damaged, NotReproduced

logger = logging.getLogger("elastic")

#: Folder, in that of the journal, of records that were moved out of it.
SET_ASIDE = "set-aside"


class Journal(JournalRecords):
    """The records of one run, for reading, and for appending by the owner of the run.

    Parameters
    ----------
    folder, layout
        As `elastic.cube.journal_records.JournalRecords` takes them.
    writing
        Whether the caller owns the run and is about to append: temporary files of killed writers are removed.
    rounded
        Whether records are of a release whose movements differ by rounding: a replay may then differ by as much.

    Raises
    ------
    StudyError
        If there is no layout, or the folder cannot be read.
    """

    def __init__(
        self, folder: Path, layout: Layout | None = None, *, writing: bool = False, rounded: bool = False
    ) -> None:
        super().__init__(folder, layout)
        self._rounded = rounded
        if writing:
            remove_partials(self.folder)
            remove_partials(self.run_folder)
            self.remove_compacted()
        # This process alone records the run, so that what its journal held before does not change.
        self._order = self.epochs() if writing and self.layout.is_open else None

    def extend(self, variables: Sequence[Variable]) -> None:
        """Give an open run further variables of the group ``training``; records that lack them read as NaN."""
        check_names(variables, self.layout.variables)
        extended = self.layout.extended(variables)
        write_atomically(self.run_folder / FILE, extended.to_json().encode())
        self._use(extended)

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
            If the epoch was recorded before with other numbers; the old record is kept.
        StudyError
            If the record is not what the layout says, the disk is full, the folder read-only, …
        """
        arrays = whole_record(self.layout, self.blanks, epoch, record, place=str(self.path(epoch)))
        if self.holds(epoch):
            self._compare(epoch, arrays)
        else:
            write_atomically(self._singles.path(epoch), self._singles.encode(epoch, arrays, self._before(epoch)))
            if self._order is not None:
                insort(self._order, epoch)

    def _before(self, epoch: float) -> str:
        """Return what the label of a record of an open run says: the record before it, and its checksum's begin."""
        if self._order is None:
            return ""
        place = bisect_left(self._order, epoch)
        if not place:
            return "none"
        path = self.path(self._order[place - 1])
        with translate_os_errors(path, "be readable"), open_regular(path) as file:
            checksum = read_checksum(file) or b"no checksum"
        return f"{self._order[place - 1]!r} ({checksum[:AFTER].decode()})"

    def remove_compacted(self, *, verified: bool = False) -> None:
        """Remove the single files of epochs that the compacted journal holds; the caller owns the run.

        Parameters
        ----------
        verified
            Whether the caller has compared them.

        Raises
        ------
        Damaged
            If one of them is not the record that was compacted.
        """
        self._look_for_compact()
        if self._compact is None:
            return
        left = [epoch for epoch in self._singles.epochs() if epoch in self._compact]
        for epoch in [] if verified else left:
            path = self._singles.path(epoch)
            if encode(self._singles.read(epoch)) != encode(self._compact.read(epoch)):
                expected, hint = f"be the record of epoch {epoch} in {COMPACT}", "moving it away"
                raise Damaged(f"`{path.name}`", expected, "another", hint, place=str(path))
        with translate_os_errors(self.folder):
            for epoch in left:
                self._singles.path(epoch).unlink()
            if left:
                sync_folder(self.folder)

    def set_aside(self, first: float) -> Path:
        """Move the records of an epoch and of all later ones out of the journal, and return where they are.

        The records before them stay. A process killed here leaves records of consecutive epochs.
        """
        numbers = [int(path.name) for path in (self.folder / SET_ASIDE).glob("*") if path.name.isdecimal()]
        number = 1 + max(numbers, default=0)  # the count, after one is deleted, may be the number of another
        place = self.folder / SET_ASIDE / f"{number:03d}"
        with translate_os_errors(place):
            make_folder(place)
            if self._compact is not None and self._compact.epochs[-1] >= first:
                for epoch in self._compact.epochs:
                    if epoch < first:
                        data = self._singles.encode(epoch, self._compact.read(epoch))
                        write_atomically(self._singles.path(epoch), data)
                self._compact.path.replace(place / COMPACT)
            for epoch in reversed(self._singles.epochs()):
                if epoch >= first:
                    self._singles.path(epoch).replace(place / self._singles.path(epoch).name)
            sync_folder(place)
            sync_folder(self.folder)
        self._look_for_compact()
        return place

    def _compare(self, epoch: float, arrays: Mapping[str, Array]) -> None:
        before = self.read(epoch)
        if encode(before) == encode(arrays):  # variables that came later are NaN in both
            return
        found = differences(before, arrays)
        if self._rounded and same_but_for_rounding(before, arrays):
            logger.warning("epoch %s differs by rounding when replayed; the record is kept: %s", epoch, found)
            return
        hint = (
            "the torch, thread count and machine that began the run, or another folder (--out DIR); the record is kept"
        )
        if self.layout.is_open:
            hint = "other coordinates, or restart=True to replace this run; the record is kept"
        field = f"the record of epoch {epoch}"
        raise NotReproduced(field, "be the same when replayed", found, hint, place=str(self.path(epoch)))
