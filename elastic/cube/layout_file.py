"""``layout.json`` in a run's folder: written once, before training starts."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from elastic.cube.atomic import explained, write_atomically
from elastic.cube.layout import Layout
from elastic.errors import StudyError

FILE = "layout.json"


def write_layout(folder: Path, layout: Layout) -> None:
    """Write ``layout.json`` into a run's folder, once.

    Raises
    ------
    StudyError
        If the run has one already that says something else, or the folder cannot be written.
    """
    known = read_layout(folder)
    if known is None:
        write_atomically(folder / FILE, layout.to_json().encode())
    elif known != layout:
        names = [part.name for part in fields(layout)]
        parts = [name for name in names if getattr(known, name) != getattr(layout, name)]
        should = "be what this run is about to record"
        found = f"other {', '.join(parts)}"
        hint = f"the elastic version that began it, or deleting {folder} to run it anew"
        raise StudyError(f"`{FILE}`", should, found, hint, place=str(folder / FILE))


def read_layout(folder: Path) -> Layout | None:
    """Return the layout in a run's folder, or None where the run has not begun.

    Raises
    ------
    StudyError
        If the file cannot be read or is damaged.
    """
    path = folder / FILE
    with explained(path, "be readable"):
        if not path.exists():
            return None
        data = path.read_bytes()
    try:
        return Layout.from_json(data.decode(errors="replace"))
    except StudyError as error:
        hint = f"deleting {folder} and running again: this run is trained anew, the others are kept"
        raise StudyError(error.field, error.should, error.found, hint, place=str(path)) from None
