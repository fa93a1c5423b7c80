"""The files of one run: its layout, its status, its checkpoint and its journal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from elastic.cube.epoch_files import FOLDER
from elastic.cube.labels import Label
from elastic.cube.layout import Layout
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.cube.layout_file import read_layout
from elastic.cube.names import Status
from elastic.study.recorded import RUN, run_digest
from elastic.study.verification.findings import ONE_OF_BOTH, Finding, State
from elastic.study.verification.journal_files import JournalFiles
from elastic.study.verification.reading import attempted, check_labelled, is_there, misfit, read_object, sha256

CHECKPOINT, REPORT = "checkpoint.pt", "status.json"

#: States in status.json of a run that has ended.
ENDED = tuple(state.name.lower() for state in (Status.DONE, Status.DIVERGED))


@dataclass
class RunFiles:
    """Checks the folder of one run.

    Attributes
    ----------
    folder
        Of the run, named after its cell.
    name
        Path of the folder in the study.
    recorded
        Whether training loops recorded the study.
    findings
        Findings, after `check`.
    named_cells
        Cells that intact files of the folder name.
    """

    folder: Path
    name: str
    recorded: bool
    findings: list[Finding] = field(default_factory=list)
    named_cells: set[str] = field(default_factory=set)

    @property
    def cell(self) -> str:
        """Digest of the cell whose run belongs in the folder."""
        return self.folder.name

    @property
    def is_renamed(self) -> bool:
        """Whether all files name one other run."""
        return len(self.named_cells) == 1 and self.cell not in self.named_cells

    def check(self) -> list[Finding]:
        """Return the findings for all files of the run."""
        report = self._report()
        journal = self.journal
        self.findings += journal.check()
        self._check_layout()
        epoch = None if self.recorded else self._check_checkpoint(report)
        if self.recorded:
            self._check_description()
        if report is None and journal.is_begun and self.is_modern:
            self._add(REPORT, State.MISSING)
        self.findings += journal.missing(report or {}, epoch)
        self._check_listed((report or {}).get("files"))
        self.named_cells |= journal.named_cells
        if self.is_renamed:
            return [*self._in_place(), Finding(self.name, State.DAMAGED, f"the folder of run {min(self.named_cells)}")]
        return self.findings

    @cached_property
    def layout(self) -> Layout | None:
        """Layout of the run, None without an intact layout of this run."""
        return self._layout[0]

    @cached_property
    def is_modern(self) -> bool:
        """Whether this release began the run, so that its files have labels and checksums."""
        return self.layout is not None and self.layout.cell is not None

    @cached_property
    def journal(self) -> JournalFiles:
        """The run's records."""
        return JournalFiles(self.folder, f"{self.name}/{FOLDER}", self.layout)

    @cached_property
    def _layout(self) -> tuple[Layout | None, str]:
        path = self.folder / LAYOUT
        if not is_there(path):
            return None, ""
        if wrong := misfit(path):
            return None, wrong
        return attempted(lambda: read_layout(self.folder))

    def _check_layout(self) -> None:
        layout, wrong = self._layout
        if wrong:
            other = re.fullmatch(r"that of run (\S+)", wrong)
            if other:
                self.named_cells.add(other[1])
            self._add(LAYOUT, State.DAMAGED, wrong)
        elif layout is not None:
            self.named_cells |= {layout.cell} if layout.cell else set()
            self._add(LAYOUT, State.INTACT)
        elif self.journal.is_begun or is_there(self.folder / CHECKPOINT):
            self._add(LAYOUT, State.MISSING)

    def _report(self) -> dict[str, Any] | None:
        """Check status.json and return its contents; None if it does not exist, {} if it is damaged."""
        facts, finding = read_object(self.folder / REPORT, f"{self.name}/{REPORT}")
        if finding is None:
            return None
        if facts is None or not isinstance(facts.get("cell", ""), str):
            self.findings.append(finding)
            return {}
        cell = facts.get("cell")
        if cell is not None:
            self.named_cells.add(cell)
        if cell not in (None, self.cell):
            self._add(REPORT, State.DAMAGED, f"that of run {cell}")
            return {}
        if self.is_modern and finding.state is State.NOT_CHECKABLE:
            self._add(REPORT, State.DAMAGED, "no checksum")
            return {}
        self.findings.append(finding)
        return facts

    def _check_description(self) -> None:
        """Check run.json of a recorded study, which contains the run's coordinates."""
        facts, finding = read_object(self.folder / RUN, f"{self.name}/{RUN}")
        if finding is None:
            if self.journal.is_begun or self.layout is not None:
                self._add(RUN, State.MISSING)
            return
        if facts is not None:
            cell, wrong = attempted(lambda: run_digest(dict(facts["coordinates"])))
            if not wrong and not isinstance(facts.get("settings"), dict):
                wrong = "no settings"
            if cell is not None:
                self.named_cells.add(cell)
            if cell != self.cell:
                finding = Finding(finding.path, State.DAMAGED, wrong or f"that of run {cell}")
            elif wrong or (self.is_modern and finding.state is State.NOT_CHECKABLE):
                finding = Finding(finding.path, State.DAMAGED, wrong or "no checksum")
        self.findings.append(finding)

    def _check_checkpoint(self, report: dict[str, Any] | None) -> float | None:
        """Check the checkpoint and return its epoch, None if it is unknown."""
        path, name = self.folder / CHECKPOINT, f"{self.name}/{CHECKPOINT}"
        if not is_there(path):
            ended = (report or {}).get("status") in ENDED
            if CHECKPOINT in (report or {}).get("lost", ()):
                self._add(CHECKPOINT, State.LOST)
            elif self.is_modern and (ended or len(self.journal.epochs) > 1):
                self._add(CHECKPOINT, State.MISSING)
            return None
        finding, label = check_labelled(path, name, Label("checkpoint", self.cell), labelled=self.is_modern)
        self.findings.append(finding)
        if label is not None:
            self.named_cells.add(label.cell)
        return label.epoch if label is not None and finding.state is State.INTACT else None

    def _check_listed(self, listed: Any) -> None:
        """Compare the files of a run that has ended with the digests in its status.json."""
        if not isinstance(listed, dict) or any(one.is_bad and one.path.endswith(REPORT) for one in self.findings):
            return
        bad = {one.path for one in self.findings if one.is_bad}
        names = [name for name in listed if f"{self.name}/{name}" not in bad and is_there(self.folder / name)]
        different = [name for name in names if sha256(self.folder / name) != listed[name]]
        if len(different) > 1:
            self._add(REPORT, State.DAMAGED, f"that of a run with other files: {', '.join(different)}")
        elif different:
            self._add(different[0], State.DAMAGED, f"another file than {REPORT} lists")
            if different[0].startswith(FOLDER):  # two recordings with the same settings differ in their records only
                self._add(REPORT, State.DAMAGED, f"it lists another {different[0]}: {ONE_OF_BOTH}")
        for name in listed:
            if not is_there(self.folder / name) and f"{self.name}/{name}" not in bad and name != CHECKPOINT:
                self._add(name, State.MISSING)

    def _add(self, file: str, state: State, found: str = "") -> None:
        self.findings.append(Finding(f"{self.name}/{file}", state, found))

    def _in_place(self) -> Iterator[Finding]:
        """Yield the findings for a folder with another run's name: its files are intact if nothing else is wrong."""
        for one in self.findings:
            is_of_other = any(cell in one.found for cell in self.named_cells)
            yield Finding(one.path, State.INTACT) if one.is_bad and is_of_other else one
