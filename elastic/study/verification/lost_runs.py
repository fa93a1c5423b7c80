"""Runs whose folders are gone although the sealed cube has their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.study.recorded import run_digest
from elastic.study.seal_state import run_key, sealed_runs
from elastic.study.study import RUNS, Study
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.reading import attempted, is_there


def lost_runs(folder: Path, opened: Callable[[], xr.DataTree], study: Study) -> Iterator[Finding]:
    """Yield a finding for each run that the sealed cube has and that has no folder.

    A cube that was sealed before the study was taken up again has them too: no command removes the folder of a run
    that was sealed, except `elastic run --restart`, which withdraws the cube first.

    Parameters
    ----------
    folder
        Of the study.
    opened
        Returns the cube of the study.
    study
        With an intact cube, whatever its digest.
    """
    recorded, _ = attempted(lambda: [run for run, _ in sealed_runs(opened())])
    cells = {run_key(cell["coordinates"]): str(cell["digest"]) for cell in study.cells}
    for labels in recorded or ():
        cell = cells.get(run_key(labels)) or (_digest(study, labels) if study.recorded else "")
        if cell and not is_there(folder / RUNS / cell):
            again = "recording" if study.recorded else "running"
            yield Finding(f"{RUNS}/{cell}", State.MISSING, f"its numbers are in the sealed cube; try {again} it again")


def _digest(study: Study, labels: Mapping[str, Any]) -> str:
    """Return the folder name of a run that is gone; a cube spells True and False, where the other runs have them."""
    truths = {name for name, values in study.facts["axes"].items() if any(isinstance(one, bool) for one in values)}
    return run_digest({name: value == "true" if name in truths else value for name, value in labels.items()})
