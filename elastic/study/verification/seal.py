"""The seal of a study compared with its description and its runs: whether the cube and its numbers are theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import xarray as xr

from elastic.cube.manifest import CUBE, FILE
from elastic.cube.replacing import is_left_unsealed, is_withdrawn
from elastic.study.completeness import named
from elastic.study.extension import fixed_differences
from elastic.study.growth import EPOCHS
from elastic.study.seal_state import root_attributes
from elastic.study.study import Study
from elastic.study.study_file import FACTS
from elastic.study.verification.claims_file import check_claims, check_history
from elastic.study.verification.description import Description
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.lost_runs import lost_runs
from elastic.study.verification.numbers import compared
from elastic.study.verification.reading import attempted
from elastic.study.verification.sealed_files import (
    Manifest,
    check_listed,
    cube_files,
    left_out,
    open_cube,
)


def check_seal(
    folder: Path, manifest: Manifest, description: Description, findings: Sequence[Finding]
) -> Iterator[Finding]:
    """Yield the findings for the cube as a whole, for its numbers, and for files that depend on them.

    Parameters
    ----------
    folder
        Of the study.
    manifest, description
        Of the study, after their check.
    findings
        Findings for the other files.
    """
    study, _ = attempted(lambda: Study(folder)) if description.facts is not None else (None, "")
    bad = [one for one in findings if one.is_bad]
    yield from check_claims(folder, study.name if study else None, study.digest if study else None)
    claims = study.facts["protocol"].get("claims") or () if study else ()
    yield from check_history(folder, study.name if study else None, claims, description.digest)
    if is_withdrawn(folder):
        meaning = "of a cube that was withdrawn; readers that have it open raise"
        yield from (Finding(name, State.LEFT_OVER, meaning) for name in cube_files(folder))
        return
    if not cube_files(folder) or study is None:
        yield from _unchecked(folder, manifest)
        return
    attrs, digest = root_attributes(folder), study.digest
    is_whole = bool(manifest.listed) and not any(one.path.startswith(CUBE) for one in bad)
    opened = cache(lambda: open_cube(folder, manifest))  # to open it takes longer than to compare a small one
    if is_whole and (lost := list(lost_runs(folder, opened, study))):
        yield from lost  # the numbers of the others cannot be compared without them
        return
    if attrs.get("digest") != digest:
        yield from _check_other(folder, manifest, study, attrs, bad)
        yield from _unchecked(folder, manifest)
        return
    unwritten = {one.path for one in findings if one.state is State.LEFT_OVER}
    for name, listed in manifest.listed.items():
        if not name.startswith(f"{CUBE}/") and name not in unwritten:
            yield check_listed(folder, name, listed)
    if any(one.path.startswith("runs/") for one in bad) or any(one.path.startswith(CUBE) for one in bad):
        yield from _unchecked(folder, manifest)
        return
    absent = left_out(attrs)
    ended, _ = attempted(lambda: all(run.ended or named(run.coordinates) in absent for run in study.runs()))
    if manifest.found is None and (not ended or is_left_unsealed(folder)):
        yield from _unchecked(folder, manifest)
        return
    if manifest.found is None:
        yield Finding(FILE, State.MISSING)
    yield from _check_numbers(folder, manifest, study, opened)


def _check_numbers(
    folder: Path, manifest: Manifest, study: Study, opened: Callable[[], xr.DataTree]
) -> Iterator[Finding]:
    """Compare the cube with the journals; without an intact manifest, its files are judged by that."""
    sealed, wrong = attempted(opened)
    if sealed is None:
        yield Finding(f"{CUBE}/zarr.json", State.DAMAGED, wrong)
        return
    absent = [cell["digest"] for cell in study.cells if named(cell["coordinates"]) in left_out(root_attributes(folder))]
    assembled, wrong = attempted(lambda: study.assemble(leaving_out=absent))
    if assembled is None:
        yield Finding(CUBE, State.NOT_CHECKABLE, f"the journals cannot be read together: {wrong}")
        return
    different, wrong = attempted(lambda: list(compared(sealed, assembled)))
    if different is None:
        yield Finding(CUBE, State.DAMAGED, wrong)
        return
    if manifest.listed and different:
        # All files of the cube are intact: records of an earlier release do not name their run.
        names = ", ".join(sorted(one.path.removeprefix(f"{CUBE}/") for one in different)[:3])
        found = f"records with other numbers than the sealed cube ({names}, …): exchanged, or of another study"
        yield Finding("runs", State.DAMAGED, found)
        return
    yield from different
    if not manifest.listed:
        wrong_folders = {PurePosixPath(one.path) for one in different}
        for name in cube_files(folder):
            if not wrong_folders & set(PurePosixPath(name).parents):
                yield Finding(name, State.INTACT)


def _check_other(
    folder: Path, manifest: Manifest, study: Study, attrs: Mapping[str, Any], bad: Sequence[Finding]
) -> Iterator[Finding]:
    """Yield the findings for a cube with another digest: sealed before the study was extended, or of another study."""
    if any(one.path == f"{CUBE}/zarr.json" for one in bad):
        return
    since = "sealed before the study was taken up again"
    if study.recorded:
        if manifest.listed and FACTS in manifest.listed:
            yield check_listed(folder, FACTS, manifest.listed[FACTS])
        yield Finding(CUBE, State.OUT_OF_DATE, since)
        return
    try:
        before, asked = json.loads(attrs["canonical_protocol"]), study.facts["protocol"]
        paths = {line.partition(":")[0] for line in fixed_differences(before, asked)}
        has_grown = before["training"]["epochs"] < asked["training"]["epochs"]
        is_another = bool(paths - ({EPOCHS} if has_grown else set()))
    except (KeyError, TypeError, ValueError, AttributeError):
        is_another = True
    if is_another:
        yield Finding(CUBE, State.DAMAGED, "the cube of another study")
    else:
        yield Finding(CUBE, State.OUT_OF_DATE, since)


def _unchecked(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Yield the files of a cube that no intact manifest lists and that cannot be compared with the journals."""
    if not manifest.listed:
        for name in cube_files(folder):
            yield Finding(name, State.NOT_CHECKABLE, f"no whole {FILE}")
