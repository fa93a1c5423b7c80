"""The folder that becomes an archive: a study without journals and checkpoints, readable like any other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from elastic.claims.checked import write_checked
from elastic.claims.checking import check, check_cube
from elastic.cube import Status, is_sealed, verify_manifest
from elastic.cube.atomic import translate_os_errors
from elastic.cube.checked_files import write_json
from elastic.cube.report_file import WAITING
from elastic.errors import Damaged, StudyError
from elastic.publishing.contents import CLAIMS, CUBE, FACTS, HISTORY, MANIFEST, PROTOCOL, RUNS
from elastic.study import Study
from elastic.study.claim_history import register_publication
from elastic.study.completeness import named
from elastic.study.run_status import LOST

#: Parts of a run's report that describe its folder, which is not published.
OF_FOLDER = ("cell", "files", "journal", "lost")


def check_publishable(study: Study) -> None:
    """Raise unless a study is sealed, with an intact cube and the digest of the study.

    Raises
    ------
    StudyError
        If the study has runs that have not ended, or was extended since it was sealed.
    Damaged
        If a file is damaged.
    """
    folder = study.folder
    if not is_sealed(folder):
        ended = sum(run.ended for run in study.runs())
        found = f"one that is not ({ended} of {len(study.cells)} runs ended)"
        again = f"elastic run {quote(str(folder / PROTOCOL))}, which seals it at its end"
        hint = "study.seal()" if study.recorded else again
        raise StudyError("the study", "be sealed", found, hint, place=str(folder))
    if wrong := verify_manifest(folder):
        found = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        hint = f"elastic verify {quote(str(folder))}"
        raise Damaged("the study", "be as it was sealed", found, hint, place=str(folder))
    if study.cube.attrs.get("digest") != study.digest or "status" not in study.cube["training"].dataset:
        hint = "study.seal()" if study.recorded else "running its protocol again, which seals it"
        raise StudyError("the study", "be the one of its sealed cube", "one that was changed since", hint)
    _check_reports(study)


def _check_reports(study: Study) -> None:
    """Raise unless each run in the cube reports how it ended: a study may have been copied without its runs."""
    status = study.cube["training"].dataset["status"]
    for run in study.runs():
        at = {dim: label for dim, label in run.coordinates.items() if dim in status.dims}
        if run.state in (WAITING, LOST) and bool((status.sel(at) != Status.MISSING).any()):
            found = f"a cube that holds the run {named(run.coordinates)}, and no report of it"
            hint = "copying the folder runs with the study: reports give the environment, the data and the time"
            raise StudyError("the study", "have the reports of its runs", found, hint, place=str(study.folder))


def stage(study: Study, folder: Path) -> Study:
    """Copy a sealed study to an empty folder without its runs, check its claims, and return it.

    Parameters
    ----------
    study
        Checking its claims also adds the published verdicts to its history.
    folder
        Folder of the archive.
    """
    if not study.published:
        check(study)
        register_publication(study.folder, study.name)
    with translate_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(study.folder / CUBE, folder / CUBE)
        for name in (FACTS, PROTOCOL, MANIFEST, HISTORY):
            if (study.folder / name).exists():
                shutil.copyfile(study.folder / name, folder / name)
    write_json(folder / RUNS, runs_of(study))
    staged = Study(folder)
    if staged.claims:
        write_checked(folder / CLAIMS, check_cube(staged, staged.cube))
    return staged


def runs_of(study: Study) -> dict[str, Any]:
    """Return the state and the report of each run, and the facts that the runs of a recorded study contain."""
    runs = [
        {
            "coordinates": dict(run.coordinates),
            "cell": run.cell,
            "state": run.state,
            "epoch": run.epoch,
            "epochs": run.epochs,
            "report": _without_folder(study.run_report(run.cell)),
        }
        for run in study.runs()
    ]
    return {**({"facts": study.facts} if study.recorded else {}), "runs": runs}


def _without_folder(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in OF_FOLDER}
