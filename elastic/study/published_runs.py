"""``runs.json``: the state of each run in a study that was published without journals and checkpoints.

It replaces the folder ``runs``. A study unpacked from an archive is read like any other: its sealed cube, its
claims, and the states of its runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elastic.cube.checked_files import read_json
from elastic.errors import Damaged
from elastic.study.folders import RUNS
from elastic.study.run_status import RunStatus

FILE = "runs.json"

#: Keys of a run.
NEEDED = {"coordinates", "cell", "state", "epoch", "epochs", "report"}


def read_published(folder: Path) -> dict[str, Any] | None:
    """Return the contents of ``runs.json``; None for a study with a folder ``runs``.

    Returns
    -------
    dict or None
        ``runs``, and for a recorded study ``facts``, taken from its runs when it was published.

    Raises
    ------
    Damaged
        If the file is damaged.
    """
    if (folder / RUNS).is_dir() or not (folder / FILE).exists():
        return None
    hint = "the archive again: elastic verify names every file that is not as it was published"
    facts = read_json(folder / FILE, hint, checked=True) or {}
    runs = facts.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, Mapping) and run.keys() >= NEEDED for run in runs):
        raise Damaged(f"`{FILE}`", "list runs", "something else", hint, place=str(folder / FILE))
    return facts


def published_statuses(published: Mapping[str, Any]) -> list[RunStatus]:
    """Return the progress of each run when the study was published."""
    return [
        RunStatus(
            run["coordinates"], run["cell"], run["state"], run["epoch"], run["epochs"], run["report"].get("seconds", {})
        )
        for run in published["runs"]
    ]


def published_report(published: Mapping[str, Any], cell: str) -> dict[str, Any]:
    """Return the report of a run that has ended; empty for a run that is not listed."""
    return next((dict(run["report"]) for run in published["runs"] if run["cell"] == cell), {})
