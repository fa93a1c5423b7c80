"""Checks the claims of a study, or of another protocol, on its cube. Nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.claims.checked import Checked, keep_checked
from elastic.claims.contract import evidence_of
from elastic.claims.verdicts import Verdict, unmeasured
from elastic.claims.weighing import Weighed, judged_together, verdict_of, weigh, weigh_read
from elastic.cube import Status
from elastic.display.verdicts import FILE as CLAIMS
from elastic.errors import NotMeasured, StudyError
from elastic.protocol import Component, read_claims
from elastic.protocol.reading import Given
from elastic.registry import registry
from elastic.study import Study, open_study
from elastic.study.claim_history import register_verdicts
from elastic.study.claim_standing import standing_of
from elastic.study.run_status import LOST, RunStatus

__all__ = ["Checked", "check", "check_cube", "verdict_on", "verdicts_on"]


def check(study: Study | Path | str, *, claims: Given | None = None) -> Checked:
    """Check claims on a study's cube.

    Parameters
    ----------
    study
        A study, its folder or its name.
    claims
        A protocol (a file, a name or a dictionary) whose claims are checked; the rest of it is ignored. They are
        exploratory: there is no record that they preceded training. By default the study's own claims are checked, and
        their verdicts are written to its ``claims.json``, unless this user may not write there.

    Returns
    -------
    Checked
        A verdict on each claim. A claim about something that was not measured is inconclusive; one that names what the
        study does not have (an unknown claim, variable, layer, class, epoch, split, axis or setting) has the verdict
        "error"; the others are not affected.

    Raises
    ------
    ElasticError
        If the study or the file cannot be read.
    """
    study = study if isinstance(study, Study) else open_study(study)
    return check_cube(study, study.cube, claims=claims)


def check_cube(
    study: Study, cube: xr.DataTree, *, claims: Given | None = None, runs: Sequence[RunStatus] | None = None
) -> Checked:
    """Check claims on the cube of a study, which the caller has already read; otherwise like `check`.

    Parameters
    ----------
    study, claims
        As of `check`.
    cube
        Its cube.
    runs
        Progress of its runs; read if not given. A run that cannot be read does not stop a check of the sealed cube.
    """
    runs = runs_of(study) if runs is None else runs
    notes = () if runs is None else notes_on(study, runs)
    if claims is None:
        verdicts = verdicts_on(cube, study.claims, study=study)
        keeps = bool(study.claims) and not study.published
        if keeps:
            seeds = study.facts["axes"].get("seed", ())
            early = seeds_with_records(cube) if under_way(runs or ()) else None
            register_verdicts(study.folder, study.facts["protocol"]["claims"], seeds, early)
        checked = Checked(study.name, study.digest, verdicts, standing=standing_of(study), notes=notes)
        if keeps:
            checked = keep_checked(study.folder / CLAIMS, checked)
        return checked
    read = [weigh_read(cube, number, claim, study) for number, claim in enumerate(read_claims(claims))]
    return Checked(study.name, study.digest, judged_together(read), notes=notes)


def runs_of(study: Study) -> list[RunStatus] | None:
    """Return the progress of a study's runs; None if one of them cannot be read."""
    try:
        return study.runs()
    except StudyError:
        return None


def notes_on(study: Study, runs: Sequence[RunStatus]) -> tuple[str, ...]:
    """Return what the study says of its numbers; nothing if it cannot be read."""
    try:
        return tuple(study.notes(study.seal_state(runs)))
    except StudyError:
        return ()


def under_way(runs: Sequence[RunStatus]) -> bool:
    """Return whether a run has not ended; a lost one does not count."""
    return not all(run.ended or run.state == LOST for run in runs)


def seeds_with_records(cube: xr.DataTree) -> list[Any]:
    """Return the labels of the seeds of which a cube has numbers."""
    status = cube["training"]["status"]
    recorded = (status != Status.MISSING).any([dim for dim in status.dims if dim != "seed"])
    return list(np.asarray(recorded["seed"])[np.asarray(recorded)].tolist())


def verdicts_on(cube: xr.DataTree, asked: Sequence[Component], *, study: Study | None = None) -> tuple[Verdict, ...]:
    """Return the verdict on each claim, in the given order, at its level among all of them.

    Parameters
    ----------
    cube, asked
        The cube on which the claims are checked.
    study
        The study of the claims: errors then name the release that wrote what this one does not support.
    """
    return judged_together([weigh(cube, number, claim, study) for number, claim in enumerate(asked)])


def verdict_on(cube: xr.DataTree, name: str, options: dict[str, Any]) -> Verdict:
    """Return the verdict on one claim, by its registered name.

    Raises
    ------
    UnknownName
        If there is no such claim.
    OptionError
        If an option is unknown or has no valid value.
    """
    entry = registry("claims").get(name)
    options = entry.complete(options)
    try:
        return Weighed(entry, options, evidence_of(entry, cube, options)).verdict()
    except NotMeasured as error:
        return verdict_of(entry, options, "", (unmeasured(str(error)),))
