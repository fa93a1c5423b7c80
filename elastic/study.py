"""The study folder: what was asked, which runs are done, and the cube. Reading it needs no torch.

<study>/protocol.yaml  study.json             what was asked, with digest and versions
        runs/<cell>/                          journal, checkpoint and status of each run
        cube.zarr/  manifest.sha256           the sealed cube
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

import elastic.analysis.accessor  # noqa: F401  (cubes get their `.elastic`)
from elastic.cube import (
    Journal,
    Status,
    assemble,
    is_sealed,
    open_sealed,
    read_layout,
    seal,
    verify_manifest,
)
from elastic.errors import StudyError
from elastic.plotting import Plots
from elastic.protocol import Protocol

#: Where studies lie unless told otherwise.
RESULTS = Path("results")

FACTS, PROTOCOL, RUNS = "study.json", "protocol.yaml", "runs"

#: Keys of study.json beside the protocol and its cells.
NEEDED = ("digest", "text", "axes", "provenance")


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
        Last recorded epoch (None before the first) and last epoch of the protocol (None before the run began).
    seconds
        Where its time went, if it has ended.
    """

    coordinates: Mapping[str, Any]
    cell: str
    state: str
    epoch: int | None
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

    Raises
    ------
    StudyError
        If it does not, or the file is damaged.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        path = self.folder / FACTS
        try:
            self.facts: dict[str, Any] = json.loads(path.read_text())
            self.cells: list[dict[str, Any]] = self.facts["cells"]
            self.name: str = self.facts["protocol"]["name"]
            if missing := [key for key in NEEDED if key not in self.facts]:
                raise KeyError(missing[0])
        except (FileNotFoundError, NotADirectoryError):
            there = "no study.json in it" if self.folder.is_dir() else "a file"
            found = there if self.folder.exists() else "no such folder"
            hint = "a folder that `elastic run` made"
            raise StudyError("`STUDY`", "be a study folder", found, hint, place=str(self.folder)) from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            hint = "deleting it and running its protocol again: the runs are kept"
            raise StudyError("`study.json`", "be readable", str(error), hint, place=str(path)) from None

    def __repr__(self) -> str:
        ended = sum(run.ended for run in self.runs())
        return f"<Study {self.name!r} at {self.folder}: {ended} of {len(self.cells)} runs ended>"

    def _repr_html_(self) -> str:
        from elastic.display import study_html

        return study_html(self.facts, self.folder, lambda: [run.state for run in self.runs()], lambda: self.cube)

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol that the study was run with, every default written out."""
        return Protocol.from_canonical(self.facts["protocol"])

    @property
    def recorded(self) -> bool:
        """Whether a training loop of the user's own recorded the study; there is no protocol then."""
        return bool(self.facts.get("recorded"))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical protocol."""
        return str(self.facts["digest"])

    @property
    def cube(self) -> xr.DataTree:
        """The labelled cube: the sealed one, read lazily, or what the journals of the runs hold so far."""
        if is_sealed(self.folder):
            sealed = open_sealed(self.folder)
            if sealed.attrs.get("digest") == self.digest:
                return sealed
        return self.assemble()

    @property
    def plot(self) -> Plots:
        """The figures, each a method: ``study.plot.depth_profile()``."""
        return Plots(lambda: self.cube)

    def run_folder(self, cell: str) -> Path:
        """Return the folder of a run."""
        return self.folder / RUNS / cell

    def runs(self) -> list[RunStatus]:
        """Return how far each run is, in the order of the protocol."""
        return [self._status(cell) for cell in self.cells]

    def _status(self, cell: Mapping[str, Any]) -> RunStatus:
        folder, coordinates, digest = self.run_folder(cell["digest"]), cell["coordinates"], cell["digest"]
        layout = read_layout(folder)
        if layout is None:
            return RunStatus(coordinates, digest, "waiting", None, None, {})
        journal = Journal(folder, layout)
        recorded = journal.epochs()
        if not recorded:
            return RunStatus(coordinates, digest, "under way", None, layout.epochs, {})
        last = Status(int(journal.read(recorded[-1])["status"]))
        report = self._report(digest)
        # The report is written last: without it the run is still to be taken up, if only to write that.
        ended = bool(report) and (last is Status.DIVERGED or recorded[-1] == layout.epochs)
        state = last.name.lower() if ended else "under way"
        return RunStatus(coordinates, digest, state, recorded[-1], layout.epochs, report.get("seconds", {}))

    def _report(self, cell: str) -> dict[str, Any]:
        try:
            report: dict[str, Any] = json.loads((self.run_folder(cell) / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return report

    def assemble(self) -> xr.DataTree:
        """Return the cube as far as the journals go."""
        runs = [(cell["coordinates"], self.run_folder(cell["digest"])) for cell in self.cells]
        data = sorted({report["data_digest"] for cell in self.cells if (report := self._report(cell["digest"]))})
        attrs = {
            "title": self.facts["protocol"]["title"],
            "name": self.name,
            "digest": self.digest,
            "protocol": self.facts["text"],
            "canonical_protocol": json.dumps(self.facts["protocol"], sort_keys=True),
            "seeds": self.facts["axes"]["seed"],
            "data_digest": data,
            **self.facts["provenance"],
        }
        return assemble(runs, self.facts["axes"], attrs)

    def seal(self) -> None:
        """Write the cube for good, unless it stands there already, every byte as it was written."""
        intact = is_sealed(self.folder) and not verify_manifest(self.folder)
        if intact and open_sealed(self.folder).attrs.get("digest") == self.digest:
            return
        seal(self.assemble(), self.folder, [Path(PROTOCOL), Path(FACTS)])


def open_study(path: Path | str) -> Study:
    """Return the study in a folder, or of a name under ``results``.

    Raises
    ------
    StudyError
        If there is none.
    """
    folder = Path(path)
    named = RESULTS / folder
    return Study(named if not (folder / FACTS).exists() and (named / FACTS).exists() else folder)
