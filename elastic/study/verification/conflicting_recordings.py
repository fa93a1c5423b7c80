"""Which of two files of a recorded run is of another recording: its records, or its status.json that lists others.

Both are intact and name the same run, since two recordings may have the same coordinates. The sealed cube distinguishes
them: its digest is that of its journals.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from elastic.cube.manifest import CUBE, FILE
from elastic.cube.report_file import read_report
from elastic.study.recorded import recorded_facts
from elastic.study.recorded_contents import Contents, journal_facts
from elastic.study.seal_state import root_attributes
from elastic.study.study_file import FACTS, read_facts
from elastic.study.verification.findings import ONE_OF_BOTH, Finding, State
from elastic.study.verification.reading import attempted
from elastic.study.verification.run_files import REPORT
from elastic.study.verification.sealed_files import Manifest


def resolve_conflicts(folder: Path, manifest: Manifest, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings, with one of two files intact if the sealed cube identifies it.

    Parameters
    ----------
    folder
        Of the study.
    manifest
        Of its sealed files.
    findings
        One finding a file.
    """
    reports = {one.path for one in findings if one.is_bad and ONE_OF_BOTH in one.found and one.path.endswith(REPORT)}
    others = [one.path for one in findings if one.is_bad and not any(_is_of(one.path, report) for report in reports)]
    if not reports or not manifest.listed or any(path.startswith((CUBE, FILE, FACTS, "runs/")) for path in others):
        return list(findings)
    right = _right(folder)
    if right is None:
        return list(findings)
    pairs = [one for one in findings if one.is_bad and any(_is_of(one.path, report) for report in reports)]
    intact = {one.path for one in pairs if (one.path in reports) == (right == REPORT)}
    return [Finding(one.path, State.INTACT) if one.path in intact else one for one in findings]


def _right(folder: Path) -> str | None:
    """Return which is of the sealed cube's recording: status.json, or the records (""); None if that is unknown."""
    sealed = root_attributes(folder).get("digest")
    for right, contents in ((REPORT, _as_listed), ("", _as_recorded)):
        facts, _ = attempted(partial(_facts, folder, contents))
        if facts is not None and facts["digest"] == sealed:
            return right
    return None


def _facts(folder: Path, contents: Contents) -> dict[str, Any]:
    return recorded_facts(folder, read_facts(folder), contents)


def _as_listed(run: Path) -> tuple[str, str]:
    report = read_report(run)
    return str((report.get("journal") or {}).get("sha256")), str(report.get("data_digest", ""))


def _as_recorded(run: Path) -> tuple[str, str]:
    return journal_facts(run)["sha256"], str(read_report(run).get("data_digest", ""))


def _is_of(path: str, report: str) -> bool:
    """Return whether a file belongs to the run of a status.json."""
    return PurePosixPath(path).is_relative_to(PurePosixPath(report).parent)
