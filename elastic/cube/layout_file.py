"""``layout.json`` in a run's folder: written once, before training starts. It names the cell, as the folder does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from elastic.cube.atomic import read_regular, translate_os_errors, write_atomically
from elastic.cube.epoch_files import FOLDER, record_files
from elastic.cube.layout import Layout
from elastic.cube.names import TRAINING
from elastic.errors import Damaged, StudyError

FILE = "layout.json"


def write_layout(folder: Path, layout: Layout) -> Layout:
    """Write ``layout.json`` into a run's folder, once, and return the layout by which the run is recorded.

    A run that an earlier version of elastic began lacks variables that came later, and describes others in other
    words. It is recorded to its end as it was begun, so that all its records hold the same.

    Parameters
    ----------
    folder
        Folder of the run.
    layout
        What this version of elastic would record.

    Returns
    -------
    Layout
        ``layout`` with the name of the folder as its cell, or the one that the folder has.

    Raises
    ------
    StudyError
        If the run has a layout with other coordinates, or variables that this version does not measure alike, or the
        folder cannot be written.
    """
    known = read_layout(folder)
    if known is None:
        named = replace(layout, cell=cell_of(folder))
        write_atomically(folder / FILE, named.to_json().encode())
        return named
    if different := [*_coordinates(known, layout), *_unmeasured(known, layout)]:
        expected = "be what this run is about to record"
        found = f"other {', '.join(different)}"
        hint = "the elastic version that began it (study.json), or another name or folder of the study: the run is kept"
        if known.is_open:
            hint = (
                "the model, samples and probes that began it, or other coordinates or another folder: the run is kept"
            )
        raise StudyError(f"`{FILE}`", expected, found, hint, place=str(folder / FILE))
    return known


def _coordinates(known: Layout, layout: Layout) -> list[str]:
    """Return the parts other than variables in which two layouts differ."""
    names = [part.name for part in fields(layout) if part.name not in ("variables", "long_names", "cell", "groups")]
    different = [name for name in names if getattr(known, name) != getattr(layout, name)]
    return [*different, *(["groups"] if _without_later_dims(layout, known) != (known.groups or {}) else [])]


def _without_later_dims(layout: Layout, known: Layout) -> dict[str, dict[str, Sequence[Any]]]:
    """Return the groups of a layout without the dims that a known layout's do not have: those of later variables."""
    return {
        name: {dim: labels for dim, labels in dims.items() if dim in (known.groups or {}).get(name, dims)}
        for name, dims in (layout.groups or {}).items()
    }


def _unmeasured(known: Layout, layout: Layout) -> list[str]:
    """Return the variables of a known layout that another one lacks, or has with other dims or types."""
    shapes = {variable.key: (variable.dims, variable.dtype) for variable in layout.variables}
    # The scalars that a training loop hands to an open run come as they come.
    needed = [v for v in known.variables if not (known.is_open and v.group == TRAINING and not v.dims)]
    return [v.key for v in needed if shapes.get(v.key) != (v.dims, v.dtype)]


def cell_of(folder: Path) -> str:
    """Return the digest of the cell whose run a folder holds: the folder has its name.

    >>> cell_of(Path("results/mine/runs/716b2a1a3cd00b05"))
    '716b2a1a3cd00b05'
    """
    return Path(folder).absolute().name


def read_layout(folder: Path) -> Layout | None:
    """Return the layout in a run's folder, or None where the run has not begun.

    Raises
    ------
    Damaged
        If the file differs from what was written, is missing although there are records, or belongs to another run.
    StudyError
        If the file cannot be read.
    """
    path = folder / FILE
    data = _bytes(path)
    if data is None and not record_files(folder / FOLDER):
        return None
    data = data or _bytes(path)  # a run that begins at this moment has written it before its first record
    hint = f"deleting {folder} and running again: this run is trained anew, the others are kept"
    if data is None:
        raise Damaged(f"`{FILE}`", "exist next to the records", "no such file", hint, place=str(path))
    try:
        layout = Layout.from_json(data.decode(errors="replace"))
    except StudyError as error:
        raise Damaged(error.field, error.expected, error.found, hint, place=str(path)) from None
    if layout.cell not in (None, cell_of(folder)):
        hint = f"moving the folders of the runs back to their places, or {hint}"
        expected, found = f"be of run {cell_of(folder)}", f"that of run {layout.cell}"
        raise Damaged(f"`{FILE}`", expected, found, hint, place=str(path))
    return layout


def _bytes(path: Path) -> bytes | None:
    with translate_os_errors(path, "be readable"):
        try:
            return read_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
