"""The records of one run: compared with their checksum, label and layout; missing ones are reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elastic.cube.atomic import read_regular
from elastic.cube.compact_records import CompactRecords
from elastic.cube.epoch_files import COMPACT, FOLDER, epoch_of, file_name
from elastic.cube.labels import AFTER, DIGITS, Label
from elastic.cube.layout import Layout
from elastic.cube.names import Status
from elastic.cube.record import encode
from elastic.cube.single_records import SingleRecords
from elastic.protocol.canonical import digest
from elastic.study.verification.chain import Link, culprits, stated_end
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.reading import attempted, check_labelled, misfit

#: Message for an intact record that does not belong to its neighbours.
OTHER = "a record of another recording: those beside it name another one"

#: Folder, in that of the journal, of records moved out of it.
SET_ASIDE = "set-aside"


class JournalFiles:
    """Checks the journal of a run.

    Parameters
    ----------
    run
        Folder of the run, named after its cell.
    name
        Path of the journal in the study.
    layout
        Layout of a record; None if it is damaged or missing: then only checksums and labels are compared.

    Attributes
    ----------
    epochs
        Epochs with a record in any state, in ascending order.
    named_cells
        Cells that intact records name.
    """

    def __init__(self, run: Path, name: str, layout: Layout | None) -> None:
        self.run, self.name, self.layout = run, name, layout
        self.folder = run / FOLDER
        self.files = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        self.single = {epoch: file for file in self.files if (epoch := epoch_of(file)) is not None}
        self.compact: CompactRecords | None = None
        self.named_cells: set[str] = set()
        self._bad: set[str] = set()
        self._after: dict[str, str] = {}
        self._records = None if layout is None else SingleRecords(run, self.folder, layout)

    @property
    def is_begun(self) -> bool:
        """Whether there is a record."""
        return bool(self.single) or COMPACT in self.files

    @property
    def epochs(self) -> list[float]:
        """Epochs with a record, as far as that can be read."""
        return sorted({*self.single, *(self.compact.epochs if self.compact else ())})

    def check(self) -> Iterator[Finding]:
        """Yield the findings for every record."""
        if COMPACT in self.files:
            yield self._noted(self._check_compact())
        for epoch, file in sorted(self.single.items()):
            yield self._noted(self._check_single(epoch, file))

    def missing(self, report: Mapping[str, Any], checkpoint: float | None) -> Iterator[Finding]:
        """Yield the missing records; those that a repair has reported as lost are no damage."""
        for one in self._missing(report, checkpoint):
            is_known = one.state is State.MISSING and f"{FOLDER}/{Path(one.path).name}" in report.get("lost", ())
            yield Finding(one.path, State.LOST) if is_known else one

    def _missing(self, report: Mapping[str, Any], checkpoint: float | None) -> Iterator[Finding]:
        """Yield the records that should exist.

        Parameters
        ----------
        report
            Contents of the run's status.json.
        checkpoint
            Epoch of the run's checkpoint; None if that is not known.
        """
        for file in culprits(self._links(), dict.fromkeys(self.files, True)):
            state = State.DAMAGED if file in self.files else State.MISSING
            yield self._noted(Finding(f"{self.name}/{file}", state, OTHER if file in self.files else ""))
        if self.layout is None or self._damaged(COMPACT):
            return
        ended = report.get("status") in (Status.DONE.name.lower(), Status.DIVERGED.name.lower())
        if self.layout.is_open:
            names = (report.get("journal") or {}).get("names")
            if names is not None and names == digest([COMPACT]) and COMPACT not in self.files:
                yield Finding(f"{self.name}/{COMPACT}", State.MISSING)
            return
        if ended and self.layout.cell is not None and not self.is_begun:
            yield Finding(f"{self.name}/{COMPACT}", State.MISSING)
            return
        last = [-1, *self.epochs, *([] if checkpoint is None else [checkpoint])]
        if ended:
            last.append(report.get("epoch", self.layout.epochs if report["status"] == "done" else -1))
        there = set(self.epochs)
        for epoch in range(int(min(max(last), self.layout.epochs or 0)) + 1):
            if epoch not in there:
                yield Finding(f"{self.name}/{file_name(epoch)}", State.MISSING)

    def _links(self) -> Iterator[Link]:
        """Yield the predecessor that each intact record of an open run names."""
        for file, after in self._after.items():
            before = stated_end(after)
            if before is None or self._damaged(file):
                continue
            if self.compact is not None and (epoch_of(file) or 0) in self.compact:
                continue  # left by a compaction that was killed: the record that it names may be gone already
            epoch, checksum = before
            name = COMPACT if self.compact is not None and epoch in self.compact else file_name(epoch)
            if self._damaged(name):
                continue
            path = self.folder / name
            is_there = name in self.files
            checksum_before = read_regular(path)[-DIGITS:][:AFTER] if is_there else b""
            yield Link(name, file, checksum_before == checksum.encode())

    def _noted(self, finding: Finding) -> Finding:
        if finding.is_bad:
            self._bad.add(finding.path)
        return finding

    def _damaged(self, file: str) -> bool:
        return f"{self.name}/{file}" in self._bad

    def _check_compact(self) -> Finding:
        path, name = self.folder / COMPACT, f"{self.name}/{COMPACT}"
        wrong = misfit(path)
        if self._records is not None and not wrong:
            blanks = self._records.blanks
            self.compact, wrong = attempted(lambda: CompactRecords(self.run, path, blanks))
            if self.compact is not None:
                self.named_cells.add(self.run.name)
                return Finding(name, State.INTACT)
        finding, label = check_labelled(path, name, Label("journal", self.run.name), labelled=True)
        self.named_cells |= {label.cell} if label is not None else set()
        return Finding(name, State.DAMAGED, wrong) if wrong and not finding.is_bad else finding

    def _check_single(self, epoch: float, file: str) -> Finding:
        path, name = self.folder / file, f"{self.name}/{file}"
        modern = self.layout is not None and self.layout.cell is not None
        finding, label = check_labelled(path, name, Label("record", self.run.name, epoch), labelled=modern)
        if label is not None:
            self.named_cells.add(label.cell)
            self._after[file] = label.after
        if finding.is_bad or self._records is None:
            return finding
        if self.layout and self.layout.epochs is not None and epoch not in range(self.layout.epochs + 1):
            return Finding(name, State.DAMAGED, f"an epoch that is none of 0 … {self.layout.epochs}")
        records = self._records
        record, wrong = attempted(lambda: records.read(epoch))
        if record is None:
            return Finding(name, State.DAMAGED, wrong)
        twice = self.compact is not None and epoch in self.compact
        if self.compact is not None and twice and encode(record) != encode(self.compact.read(epoch)):
            return Finding(name, State.DAMAGED, f"another record than that of epoch {epoch} in {COMPACT}")
        return finding
