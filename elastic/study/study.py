"""The study folder: what was asked, which runs are done, and the cube. Reading it needs no torch.

<study>/protocol.yaml  study.json             what was asked, with digest and versions (no protocol if recorded)
        runs/<cell>/                          journal, checkpoint and status of each run
        cube.zarr/  manifest.sha256           the sealed cube
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

import elastic.analysis.accessor  # noqa: F401  (cubes get their `.elastic`)
from elastic.cube import (
    assemble,
    is_sealed,
    open_sealed,
    read_manifest,
    read_progress,
    read_report,
    remove_seal,
    seal,
    verify_manifest,
    write_atomically,
)
from elastic.errors import Damaged, ProtocolError, StudyError
from elastic.protocol import Component, Protocol
from elastic.study.completeness import Selected, check_ended, named, selected
from elastic.study.identity import checked_cells, checked_facts
from elastic.study.plots import Plots
from elastic.study.provenance import of_its_release
from elastic.study.recorded import MARK, recorded_facts
from elastic.study.snapshots import opened_seal, settled
from elastic.study.study_file import FACTS, PROTOCOL, UNREADABLE, check_protocol_file, damaged, read_facts

if TYPE_CHECKING:
    from elastic.study.verification import Verified

#: Where studies lie unless told otherwise.
RESULTS = Path("results")

RUNS = "runs"


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes
    ----------
    coordinates
        Its values on the study's axes.
    cell
        Its digest, which names its folder.
    state
        "waiting", "under way", "done" or "diverged".
    epoch, epochs
        Last recorded epoch (None before the first) and last one planned (None before the run began, or if a recorded
        run plans none).
    seconds
        Where its time went, if it has ended.
    """

    coordinates: Mapping[str, Any]
    cell: str
    state: str
    epoch: float | None
    epochs: int | None
    seconds: Mapping[str, float]

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in ("done", "diverged")


