"""Progress of a run, as ``elastic status`` reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elastic.cube import read_progress
from elastic.cube.ownership import LOCK, is_alive
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


def with_life(status: RunStatus, folder: Path) -> RunStatus:
    """Return the progress of a run, "interrupted" in place of "under way" if no running process owns its folder."""
    is_idle = status.state == UNDER_WAY and not is_alive(folder / LOCK)
    return replace(status, state=INTERRUPTED) if is_idle else status
