"""Which of two files of a recorded run is of another recording: its records, or its status.json that lists others.

Both are whole and name the same run, since two recordings may have the same coordinates. The sealed cube tells them
apart: it has the digest of its journals, and their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from elastic.cube.manifest import CUBE, FILE
from elastic.study.study import Study
from elastic.study.study_file import FACTS
from elastic.study.verification.findings import ONE_OF_BOTH, Finding, State
from elastic.study.verification.numbers import compared
from elastic.study.verification.reading import attempted
from elastic.study.verification.run_files import REPORT
from elastic.study.verification.sealed_files import Manifest, open_cube, root_attributes


def told_apart(folder: Path, manifest: Manifest, found: Sequence[Finding]) -> list[Finding]:
    """Return the findings, with one of two files intact where the sealed cube tells which.

    Parameters
    ----------
    folder
        Of the study.
    manifest
        Of its sealed files.
    found
        One finding a file.
    """
    reports = {one.path for one in found if one.is_bad and ONE_OF_BOTH in one.found and one.path.endswith(REPORT)}
    others = [one.path for one in found if one.is_bad and not any(_is_of(one.path, report) for report in reports)]
    if not reports or not manifest.listed or any(path.startswith((CUBE, FILE, FACTS, "runs/")) for path in others):
        return list(found)
    right = _right(folder, manifest)
    if right is None:
        return list(found)
    pairs = [one for one in found if one.is_bad and any(_is_of(one.path, report) for report in reports)]
    intact = {one.path for one in pairs if (one.path in reports) == (right == REPORT)}
    return [Finding(one.path, State.INTACT) if one.path in intact else one for one in found]


def _right(folder: Path, manifest: Manifest) -> str | None:
    """Return what is of the sealed cube's recording: status.json, or the records (""); None if it cannot be told."""
    study, _ = attempted(lambda: Study(folder))
    if study is None:
        return None
    if study.digest == root_attributes(folder).get("digest"):  # made of what the status.json of each run lists
        return REPORT
    different, _ = attempted(lambda: list(compared(open_cube(folder, manifest), study.assemble())))
    return "" if different == [] else None


def _is_of(path: str, report: str) -> bool:
    """Return whether a file is of the run of a status.json."""
    return PurePosixPath(path).is_relative_to(PurePosixPath(report).parent)