class Study:
    """A study folder, open for reading.

    Parameters
    ----------
    folder
        Holds ``study.json``.
    asked
        Text of a protocol that is about to be written into the folder, and may stand in protocol.yaml already.

    Raises
    ------
    StudyError
        If it does not.
    Damaged
        If study.json or protocol.yaml is not as it was written, or study.json is missing beside runs.
    """

    def __init__(self, folder: Path | str, *, asked: str | None = None) -> None:
        self.folder = Path(folder)
        try:
            self._open(asked)
        except (FileNotFoundError, NotADirectoryError):
            if any((self.folder / RUNS).glob("*/")) or read_manifest(self.folder):
                hint = f"elastic verify --repair {self.folder}, or running its protocol again: the runs are kept"
                place = str(self.folder / FACTS)
                raise Damaged(f"`{FACTS}`", "be there beside the runs", "no such file", hint, place=place) from None
            there = "no study.json in it" if self.folder.is_dir() else "a file"
            found = there if self.folder.exists() else "no such folder"
            hint = "a folder that `elastic run` or a Recorder made"
            raise StudyError("`STUDY`", "be a study folder", found, hint, place=str(self.folder)) from None
        self.name: str = self.facts["protocol"]["name"]

    def _open(self, asked: str | None = None) -> None:
        """Read what was asked, and compare it with itself and with protocol.yaml."""
        self._stored: dict[str, Any] = read_facts(self.folder)
        self.facts: dict[str, Any] = self._read_facts()
        self._cells: list[dict[str, Any]] | None = None
        if self.recorded:
            return
        try:
            check_protocol_file(self.folder, self.facts["text"], asked)
        except Damaged:
            if read_facts(self.folder) == self._stored:
                raise
            self._open(asked)  # another process has written both files between the two that were read

    def _read_facts(self) -> dict[str, Any]:
        if MARK not in self._stored:
            return checked_facts(self._stored, self.folder)
        try:
            return recorded_facts(self.folder, self._stored)
        except UNREADABLE as error:
            raise damaged(self.folder, f"{type(error).__name__}: {error}") from None

    @property
    def cells(self) -> list[dict[str, Any]]:
        """Coordinates and digest of each run, derived from the protocol (of a recorded study: from the runs).

        Raises
        ------
        Damaged
            If study.json lists others.
        """
        if self._cells is None:
            self._cells = self.facts["cells"] if self.recorded else checked_cells(self.facts, self.folder)
        return self._cells

    def _refresh(self) -> str:
        """Look again which runs there are (other processes may add to a recorded study) and return the digest."""
        if self.recorded:
            self.facts, self._cells = self._read_facts(), None
        return self.digest

    def __repr__(self) -> str:
        ended = sum(run.ended for run in self.runs())
        return f"<Study {self.name!r} at {self.folder}: {ended} of {len(self.cells)} runs ended>"

    def _repr_html_(self) -> str:
        from elastic.display import study_html

        return study_html(self.facts, self.folder, lambda: [run.state for run in self.runs()], lambda: self.cube)

    @property
    def recorded(self) -> bool:
        """Whether training loops recorded the runs (`elastic.Recorder`), so that there is no protocol."""
        return MARK in self.facts

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol that the study was run with, every default written out.

        Raises
        ------
        StudyError
            If the study was recorded without one; if a later release wrote what this one does not know.
        """
        if self.recorded:
            should, hint = "have a protocol", "study.facts for its settings, study.claims for its claims"
            raise StudyError("the study", should, "one recorded by training loops", hint, place=str(self.folder))
        try:
            return Protocol.from_canonical(self.facts["protocol"])
        except ProtocolError as error:
            raise of_its_release(error, self.facts["provenance"], self.folder / FACTS) from None

    @property
    def claims(self) -> list[Component]:
        """The study's own claims, every option written out."""
        return [Component.model_validate(claim) for claim in self.facts["protocol"].get("claims") or ()]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical protocol; of a recorded study that of its settings and of all its records."""
        return str(self.facts["digest"])

    @property
    def cube(self) -> xr.DataTree:
        """The labelled cube: the sealed one, read lazily, or what the journals of the runs hold so far.

        A sealed cube that is open keeps its numbers, or raises: `SealedAgain` if another one was sealed since,
        `Damaged` if a file is not as it was sealed.
        """
        sealed = opened_seal(self.folder, self._refresh())
        return self.assemble() if sealed is None else sealed

    @property
    def plot(self) -> Plots:
        """The figures, each a method: ``study.plot.depth_profile()``."""
        return Plots(lambda: self.cube)

    def run_folder(self, cell: str) -> Path:
        """Return the folder of a run."""
        return self.folder / RUNS / cell

    def runs(self) -> list[RunStatus]:
        """Return how far each run is, in the order of the protocol (of the coordinates)."""
        return settled(lambda: [self._status(cell) for cell in self.cells], self._refresh)

    def has_ended(self, digest: str) -> bool:
        """Return whether nothing is left to do for the run in a folder."""
        return self._status({"coordinates": {}, "digest": digest}).ended

    def _status(self, cell: Mapping[str, Any]) -> RunStatus:
        found = read_progress(self.run_folder(cell["digest"]))
        seconds = found.report.get("seconds", {}) if found.epoch is not None else {}
        return RunStatus(cell["coordinates"], cell["digest"], found.state, found.epoch, found.epochs, seconds)

    def assemble(self, *, leaving_out: Iterable[Selected] = ()) -> xr.DataTree:
        """Return the cube as far as the journals go; its digest is that of what it holds.

        Parameters
        ----------
        leaving_out
            As `seal` takes it.
        """
        left_out = selected(self.cells, leaving_out, self.folder)
        return settled(lambda: self._assembled(left_out), self._refresh)

    def _assembled(self, left_out: Collection[str]) -> xr.DataTree:
        kept = [cell for cell in self.cells if cell["digest"] not in left_out]
        runs = [(cell["coordinates"], self.run_folder(cell["digest"])) for cell in kept]
        reports = [read_report(self.run_folder(cell["digest"])) for cell in self.cells]
        data = sorted({report["data_digest"] for report in reports if "data_digest" in report})
        attrs = {
            "title": self.facts["protocol"]["title"] or self.name,
            "name": self.name,
            "digest": self.digest,
            **self._attributes_of_source(),
            "seeds": self.facts["axes"]["seed"],
            "data_digest": data,
            **self.facts["provenance"],
            **self._attributes_of_absent(left_out),
        }
        return assemble(runs, self.facts["axes"], attrs)

    def _attributes_of_source(self) -> dict[str, Any]:
        """Return what the cube's root says of where the runs come from."""
        if self.recorded:
            settings = self.facts["protocol"]["settings"]
            said = {"features": settings["features"]} if "features" in settings else {}  # from 0.2 on
            return {MARK: self.facts[MARK], "settings": json.dumps(settings, sort_keys=True), **said}
        return {
            "protocol": self.facts["text"],
            "canonical_protocol": json.dumps(self.facts["protocol"], sort_keys=True),
        }

    def _attributes_of_absent(self, left_out: Collection[str]) -> dict[str, Any]:
        """Return what the cube's root says of runs that are left out of it, nothing where there are none."""
        absent = [named(cell["coordinates"]) for cell in self.cells if cell["digest"] in left_out]
        return {"left_out": "; ".join(absent)} if absent else {}

    def seal(self, *, leaving_out: Iterable[Selected] = ()) -> None:
        """Write the cube for good, unless it stands there already, every byte as it was written.

        A recorded study plans no runs: it is sealed as far as its runs have recorded, and ``status`` says how far.

        Parameters
        ----------
        leaving_out
            Runs of which the cube holds nothing, ended or not: names of their folders, or values on axes
            (``[{"seed": 2}]``). They read as missing, and the cube's attribute ``left_out`` names them.

        Raises
        ------
        StudyError
            If a run has not ended that is not left out, or another process has begun another protocol in the folder
            since, which is to be sealed in place of this.
        Damaged
            If study.json or protocol.yaml is not as it was written: the manifest must not certify it.
        """
        self._check_files()
        left_out = selected(self.cells, leaving_out, self.folder)
        extra = [Path(FACTS)] if self.recorded else [Path(PROTOCOL), Path(FACTS)]
        seal(lambda: self._unsealed(left_out), self.folder, extra)
        try:
            self._check_files()  # as the manifest lists them
        except Damaged:
            remove_seal(self.folder)
            raise

    def verify(self) -> Verified:
        """Read every file of the study and name each that is not as it was written (`elastic verify`)."""
        from elastic.study.verification import verify

        return verify(self.folder)

    def _check_files(self) -> None:
        if self.recorded:
            read_facts(self.folder)
            return
        now = type(self)(self.folder)
        if now.digest != self.digest:
            should, found = "be of the protocol that is run", "another, which another process has begun there since"
            hint = "one protocol with all values on its axes: processes that run it share its runs"
            raise StudyError(f"`{FACTS}`", should, found, hint, place=str(self.folder))
        _ = now.cells  # derived, and compared
        if not (self.folder / PROTOCOL).exists():
            write_atomically(self.folder / PROTOCOL, self.facts["text"].encode())

    def _unsealed(self, left_out: Collection[str]) -> xr.DataTree | None:
        """Return the cube, None if the sealed one is it, or if other processes record at this moment: they seal it."""
        if is_sealed(self.folder) and not verify_manifest(self.folder):
            attrs = open_sealed(self.folder).attrs
            asked = {"digest": self._refresh(), **self._attributes_of_absent(left_out)}
            if asked == {key: attrs[key] for key in ("digest", "left_out") if key in attrs}:
                return None
        if not self.recorded:
            check_ended(self.runs(), left_out, self.folder)
        tree = self.assemble(leaving_out=left_out)
        return tree if tree.attrs["digest"] == self.digest else None


def open_study(path: Path | str) -> Study:
    """Return the study in a folder, or of a name under ``results``.

    Raises
    ------
    StudyError
        If there is none.
    """
    return Study(study_folder(path))


def study_folder(path: Path | str) -> Path:
    """Return the folder of a study that is given by its folder, or by its name under ``results``; it need not exist."""
    folder = Path(path)
    named = RESULTS / folder
    if (folder / FACTS).exists() or not named.is_dir():
        return folder
    return named if (named / FACTS).exists() or not folder.exists() else folder
