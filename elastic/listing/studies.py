"""The state of a study as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from elastic.cube import is_sealed
from elastic.display.numbers import epoch_of
from elastic.study import RunStatus, Study


def study_facts(study: Study) -> dict[str, Any]:
    """Return the state of a study as a JSON-serializable mapping."""
    return {
        "name": study.name,
        "folder": str(study.folder),
        "digest": study.digest,
        "recorded": study.recorded,
        "sealed": is_sealed(study.folder),
        "cube": str(study.folder / "cube.zarr"),
        "runs": [asdict(run) for run in study.runs()],
    }


def status_table(study: Study) -> RenderableType:
    """Return a table with one row per run of a study."""
    runs = study.runs()
    table = Table(box=None, pad_edge=False)
    for column in (*map(escape, runs[0].coordinates if runs else ()), "state", "epoch", "seconds", "folder"):
        table.add_column(column)
    for run in runs:
        seconds = f"{sum(run.seconds.values()):.1f}" if run.seconds else "–"
        values = [Text(str(value)) for value in run.coordinates.values()]
        table.add_row(*values, run.state, epoch_of(run.epoch, run.epochs, "/"), seconds, f"runs/{run.cell}")
    return Group(Text(study_state(study, runs), style="bold"), table)


def study_state(study: Study, runs: Sequence[RunStatus]) -> str:
    """Return one line with the number of ended runs and whether the cube is sealed."""
    ended = sum(run.ended for run in runs)
    sealed = "sealed" if is_sealed(study.folder) else "not sealed"
    return f"{study.name}: {ended} of {len(runs)} runs ended, cube {sealed}"
