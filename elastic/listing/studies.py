"""The state of a study as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from shlex import quote
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from elastic.cube.report_file import UNDER_WAY
from elastic.display.numbers import epoch_of
from elastic.study import PROTOCOL, RunStatus, Study
from elastic.study.run_status import INTERRUPTED
from elastic.study.seal_state import Seal


def study_facts(study: Study) -> dict[str, Any]:
    """Return the state of a study as a JSON-serializable mapping."""
    runs = study.runs()
    seal = study.seal_state(runs)
    return {
        "name": study.name,
        "folder": str(study.folder),
        "digest": study.digest,
        "recorded": study.recorded,
        "sealed": seal.is_current,
        "seal": str(seal),
        "cube": str(study.folder / "cube.zarr"),
        "runs": [asdict(run) for run in runs],
        "notes": study.notes(seal),
    }


def status_table(study: Study, runs: Sequence[RunStatus] | None = None) -> RenderableType:
    """Return a table with one row per run of a study; ``runs`` is what its method returned, read if not given."""
    runs = study.runs() if runs is None else runs
    seal = study.seal_state(runs)
    table = Table(box=None, pad_edge=False)
    for column in (*map(escape, runs[0].coordinates if runs else ()), "state", "epoch", "seconds", "folder"):
        table.add_column(column)
    for run in runs:
        seconds = f"{sum(run.seconds.values()):.1f}" if run.seconds else "–"
        values = [Text(str(value)) for value in run.coordinates.values()]
        table.add_row(*values, run.state, epoch_of(run.epoch, run.epochs, "/"), seconds, f"runs/{run.cell}")
    notes = [Text(f"note: {note}", style="yellow") for note in study.notes(seal)]
    return Group(Text(study_state(study.name, runs, seal), style="bold"), table, *notes)


def study_state(name: str, runs: Sequence[RunStatus], seal: Seal) -> str:
    """Return one line with the number of ended and interrupted runs, and whether the cube is sealed and up to date."""
    ended, stopped = (sum(which(run) for run in runs) for which in (lambda run: run.ended, _is_interrupted))
    states = [f"{ended} of {len(runs)} runs ended", *([f"{stopped} interrupted"] if stopped else [])]
    return f"{name}: {', '.join(states)}, cube {seal}"


def _is_interrupted(run: RunStatus) -> bool:
    return run.state == INTERRUPTED


def how_to_resume(study: Study, runs: Sequence[RunStatus]) -> str:
    """Return how to go on with a study of these runs if it was interrupted; "" if one is under way, or all have ended.

    The line is to be copied: nothing may fold it.
    """
    if not any(map(_is_interrupted, runs)) or any(run.state == UNDER_WAY for run in runs):
        return ""
    if study.recorded:
        return "resume: the training loop again, with a Recorder of the same coordinates"
    place, folder = study.folder / PROTOCOL, study.folder
    if folder.absolute().name != study.name or not place.is_file():
        return "resume: the command that began the study"
    out = folder.parent if folder.name else folder.absolute().parent
    return f"resume: elastic run {quote(str(place))} --out {quote(str(out))}"
