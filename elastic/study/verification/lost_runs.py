"""Runs whose folders are gone although the sealed cube has their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.study.recorded import run_digest
from elastic.study.study import RUNS, Study
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.reading import attempted
from elastic.study.verification.sealed_files import Manifest, open_cube

#: Variable of a group that says for each run and epoch whether it was recorded.
STATUS = "status"


def lost_runs(folder: Path, manifest: Manifest, study: Study) -> Iterator[Finding]:
    """Yield a finding for each run that the sealed cube has and that has no folder.

    A cube that was sealed before the study was taken up again has them too: no command removes the folder of a run
    that was sealed, except `elastic run --restart`, which withdraws the cube first.

    Parameters
    ----------
    folder
        Of the study.
    manifest
        Of the study.
    study
        With an intact cube, whatever its digest.
    """
    recorded, _ = attempted(lambda: list(_recorded(open_cube(folder, manifest), list(study.facts["axes"]))))
    for coordinates in recorded or ():
        cell = _cell(study, coordinates)
        if cell and not (folder / RUNS / cell).is_dir():
            again = "recording" if study.recorded else "running"
            yield Finding(f"{RUNS}/{cell}", State.MISSING, f"its numbers are in the sealed cube; try {again} it again")


def _recorded(cube: xr.DataTree, axes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the labels of each run that a cube has numbers of."""
    status = cube["training"][STATUS]
    recorded = (status != 0).any([dim for dim in status.dims if dim not in axes]).transpose(*axes)
    for place in np.argwhere(recorded.values):
        yield {name: recorded[name].values[number].item() for name, number in zip(axes, place, strict=True)}


def _cell(study: Study, coordinates: Mapping[str, Any]) -> str:
    """Return the name of a run's folder, empty if a protocol has no such run any more."""
    if study.recorded:
        return run_digest(coordinates)
    cells = study.cells
    return next((str(cell["digest"]) for cell in cells if dict(cell["coordinates"]) == dict(coordinates)), "")
