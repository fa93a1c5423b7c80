"""Whether the sealed cube of a study is up to date, and which runs were added, changed or lost since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.reading import spelled
from elastic.cube import Status, is_sealed, open_sealed
from elastic.cube.atomic import read_regular
from elastic.cube.manifest import CUBE
from elastic.cube.report_file import WAITING
from elastic.errors import StudyError
from elastic.study.completeness import named
from elastic.study.folders import RUNS
from elastic.study.recorded import MARK
from elastic.study.run_status import LOST, RunStatus

#: The metadata of the cube's root.
ROOT = f"{CUBE}/zarr.json"

#: States of a seal.
NOT_SEALED, SEALED, OUT_OF_DATE = "not sealed", "sealed", "out of date"


@dataclass(frozen=True)
class Seal:
    """The sealed cube of a study compared with its runs as they are now.

    Attributes
    ----------
    state
        "not sealed", "sealed", or "out of date": the cube of another state of the study.
    added, changed, lost
        Coordinates of runs that have records now and had none in the cube, of those whose last epoch is another one,
        and of those that are in the cube and have no folder any more.
    """

    state: str
    added: tuple[Mapping[str, Any], ...] = ()
    changed: tuple[Mapping[str, Any], ...] = ()
    lost: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether there is a sealed cube with the numbers of the study as it is now."""
        return self.state == SEALED

    def __str__(self) -> str:
        """Return the state in words, after "cube": "sealed, out of date: 2 runs added since"."""
        if self.state != OUT_OF_DATE:
            return self.state
        since = [
            f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} {what}"
            for what, runs in (("added", self.added), ("changed", self.changed), ("lost", self.lost))
            if runs
        ]
        return f"sealed, out of date: {', '.join(since) or 'the description changed'} since"

    def notes(self, folder: Path) -> list[str]:
        """Return what the numbers of the study lack, one sentence a run."""
        end = "; its numbers are in the sealed cube" + (", and are not counted here" if not self.is_current else "")
        return [
            f"{named(run)}: the folder of this run is gone{end} (elastic verify {quote(str(folder))})"
            for run in self.lost
        ]


def seal_of(folder: Path, digest: str, runs: Sequence[RunStatus]) -> Seal:
    """Return the state of a study's sealed cube; of a damaged one only that it is there.

    Parameters
    ----------
    folder, digest
        Of the study as it is now.
    runs
        Progress of its runs.
    """
    try:
        cube = open_sealed(folder)
        state = SEALED if cube.attrs.get("digest") == digest else OUT_OF_DATE
        sealed = {run_key(run): (run, last) for run, last in sealed_runs(cube)}
    except (StudyError, KeyError):
        return Seal(SEALED)
    now = {run_key(run.coordinates): run for run in runs if run.epoch is not None}
    here = {run_key(run.coordinates) for run in runs if (folder / RUNS / run.cell).is_dir()}
    known = {run_key(run.coordinates) for run in runs}
    return Seal(
        state,
        tuple(run.coordinates for key, run in now.items() if key not in sealed),
        tuple(run.coordinates for key, run in now.items() if key in sealed and run.epoch != sealed[key][1]),
        tuple(run for key, (run, _) in sealed.items() if key not in here and (key in known or _is_open(cube))),
    )


def has_seal_of(folder: Path, digest: str) -> bool:
    """Return whether a folder has the sealed cube of a digest, or a damaged one, of which that cannot be said."""
    return is_sealed(folder) and root_attributes(folder).get("digest", digest) == digest


def root_attributes(folder: Path) -> dict[str, Any]:
    """Return the attributes of the cube's root, empty if they cannot be read."""
    try:
        attrs = json.loads(read_regular(folder / ROOT))["attributes"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return attrs if isinstance(attrs, dict) else {}


def _is_open(cube: xr.DataTree) -> bool:
    """Return whether the runs of a cube were recorded: no protocol says which of them there are."""
    return MARK in cube.attrs


def with_lost(runs: Sequence[RunStatus], folder: Path) -> list[RunStatus]:
    """Return the progress of runs, "lost" in place of "waiting" where the sealed cube has numbers of a run."""
    gone = {run.cell for run in runs if run.state == WAITING and not (folder / RUNS / run.cell).is_dir()}
    sealed: set[frozenset[tuple[str, Any]]] = set()
    if gone and is_sealed(folder):
        with suppress(StudyError, KeyError):
            sealed = {run_key(labels) for labels, _ in sealed_runs(open_sealed(folder))}
    lost = {run.cell for run in runs if run.cell in gone and run_key(run.coordinates) in sealed}
    return [replace(run, state=LOST) if run.cell in lost else run for run in runs]


def run_key(coordinates: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """Return the same for the coordinates of a run and for its labels in a cube, which spells what is no number.

    >>> run_key({"norm": True, "lr": 1}) == run_key({"lr": 1.0, "norm": "true"})
    True
    """
    return frozenset(
        (name, value if isinstance(value, int | float) and not isinstance(value, bool) else spelled(value))
        for name, value in coordinates.items()
    )


def sealed_runs(cube: xr.DataTree) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield the labels and the last epoch of each run that a cube has numbers of."""
    status = cube["training"]["status"]
    names = [str(dim) for dim in status.dims if dim != "epoch"]
    recorded = (status != Status.MISSING).transpose(*names, "epoch")
    epochs, held = recorded["epoch"].values, recorded.values
    for place in np.argwhere(held.any(-1)):
        labels = {name: recorded[name].values[number].item() for name, number in zip(names, place, strict=True)}
        yield labels, epochs[np.flatnonzero(held[tuple(place)])[-1]].item()
