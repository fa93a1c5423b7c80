"""The files of a run: rebuilt from the sealed cube or from other runs, or moved aside so that it is run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import xarray as xr

from elastic.cube import read_layout, write_report
from elastic.cube.epoch_files import COMPACT, FOLDER, epoch_of
from elastic.cube.labels import Label
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.cube.report_file import UNDER_WAY
from elastic.study.recorded import RUN
from elastic.study.repair.actions import Actions
from elastic.study.repair.cube_journal import rebuild
from elastic.study.repair.layouts import write_layout_anew
from elastic.study.repair.reports import report_of
from elastic.study.repair.siblings import restore_coordinates, restore_from_siblings
from elastic.study.study import Study
from elastic.study.verification import Finding, State
from elastic.study.verification.belonging import DAMAGED
from elastic.study.verification.reading import check_labelled, is_there, read_object
from elastic.study.verification.run_files import CHECKPOINT, ENDED, REPORT, RunFiles


@dataclass(frozen=True)
class Sealed:
    """Facts about its runs in the intact sealed cube of a study.

    Attributes
    ----------
    cube
        Opened lazily.
    positions
        Of each run that it holds, by the name of the run's folder: {axis: index}.
    data_digest
        Of the samples, if all runs have the same.
    """

    cube: xr.DataTree
    positions: Mapping[str, Mapping[str, int]]
    data_digest: str | None


def repair_run(actions: Actions, cell: str, study: Study | None, recorded: bool, sealed: Sealed | None) -> None:
    """Repair one run, which the caller owns.

    Parameters
    ----------
    actions
        Of the repair.
    cell
        Name of the run's folder.
    study
        Of the run; None if its description is damaged.
    recorded
        Whether training loops recorded the study.
    sealed
        Its sealed cube, if it is intact.
    """
    _Run(actions, cell, None if recorded else study, recorded, sealed).repair()


class _Run:
    """One run under repair, owned by this process."""

    def __init__(self, actions: Actions, cell: str, study: Study | None, recorded: bool, sealed: Sealed | None) -> None:
        self.actions, self.cell, self.recorded = actions, cell, recorded
        self.study = study
        self.run = f"runs/{cell}"
        self.folder = actions.folder / self.run
        self.sealed = sealed if sealed is not None and cell in sealed.positions else None

    def repair(self) -> None:
        """Repair the damaged files, first those from which others are rebuilt."""
        bad = self._bad()
        if LAYOUT in bad or RUN in bad:
            restore_from_siblings(self.actions, self.run, [name for name in (LAYOUT, RUN) if name in bad])
            bad = self._bad()
        if RUN in bad:
            restore_coordinates(self.actions, self.run)
            bad = self._bad()
        if LAYOUT in bad and not (self.study and write_layout_anew(self.actions, self.run, self.study)):
            self._without_layout()
            return
        bad = self._bad()
        report = self._report(bad)
        lost: list[str] = []
        if any(name.startswith(FOLDER) for name in bad):
            lost = self._repair_journal(bad, report)
            bad = {**self._bad(), **{name: bad[name] for name in (REPORT, CHECKPOINT) if name in bad}}
        if CHECKPOINT in bad and CHECKPOINT not in lost:
            lost += self._without_checkpoint(report)
        if REPORT in bad or lost:
            self._write_report(bad, report, lost)

    def _bad(self) -> dict[str, Finding]:
        """Return the damaged and missing files of the run, by their path in its folder."""
        findings = RunFiles(self.folder, self.run, self.recorded).check()
        return {str(PurePosixPath(one.path).relative_to(self.run)): one for one in findings if one.is_bad}

    def _report(self, bad: Mapping[str, Finding]) -> dict[str, Any]:
        facts, _ = read_object(self.folder / REPORT, REPORT)
        return {} if facts is None or REPORT in bad else facts

    def _aside(self, name: str, why: str = "") -> None:
        self.actions.set_aside(f"{self.run}/{name}", why)

    def _without_layout(self) -> None:
        """Move the records of a run aside, which are unreadable without its layout, so that the others can be used.

        A sealed cube that has the numbers of a recorded run is read as long as nothing of it changes.
        """
        if self.recorded and self.sealed is not None:
            kept = f"the sealed cube has its numbers; put back a copy, or record {self._coordinates()} again"
            self.actions.say(f"{self.run}/{LAYOUT}", f"left as it is: {kept}")
            return
        for name in (LAYOUT, REPORT, CHECKPOINT, FOLDER):
            self._aside(name)
        again = f"record {self._coordinates()} again" if self.recorded else "it is trained anew"
        copies = f"put back a copy of that and what was moved to {DAMAGED}"
        self.actions.say(self.run, f"its records cannot be read without {LAYOUT}: {again}, or {copies}")
        self.actions.run_again |= not self.recorded

    def _repair_journal(self, bad: Mapping[str, Finding], report: Mapping[str, Any]) -> list[str]:
        """Move damaged records aside and rebuild the lost ones if the cube has them; return those that are lost."""
        layout = read_layout(self.folder)
        assert layout is not None
        names = [name for name in bad if name.startswith(FOLDER)]
        for name in names:
            self._aside(name, bad[name].found if REPORT in bad else "")
        if self.sealed is not None and rebuild(
            self.actions, self.run, layout, self.sealed.cube, self.sealed.positions[self.cell]
        ):
            return []
        if self.recorded:
            at = self._coordinates()
            self.actions.say(f"{self.run}/{FOLDER}", f"{_epochs(names)} lost: record {at} again; the others are kept")
            return names
        checkpoint = self._checkpoint_epoch()
        epochs = [epoch for name in names if (epoch := epoch_of(PurePosixPath(name).name)) is not None]
        if COMPACT not in str(names) and checkpoint is not None and all(epoch > checkpoint for epoch in epochs):
            self.actions.say(f"{self.run}/{FOLDER}", f"{_epochs(names)} lost: the run resumes from epoch {checkpoint}")
        else:
            self._aside(CHECKPOINT, "records before it are lost")
            self.actions.say(
                f"{self.run}/{FOLDER}",
                f"{_epochs(names)} lost: the run is trained anew and compared with the records that are left",
            )
        self.actions.run_again = True
        return [*names, *([] if is_there(self.folder / CHECKPOINT) else [CHECKPOINT])]

    def _without_checkpoint(self, report: Mapping[str, Any]) -> list[str]:
        self._aside(CHECKPOINT)
        name = f"{self.run}/{CHECKPOINT}"
        if report.get("status") in ENDED:
            self.actions.say(name, "lost: the last weights of the run; its records are whole")
        else:
            self.actions.say(name, "lost: the run is trained anew, and its records are compared")
            self.actions.run_again = True
        return [CHECKPOINT]

    def _write_report(self, bad: Mapping[str, Finding], report: Mapping[str, Any], lost: Sequence[str]) -> None:
        """Write status.json as far as it follows from the other files."""
        data_digest = self.sealed.data_digest if self.sealed else None
        facts = report_of(self.folder, report, lost, recorded=self.recorded, data_digest=data_digest)
        if REPORT in bad:
            self._aside(REPORT)
        write_report(self.folder, facts)
        if REPORT in bad:
            missing = "" if "environment" in facts else "; on what machine and in which time it ran is lost"
            self.actions.say(f"{self.run}/{REPORT}", f"written anew from the records{missing}")
        self.actions.run_again |= facts["status"] == UNDER_WAY and not self.recorded

    def _coordinates(self) -> str:
        facts, _ = read_object(self.folder / RUN, RUN)
        return str((facts or {}).get("coordinates", self.cell))

    def _checkpoint_epoch(self) -> float | None:
        if not is_there(self.folder / CHECKPOINT):
            return None
        finding, label = check_labelled(
            self.folder / CHECKPOINT, CHECKPOINT, Label("checkpoint", self.cell), labelled=True
        )
        return label.epoch if label is not None and finding.state is State.INTACT else None


def _epochs(names: Sequence[str]) -> str:
    """Describe records in a sentence.

    >>> _epochs(["journal/000003.npz", "journal/000004.npz"]), _epochs(["journal/records.npz"])
    ('the records of epochs 3, 4 are', 'all records are')
    """
    epochs = [epoch_of(PurePosixPath(name).name) for name in names]
    if None in epochs:
        return "all records are"
    if len(epochs) == 1:
        return f"the record of epoch {epochs[0]} is"
    return f"the records of epochs {', '.join(map(str, epochs))} are"
