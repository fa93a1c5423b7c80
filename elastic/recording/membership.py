"""Registering a recorded run in a study folder, which several Recorders may share."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.checkpoint import ARITHMETIC, FIRST_ARITHMETIC, PROBE_ARITHMETIC
from elastic.cube import read_report, remove_seal, study_lock, write_atomically, write_report
from elastic.cube.atomic import translate_os_errors
from elastic.cube.checked_files import encode_json
from elastic.cube.coordinates import Scalar
from elastic.cube.epoch_files import FOLDER, record_files
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.cube.report_file import FILE as REPORT
from elastic.cube.report_file import UNDER_WAY
from elastic.errors import Damaged, StudyError
from elastic.protocol.citations import unknown_citations
from elastic.protocol.claims import complete_claims
from elastic.recording.coordinates import check_fit
from elastic.registry import shorten
from elastic.study import RUNS
from elastic.study.claim_history import register_claims
from elastic.study.provenance import provenance
from elastic.study.recorded import FORMAT, MARK, RUN, read_runs, run_digest
from elastic.study.study_file import read_facts, write_facts

#: Folder of a run's records, and its name during removal: records are removed all at once.
RECORDS, DISCARDED = FOLDER, ".discarded"


@dataclass(frozen=True)
class Header:
    """Metadata of a recorded study; None keeps the values in the folder.

    Attributes
    ----------
    title, question
        Texts.
    cites
        Keys of elastic/references.bib.
    claims
        Mappings with ``name`` and options, as in a protocol file.
    """

    title: str | None = None
    question: str | None = None
    cites: Sequence[str] | None = None
    claims: Sequence[Mapping[str, Any]] | None = None

    def given(self) -> dict[str, Any]:
        """Validate the given values and fill in defaults.

        Raises
        ------
        ElasticError
            For an unknown cite key, claim or option, or a value that is not a string.
        """
        options: dict[str, Any] = {}
        for name, text in (("title", self.title), ("question", self.question)):
            if text is not None and not isinstance(text, str):
                raise StudyError(f"`{name}`", "be a text", type(text).__name__, f'{name}="…"')
            options |= {} if text is None else {name: text}
        if self.cites is not None:
            _raise_first(unknown_citations(list(self.cites)))
            options["cites"] = list(self.cites)
        if self.claims is not None:
            listed = not isinstance(self.claims, str | Mapping) and isinstance(self.claims, Iterable)
            if not listed or not all(isinstance(claim, Mapping) for claim in self.claims):
                hint = '[{"name": "collapse_deepens_with_depth"}] (elastic list claims)'
                raise StudyError("`claims`", "be a list of mappings", shorten(self.claims), hint)
            completed, problems = complete_claims([dict(claim) for claim in self.claims], None)
            _raise_first(problems)
            options["claims"] = completed
        return options


def join(folder: Path, coordinates: Mapping[str, Scalar], header: Header) -> Path:
    """Create or update study.json and return the folder of a run.

    Raises
    ------
    StudyError
        If the folder holds a protocol's study or a damaged one, or its runs have other coordinates.
    """
    given = header.given()
    _stored(folder)  # nothing is written into the folder of a protocol's study, not even a lock
    with study_lock(folder):
        stored = _stored(folder)
        others = _others(folder, coordinates)
        names = stored["coordinates"] if stored else list(others[0] if others else coordinates)
        check_fit(coordinates, names, others)
        blank: dict[str, Any] = {"title": None, "question": None, "cites": [], "claims": []}
        begun = {MARK: FORMAT, "name": folder.resolve().name, "coordinates": names, **blank}
        facts = {**begun, **(stored or {}), **given}
        facts.setdefault("provenance", provenance())
        if facts != stored:
            if stored:
                remove_seal(folder)  # the manifest lists the digest of this file
            register_claims(folder, facts["name"], facts["claims"] or (), None, {})
            write_facts(folder, facts)
    return folder / RUNS / run_digest(coordinates)


def describe(folder: Path, run: Path, coordinates: Mapping[str, Scalar], settings: Mapping[str, Any]) -> None:
    """Write run.json with the coordinates and settings of a run that the caller owns, if they differ.

    Raises
    ------
    StudyError
        If another process has registered a run with incompatible coordinates meanwhile.
    """
    path = run / RUN
    with study_lock(folder):
        check_fit(coordinates, list(coordinates), _others(folder, coordinates))
        study = (_stored(folder) or {}).get("name")
        data = encode_json({"study": study, "coordinates": dict(coordinates), "settings": dict(settings)})
        if not path.is_file() or path.read_bytes() != data:
            _reopen(run)
            write_atomically(path, data)


def is_recorded(run: Path) -> bool:
    """Return whether a run has a record."""
    return bool(record_files(run / RECORDS))


def discard(folder: Path, run: Path) -> None:
    """Delete the records of a run that the caller owns; removes the sealed cube first if it contains them."""
    with translate_os_errors(run):
        if is_recorded(run):
            remove_seal(folder)
        remove_report(run)
        # Atomic: a process killed here must not leave a part of the records, to be mixed with those of a new training.
        shutil.rmtree(run / DISCARDED, ignore_errors=True)
        if (run / RECORDS).exists():
            (run / RECORDS).replace(run / DISCARDED)
            shutil.rmtree(run / DISCARDED)
        for name in (LAYOUT, RUN):
            (run / name).unlink(missing_ok=True)


def remove_report(run: Path) -> None:
    """Remove the status.json of a run before its records change."""
    with translate_os_errors(run / REPORT):
        (run / REPORT).unlink(missing_ok=True)


def arithmetic_of(run: Path) -> str:
    """Return the arithmetic of probes that a run started with; that of earlier releases if it is not recorded."""
    if not is_recorded(run):
        return PROBE_ARITHMETIC
    try:
        return str(read_report(run).get(ARITHMETIC, FIRST_ARITHMETIC))
    except Damaged:
        return FIRST_ARITHMETIC


def _reopen(run: Path) -> None:
    """Mark a run as unfinished in its status.json: the digests listed there are about to change."""
    if not (run / REPORT).exists():
        return
    try:
        report = read_report(run)
    except Damaged:  # it is rewritten
        report = {}
    kept = {key: value for key, value in report.items() if key in ("epochs", "data_digest", ARITHMETIC)}
    write_report(run, {"status": UNDER_WAY, **kept})


def _stored(folder: Path) -> dict[str, Any] | None:
    try:
        stored = read_facts(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    recorded, names = stored.get(MARK), stored.get("coordinates")
    if not recorded or not isinstance(names, list):
        expected, found = "be empty or hold a recorded study", "the study of a protocol"
        raise StudyError("the folder", expected, found, "another folder", place=str(folder))
    return stored


def _others(folder: Path, coordinates: Mapping[str, Scalar]) -> list[Mapping[str, Any]]:
    # The description of this run may be damaged: it is rewritten.

    return [run.coordinates for run in read_runs(folder, leave_out=run_digest(coordinates))]


def _raise_first(problems: Sequence[Any]) -> None:
    if problems:
        raise problems[0].error
