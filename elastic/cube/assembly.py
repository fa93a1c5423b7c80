"""Assembling the cube from journals; missing values are NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.cube.attributes import storable
from elastic.cube.coordinates import Axes, Cell, Scalar
from elastic.cube.group import Group
from elastic.cube.journal import Journal
from elastic.cube.layout_file import read_layout
from elastic.cube.names import STATUS, TRAINING, Status
from elastic.cube.recorded_array import RunRecords
from elastic.errors import StudyError

#: Size in bytes up to which a cube is read into memory, each record once.
IN_MEMORY = 64 * 2**20


def assemble(
    runs: Sequence[tuple[Mapping[str, Scalar], Path]],
    axes: Mapping[str, Sequence[Scalar]],
    attrs: Mapping[str, Any],
) -> xr.DataTree:
    """Assemble the cube of a study from its journals; runs may be unfinished or not started.

    Parameters
    ----------
    runs
        Each run's values on the axes, and its folder.
    axes
        The values along each axis; every variable has the axes as its first dims, in this order.
    attrs
        Attributes of the root; kept as `elastic.cube.attributes.storable` returns them.

    Returns
    -------
    A tree with the group ``training`` and the groups of the probes in the runs' layouts. ``status``
    (`elastic.cube.Status`) says for each run and epoch whether there is a record; missing values are NaN. Layers,
    epochs or classes that only some runs have are labelled for all and padded with NaN. Cubes larger than `IN_MEMORY`
    are read lazily; records that have changed by then raise `RecordsChanged`.

    Raises
    ------
    StudyError
        If a record is damaged, a run is not on the axes, two runs have the same coordinates, or a variable has
        different dims in two runs.
    """
    grid = Axes(axes)
    journals = [_journal(folder) for _, folder in runs]
    recorded = [None if journal is None else journal.by_probed() for journal in journals]
    positions = [grid.position(values) for values, _ in runs]
    cells = [_cell(*parts) for parts in zip(positions, journals, recorded, strict=True)]
    if len(set(positions)) < len(positions):
        raise StudyError(
            "`runs`", "have different coordinates", "two runs with the same ones", "the study's own protocol"
        )
    names = dict.fromkeys(name for cell in cells if cell.layout for name in cell.layout.groups or ())
    groups = [Group(name, grid, cells) for name in (TRAINING, *sorted(names.keys() - {TRAINING}))]
    # Nor is there a group of which open runs have not probed anything yet.
    groups = [g for g in groups if (g.variables and g.labels["epoch"]) or g.name == TRAINING]
    read = _read if sum(group.nbytes for group in groups) <= IN_MEMORY else _described
    for cell, journal, epochs_of in zip(cells, journals, recorded, strict=True):
        if journal is not None and epochs_of is not None:
            diverged = read(groups, cell.position, journal, epochs_of)
            for group in groups:
                group.end(cell.position, diverged)
    root = xr.Dataset(attrs=storable(attrs))
    return xr.DataTree.from_dict({"/": root, **{group.name: group.dataset() for group in groups}})


def _journal(folder: Path) -> Journal | None:
    layout = read_layout(folder)
    return None if layout is None else Journal(folder, layout)


def _cell(position: tuple[int, ...], journal: Journal | None, recorded: Mapping[bool, Sequence[float]] | None) -> Cell:
    """Return a run with its planned epochs, or with the recorded ones of an open run."""
    if journal is None or recorded is None:
        return Cell(position, None)
    layout = journal.layout
    if layout.epochs is None:
        return Cell(position, layout, sorted([*recorded[False], *recorded[True]]), recorded[True])
    return Cell(position, layout, range(layout.epochs + 1), layout.probed)


def _read(
    groups: Sequence[Group], position: tuple[int, ...], journal: Journal, epochs_of: Mapping[bool, Sequence[float]]
) -> list[float]:
    """Copy all values of a run into the groups; return the epochs at which it diverged."""
    diverged: list[float] = []
    for epochs, block in journal.blocks(epochs_of):
        diverged += [e for e, s in zip(epochs, block[STATUS], strict=True) if s == Status.DIVERGED]
        for group in groups:
            group.fill(position, journal.layout, epochs, block)
    return diverged


def _described(
    groups: Sequence[Group], position: tuple[int, ...], journal: Journal, epochs_of: Mapping[bool, Sequence[float]]
) -> list[float]:
    """Register the records of a run in the groups for lazy reading; return the epochs at which it diverged."""
    epochs = sorted([*epochs_of[False], *epochs_of[True]])
    records = RunRecords(journal, epochs)
    states = (state for block in records.blocks(STATUS, epochs) for state in block.tolist())
    status = dict(zip(epochs, states, strict=True))
    for group in groups:
        own = epochs if group.name == TRAINING else epochs_of[True]
        group.describe(position, journal.layout, records, {epoch: status[epoch] for epoch in own})
    return [epoch for epoch, state in status.items() if state == Status.DIVERGED]
