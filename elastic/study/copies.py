"""Folders of runs that are copies of others: a run's folder is named after its coordinates and settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from elastic.cube.atomic import read_regular
from elastic.cube.checked_files import decode_json
from elastic.cube.report_file import FILE as REPORT
from elastic.study.folders import RUNS
from elastic.study.study_file import UNREADABLE


def copies(folder: Path, cells: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each folder of runs that holds a copy of another run there, and the name of that one.

    Parameters
    ----------
    folder
        Of the study. Only status.json is read of a folder, which names the run.
    cells
        Folder names of the study's runs.
    """
    runs = folder / RUNS
    names = sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []
    for name in names:
        if name not in cells and (original := run_in(runs / name)) in cells and original in names:
            yield name, original


def copy_notes(folder: Path, cells: Collection[str]) -> list[str]:
    """Return a sentence for each copy."""
    return [
        f"{RUNS}/{name} is a copy of {RUNS}/{original}, and is not counted: delete or move it"
        for name, original in copies(folder, cells)
    ]


def run_in(folder: Path) -> str:
    """Return the name of the run that a folder's status.json is of, "" if that is unknown."""
    try:
        return str(decode_json(read_regular(folder / REPORT))[0].get("cell", ""))
    except (OSError, *UNREADABLE):
        return ""
