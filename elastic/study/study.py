"""The study folder: the protocol, the state of the runs, and the cube. Reading it needs no torch.

<study>/protocol.yaml  study.json             what was asked, with digest and versions (no protocol if recorded)
        runs/<cell>/                          journal, checkpoint and status of each run
        cube.zarr/  manifest.sha256           the sealed cube
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import xarray as xr

import elastic.analysis.accessor  # noqa: F401  (cubes get their `.elastic`)
from elastic.analysis.plots import Plots
from elastic.analysis.reading import names_of, read
from elastic.cube import assemble, is_sealed, read_manifest, read_progress, read_report, with_axes_along
from elastic.errors import Damaged, ElasticError, NotMeasured, ProtocolError, StudyError
from elastic.protocol import Component, Protocol
from elastic.study.completeness import Selected, selected
from elastic.study.copies import copy_notes
from elastic.study.cube_attributes import axes_along, cube_attributes
from elastic.study.folders import RESULTS, RUNS, study_folder
from elastic.study.identity import checked_cells, checked_facts
from elastic.study.provenance import of_its_release
from elastic.study.published_runs import published_report, published_statuses, read_published
from elastic.study.recorded import MARK, recorded_facts
from elastic.study.run_status import RunStatus, read_status, with_life
from elastic.study.seal_state import NOT_SEALED, SEALED, Seal, has_seal_of, seal_of, with_lost
from elastic.study.sealing import seal_study
from elastic.study.snapshots import opened_seal, settled
from elastic.study.study_file import FACTS, UNREADABLE, check_protocol_file, damaged, read_facts

if TYPE_CHECKING:
    from elastic.study.verification import Verified

__all__ = ["RESULTS", "RUNS", "RunStatus", "Study", "open_study", "study_folder"]


class Study:
    """A study folder, open for reading.

    Parameters
    ----------
    folder
        Holds ``study.json``.
    asked
        Text of a protocol that is about to be written into the folder, and may already be in protocol.yaml.

    Raises
    ------
    StudyError
        If the folder holds no study.
    Damaged
        If study.json or protocol.yaml is damaged, or study.json is missing although there are runs.
    """

    def __init__(self, folder: Path | str, *, asked: str | None = None) -> None:
        self.folder = Path(folder)
        try:
            self._open(asked)
        except (FileNotFoundError, NotADirectoryError):
            if any((self.folder / RUNS).glob("*/")) or read_manifest(self.folder):
                repair = f"elastic verify --repair {quote(str(self.folder))}"
                hint = f"{repair}, or running its protocol again: the runs are kept"
                place = str(self.folder / FACTS)
                raise Damaged(f"`{FACTS}`", "be there beside the runs", "no such file", hint, place=place) from None
            there = "no study.json in it" if self.folder.is_dir() else "a file"
            found = there if self.folder.exists() else "no such folder"
            hint = "a folder that `elastic run` or a Recorder made"
            raise StudyError("`STUDY`", "be a study folder", found, hint, place=str(self.folder)) from None
        self.name: str = self.facts["protocol"]["name"]

    def _open(self, asked: str | None = None) -> None:
        """Read the description, and compare it with itself and with protocol.yaml."""
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
            if (published := read_published(self.folder)) is not None:
                return dict(published["facts"])
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

    def refresh(self) -> str:
        """List the runs again (other processes may add to a recorded study) and return the digest."""
        if self.recorded:
            self.facts, self._cells = self._read_facts(), None
        return self.digest

    def __repr__(self) -> str:
        try:
            how_far = f"{sum(run.ended for run in self.runs())} of {len(self.cells)} runs ended"
        except Damaged:
            how_far = "damaged"
        return f"<Study {self.name!r} at {self.folder}: {how_far}>"

    def _repr_html_(self) -> str:
        from elastic.display import study_html

        return study_html(self.facts, self.folder, lambda: [run.state for run in self.runs()], lambda: self.cube)

    @property
    def recorded(self) -> bool:
        """Whether training loops recorded the runs (`elastic.Recorder`), so that there is no protocol."""
        return MARK in self.facts

    @property
    def published(self) -> bool:
        """Whether the folder comes from an archive: it has no journals, and nothing is written to it."""
        return read_published(self.folder) is not None

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol of the study, with all defaults written out.

        Raises
        ------
        StudyError
            If the study was recorded without one; if a later release wrote something that this one does not support.
        """
        if self.recorded:
            expected, hint = "have a protocol", "study.facts for its settings, study.claims for its claims"
            raise StudyError("the study", expected, "one recorded by training loops", hint, place=str(self.folder))
        try:
            return Protocol.from_canonical(self.facts["protocol"])
        except ProtocolError as error:
            raise of_its_release(error, self.facts["provenance"], self.folder / FACTS) from None

    @property
    def claims(self) -> list[Component]:
        """The study's own claims, with all options written out."""
        return [Component.model_validate(claim) for claim in self.facts["protocol"].get("claims") or ()]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical protocol; of a recorded study that of its settings and of all its records."""
        return str(self.facts["digest"])

    @property
    def cube(self) -> xr.DataTree:
        """The labelled cube: the sealed one, read lazily, or what the journals of the runs contain so far.

        An open sealed cube keeps its numbers, or raises: `SealedAgain` if another one was sealed since, `Damaged` if a
        file is damaged or missing. This also holds in another process, to which it was pickled.
        `elastic.cube.open_sealed` describes what plain xarray's ``open_datatree("cube.zarr")`` notices.
        """
        sealed = opened_seal(self.folder, self.refresh())
        return self.assemble() if sealed is None else sealed

    @property
    def plot(self) -> Plots:
        """The figures, each a method: ``study.plot.depth_profile()``."""
        return Plots(lambda: self.cube)

    def __getitem__(self, name: object) -> xr.DataArray | xr.Dataset:
        """Return a variable of the cube by its name, ``study["nc1"]``, or a group: ``study["collapse"]``.

        A name that several groups have, such as ``status``, needs its group: ``study["training/status"]``.

        Raises
        ------
        NotMeasured
            If the cube has none of this name; the message suggests the closest one.
        """
        cube = self.cube
        if not isinstance(name, str):
            expected, hint = "be the name of a variable or a group", f'one of {", ".join(cube.children)}, or "nc1"'
            raise NotMeasured("the key", expected, repr(name), hint)
        return cube[name].to_dataset() if name in cube.children else read(cube, name, split=None)

    def __contains__(self, name: object) -> bool:
        cube = self.cube
        group, _, variable = str(name).rpartition("/")
        return name in names_of(cube) or (group in cube.children and variable in cube[group].dataset.data_vars)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the groups and of their variables."""
        return iter(names_of(self.cube))

    def _ipython_key_completions_(self) -> list[str]:
        try:
            return names_of(self.cube)
        except ElasticError:  # a damaged study has nothing to propose
            return []

    def run_folder(self, cell: str) -> Path:
        """Return the folder of a run."""
        return self.folder / RUNS / cell

    def runs(self) -> list[RunStatus]:
        """Return the progress of each run, in the order of the protocol (or of the coordinates)."""
        if (published := read_published(self.folder)) is not None:
            return published_statuses(published)
        return with_lost(settled(self._statuses, self.refresh), self.folder)

    def _statuses(self) -> list[RunStatus]:
        runs = [read_status(self.run_folder(cell["digest"]), cell["coordinates"]) for cell in self.cells]
        return with_life(runs, self.folder / RUNS)

    @property
    def has_current_seal(self) -> bool:
        """Whether the sealed cube is of the study as it is now; an older one does not count."""
        return has_seal_of(self.folder, self.refresh())

    def seal_state(self, runs: Sequence[RunStatus] | None = None) -> Seal:
        """Return whether the sealed cube is up to date, and which runs were added, changed or lost since.

        Parameters
        ----------
        runs
            What `runs` returned; read if not given.
        """
        if self.published:
            return Seal(SEALED if is_sealed(self.folder) else NOT_SEALED)
        if not is_sealed(self.folder):
            return Seal(NOT_SEALED)
        return seal_of(self.folder, self.digest, self.runs() if runs is None else runs)

    def notes(self, seal: Seal | None = None) -> list[str]:
        """Return what is missing or left out in the numbers of the study: lost runs, and copies of runs.

        Parameters
        ----------
        seal
            What `seal_state` returned; read if not given.
        """
        if self.published:
            return []
        seal = self.seal_state() if seal is None else seal
        cells = {str(cell["digest"]) for cell in self.cells}
        return [*seal.notes(self.folder), *copy_notes(self.folder, cells)]

    def run_report(self, cell: str) -> dict[str, Any]:
        """Return the environment, data, engine and time of a run, from its report; empty before it begins."""
        if (published := read_published(self.folder)) is not None:
            return published_report(published, cell)
        return read_report(self.run_folder(cell))

    def has_ended(self, digest: str) -> bool:
        """Return whether the run in a folder has ended."""
        return read_status(self.run_folder(digest), {}).ended

    def assemble(self, *, leaving_out: Iterable[Selected] = ()) -> xr.DataTree:
        """Return the cube of the journals so far; its digest is that of its contents.

        Parameters
        ----------
        leaving_out
            As `seal` takes it.
        """
        left_out = selected(self.cells, leaving_out, self.folder)
        return settled(lambda: self._assembled(left_out), self.refresh)

    def _assembled(self, left_out: Collection[str]) -> xr.DataTree:
        kept = [cell for cell in self.cells if cell["digest"] not in left_out]
        absent = [cell for cell in self.cells if cell["digest"] in left_out]
        # A run that has ended and lost its records must not read as one that has not begun.
        reports = [read_progress(self.run_folder(cell["digest"])).report for cell in kept]
        reports += [read_report(self.run_folder(cell["digest"])) for cell in absent]
        data_digests = [report["data_digest"] for report in reports if "data_digest" in report]
        runs = [(cell["coordinates"], self.run_folder(cell["digest"])) for cell in kept]
        tree = assemble(runs, self.facts["axes"], cube_attributes(self.facts, data_digests, absent))
        return with_axes_along(tree, axes_along(self.facts))

    def seal(self, *, leaving_out: Iterable[Selected] = ()) -> None:
        """Write the final cube, unless an intact one exists.

        A recorded study has no planned runs: it is sealed with the records so far, and ``status`` shows their extent.

        Parameters
        ----------
        leaving_out
            Runs without data in the cube, ended or not: names of their folders, or labels on axes
            (``[{"seed": 2}]``). They read as missing, and the cube's attribute ``left_out`` names them.

        Raises
        ------
        StudyError
            If a run that is not left out has not ended, or another process has started another protocol in the folder
            since, which is to be sealed instead.
        Damaged
            If study.json or protocol.yaml is damaged: the manifest must not certify it.
        """
        seal_study(self, leaving_out)

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report, one HTML page that needs no network, and return its path (`elastic report`).

        Parameters
        ----------
        path
            Of the page; ``report.html`` in the study's folder by default.
        """
        from importlib import import_module

        # The package of reports is above this one in the order of imports: it is imported when a report is written.
        written: Path = import_module("elastic.report").write_report(self, None if path is None else Path(path))
        return written

    def verify(self) -> Verified:
        """Read every file of the study and report damaged ones (`elastic verify`)."""
        from elastic.study.verification import verify

        return verify(self.folder)


def open_study(path: Path | str) -> Study:
    """Return the study in a folder, or of a name under ``results``.

    Raises
    ------
    StudyError
        If there is none.
    """
    return Study(study_folder(path))
