"""`elastic reproduce`: runs an archive again, and compares the results with the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elastic.cube.checked_files import write_json
from elastic.errors import Damaged
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.publishing.archive import open_archive
from elastic.publishing.contents import CLAIMS
from elastic.publishing.reproduced_runs import ReproducedRun, Reproduction, environment_differences
from elastic.publishing.rerunning import (
    check_allowed,
    check_data,
    check_registered,
    protocol_to_run,
    run_again,
    sample_of,
)
from elastic.publishing.unpacking import unpacked
from elastic.publishing.variable_comparison import compare_run
from elastic.publishing.verdict_comparison import compare_verdicts
from elastic.publishing.verification import VerifiedArchive, verify_archive
from elastic.study import Study
from elastic.study.completeness import named
from elastic.study.executors.choice import chosen

FILE = "reproduction.json"

#: Parts of the environment that determine the initial weights.
DRAWING = ("torch", "device")

#: Default folder of reproductions.
FOLDER = Path("reproduced")


def reproduce(
    archive: Path | str,
    *,
    runs: int | None = None,
    workers: int | str | None = None,
    out: Path | str | None = None,
    data: Path | str | None = None,
    allow: Sequence[str] = (),
    within_tolerance: bool = False,
    watch: Watcher | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Run an archive's study again and compare every variable of every run, and the verdicts.

    Parameters
    ----------
    archive
        A ZIP file, or the folder that it was unpacked to. It must be intact.
    runs
        How many runs to repeat: a sample determined by the digest of the archive; by default all.
    workers
        As `elastic.run` takes it.
    out
        Parent of the rerun's folder ``<name>``, which contains ``reproduction.json``; by default ``reproduced``.
        A rerun that was stopped resumes.
    data
        Path of the data on this machine, for data of a folder or a file.
    allow
        Modules from which code may be imported. The archive contains none: nothing of it is executed.
    within_tolerance
        Compare within tolerance even in the same environment: processors of the same capability can differ, so
        that libraries choose other kernels.
    watch, tell
        Receive progress.

    Returns
    -------
    Reproduction
        The comparison of runs, variables and verdicts.

    Raises
    ------
    Damaged
        If the archive is damaged.
    NotAllowed
        If the protocol names code that is not allowed. Nothing is imported then.
    DataError
        If the data differ from the published ones. Nothing is trained then.
    RunFailed
        If a run failed.
    """
    way = chosen(workers)
    tell("verifying the archive")
    verified = _intact(verify_archive(archive))
    with unpacked(open_archive(archive)) as folder:
        if _intact(verify_archive(folder)).digest != verified.digest:  # run only what was verified
            raise Damaged("the archive", "stay as it is", "another one since", "again", place=str(archive))
        study = Study(folder)
        protocol = protocol_to_run(study, None if data is None else Path(data))
        check_allowed(protocol, allow)
        published = {named(run.coordinates): study.run_report(run.cell) for run in study.runs() if run.ended}
        cells = sample_of([c for c in protocol.cells if named(c.coordinates) in published], runs, verified.digest)
        check_registered(cells)
        tell("comparing the data")
        digests = check_data(cells, published)
        again = run_again(protocol, cells, Path(out or FOLDER), published, way, allow, watch or Watcher())
        tell("comparing the numbers")
        reproduction = _compared(study, again, cells, published, verified, digests, within_tolerance)
    write_json(again.folder / FILE, reproduction.to_json())
    return reproduction


def _intact(verified: VerifiedArchive) -> VerifiedArchive:
    if verified.damaged:
        found = "; ".join(map(str, verified.findings[:3]))
        more = f"; and {len(verified.findings) - 3} more" if len(verified.findings) > 3 else ""
        hint = "another copy of it; nothing was run"
        raise Damaged("the archive", "be as it was published", found + more, hint, place=str(verified.path))
    return verified


def _compared(
    study: Study,
    again: Study,
    cells: Sequence[Cell],
    published: Mapping[str, Mapping[str, Any]],
    verified: VerifiedArchive,
    data: Sequence[str],
    within_tolerance: bool,
) -> Reproduction:
    chosen_cells = {cell.digest for cell in cells}
    others = [cell["digest"] for cell in again.cells if cell["digest"] not in chosen_cells]
    cube, rerun = study.cube, again.assemble(leaving_out=others)
    path = study.folder / CLAIMS
    stated = json.loads(path.read_bytes()).get("claims", ()) if path.exists() else ()
    whole = len(cells) == len(study.cells)
    return Reproduction(
        study=study.name,
        study_digest=study.digest,
        archive_digest=verified.digest,
        folder=again.folder,
        total=len(study.cells),
        sample="all runs" if whole else f"{len(cells)} of {len(study.cells)} runs, drawn by the digest of the archive",
        data=tuple(data),
        runs=tuple(_run(cube, rerun, cell, published, again, within_tolerance) for cell in cells),
        verdicts=tuple(compare_verdicts(study, stated, cube, rerun, [cell.coordinates for cell in cells])),
    )


def _run(
    cube: Any,
    rerun: Any,
    cell: Cell,
    published: Mapping[str, Mapping[str, Any]],
    again: Study,
    within_tolerance: bool,
) -> ReproducedRun:
    before, now = published[named(cell.coordinates)], again.run_report(cell.digest)
    different = environment_differences(before.get("environment") or {}, now.get("environment") or {})
    bits = not different and not within_tolerance
    same_weights = different.keys().isdisjoint(DRAWING)
    variables = tuple(compare_run(cube, rerun, cell.coordinates, bits=bits, same_weights=same_weights))
    return ReproducedRun(dict(cell.coordinates), different, variables, (_seconds(before), _seconds(now)), bits)


def _seconds(report: Mapping[str, Any]) -> float | None:
    seconds = report.get("seconds")
    return round(sum(seconds.values()), 1) if isinstance(seconds, Mapping) and seconds else None
