"""Progress of a run, as ``elastic status`` reports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elastic.cube import read_progress
from elastic.cube.liveness import are_alive
from elastic.cube.ownership import LOCK
from elastic.cube.report_file import UNDER_WAY

#: State of a run that has begun and has not ended, and that no process carries out.
INTERRUPTED = "interrupted"

#: State of a run that has no folder any more, while the sealed cube has its numbers.
LOST = "lost"


@dataclass(frozen=True)
class RunStatus:
    """Progress of a run.

    Attributes
    ----------
    coordinates
        Its values on the study's axes.
    cell
        Its digest, which names its folder.
    state
        "waiting", "under way", "interrupted", "done", "diverged", or "lost": without a folder, but in the sealed cube.
    epoch, epochs
        Last recorded epoch (None before the first) and last planned one (None before the run began, or if a recorded
        run plans none).
    seconds
        Time by activity, if the run has ended.
    """

    coordinates: Mapping[str, Any]
    cell: str
    state: str
    epoch: float | None
    epochs: int | None
    seconds: Mapping[str, float]

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.state in ("done", "diverged")


def read_status(folder: Path, coordinates: Mapping[str, Any]) -> RunStatus:
    """Return the progress of the run in a folder.

    Parameters
    ----------
    folder
        Of the run, named after its cell.
    coordinates
        Its values on the study's axes.

    Raises
    ------
    Damaged
        If its status.json is damaged.
    """
    progress = read_progress(folder)
    seconds = progress.report.get("seconds", {}) if progress.epoch is not None else {}
    return RunStatus(coordinates, folder.name, progress.state, progress.epoch, progress.epochs, seconds)


def with_life(runs: Sequence[RunStatus], folder: Path) -> list[RunStatus]:
    """Return the progress of runs, "interrupted" in place of "under way" where no running process owns a run's folder.

    Parameters
    ----------
    runs
        As just read.
    folder
        Of all runs.
    """
    begun = [run for run in runs if run.state == UNDER_WAY]
    lives = are_alive([folder / run.cell / LOCK for run in begun])
    idle = {run.cell for run, lives_on in zip(begun, lives, strict=True) if not lives_on}
    return [_without_owner(run, folder) if run.cell in idle else run for run in runs]


def _without_owner(run: RunStatus, folder: Path) -> RunStatus:
    """Return the progress of a run without an owner, which may have ended the run since it was read."""
    now = read_status(folder / run.cell, run.coordinates)
    return replace(now, state=INTERRUPTED) if now.state == UNDER_WAY else now
