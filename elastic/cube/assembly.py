"""From journals to the cube: every number of every run in its place, whatever is missing NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.attributes import storable
from elastic.cube.coordinates import Axes, Cell, Label, Scalar, indices, labelled, ragged, union
from elastic.cube.journal import Journal
from elastic.cube.layout import Layout
from elastic.cube.layout_file import read_layout
from elastic.cube.names import ALONG_DIMS, COORDINATES, RESERVED, STATUS, STATUS_ATTRS, TRAINING, Status
from elastic.cube.record import Array
from elastic.cube.recorded_array import Piece, RecordedArray, RunRecords, lazily
from elastic.cube.variable import Layer, Variable
from elastic.errors import StudyError

#: A cube up to this size is read at once, in bytes: each record once, whole.
IN_MEMORY = 64 * 2**20


def assemble(
    runs: Sequence[tuple[Mapping[str, Scalar], Path]],
    axes: Mapping[str, Sequence[Scalar]],
    attrs: Mapping[str, Any],
) -> xr.DataTree:
    """Return the cube of a study as far as its journals go; runs may be under way or not begun.

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
    A tree with the group ``training`` and those that the probes of the runs measure, as their layouts say. ``status``
    (`elastic.cube.Status`) tells for each run and epoch whether there is a record; what no run has is NaN. Layers,
    epochs or classes that only some runs have are labelled for all and padded with NaN. The numbers of a cube of more
    than `IN_MEMORY` are read when they are used; records that have changed by then raise `RecordsChanged`.

    Raises
    ------
    StudyError
        If a record is damaged, a run is not on the axes, two runs are at one place, or two runs have variables of
        one name and other dims.
    """
    grid = Axes(axes)
    journals = [_journal(folder) for _, folder in runs]
    recorded = [None if journal is None else journal.by_probed() for journal in journals]
    positions = [grid.position(values) for values, _ in runs]
    cells = [_cell(*parts) for parts in zip(positions, journals, recorded, strict=True)]
    if len(set(positions)) < len(positions):
        raise StudyError("`runs`", "stand at different places of the axes", "two at one", "the study's own protocol")
    names = dict.fromkeys(name for cell in cells if cell.layout for name in cell.layout.groups or ())
    groups = [_Group(name, grid, cells) for name in (TRAINING, *sorted(names.keys() - {TRAINING}))]
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
    """Return a run with its epochs: those that it plans, or those that an open one has recorded."""
    if journal is None or recorded is None:
        return Cell(position, None)
    layout = journal.layout
    if layout.epochs is None:
        return Cell(position, layout, sorted([*recorded[False], *recorded[True]]), recorded[True])
    return Cell(position, layout, range(layout.epochs + 1), layout.probed)


def _read(
    groups: Sequence[_Group], position: tuple[int, ...], journal: Journal, epochs_of: Mapping[bool, Sequence[float]]
) -> list[float]:
    """Put all numbers of a run into the groups; return the epochs at which it diverged."""
    diverged: list[float] = []
    for epochs, block in journal.blocks(epochs_of):
        diverged += [e for e, s in zip(epochs, block[STATUS], strict=True) if s == Status.DIVERGED]
        for group in groups:
            group.fill(position, journal.layout, epochs, block)
    return diverged


def _described(
    groups: Sequence[_Group], position: tuple[int, ...], journal: Journal, epochs_of: Mapping[bool, Sequence[float]]
) -> list[float]:
    """Tell the groups where the numbers of a run lie; return the epochs at which it diverged."""
    epochs = sorted([*epochs_of[False], *epochs_of[True]])
    records = RunRecords(journal, epochs)
    states = (state for block in records.blocks(STATUS, epochs) for state in block.tolist())
    status = dict(zip(epochs, states, strict=True))
    for group in groups:
        own = epochs if group.name == TRAINING else epochs_of[True]
        group.describe(position, journal.layout, records, {epoch: status[epoch] for epoch in own})
    return [epoch for epoch, state in status.items() if state == Status.DIVERGED]


class _Group:
    """One group of the cube while it is filled: each variable is allocated once, as NaN, or only described."""

    def __init__(self, name: str, axes: Axes, cells: Sequence[Cell]) -> None:
        self.name, self.axes, self.cells = name, axes, cells
        layouts = [cell.layout for cell in cells if cell.layout is not None and cell.measures(name)]
        self.variables = _variables(name, layouts)
        dims = dict.fromkeys(dim for layout in layouts for dim in layout.dims(name))
        if clash := set(axes.names) & ((RESERVED - ALONG_DIMS.keys()) | {name, *dims} | set(self.variables)):
            found = f"the cube's own name {sorted(clash)[0]!r}"
            raise StudyError("`axes`", "have names of their own", found, f"{sorted(clash)[0]}_axis")
        self.long_names = {dim: text for layout in layouts for dim, text in layout.long_names.items()}
        measuring = [cell for cell in cells if cell.measures(name)]
        epochs = sorted({e for cell in measuring for e in (cell.trained if name == TRAINING else cell.probed)})
        self.labels: dict[str, Sequence[Label]] = {"epoch": epochs}
        self.labels |= {dim: union(layouts, name, dim) for dim in dims}
        self.status = np.full((*axes.shape, len(epochs)), Status.MISSING, dtype=np.int8)
        self.shapes = {
            name: (*axes.shape, *(len(self.labels[dim]) for dim in ("epoch", *variable.dims)))
            for name, variable in self.variables.items()
        }
        self.numbers: dict[str, Array] = {}
        self.pieces: dict[str, list[Piece]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers."""
        return sum(math.prod(self.shapes[name]) * np.dtype(v.dtype).itemsize for name, v in self.variables.items())

    def describe(
        self, position: tuple[int, ...], layout: Layout, records: RunRecords, status: Mapping[float, int]
    ) -> None:
        """Note where the numbers of one run lie, and put its ``status`` in place, {epoch: state}."""
        own = [variable for variable in layout.variables if variable.group == self.name]
        if self.name != TRAINING and not own:
            return
        epochs = list(status)
        at_epochs, places = self._places(layout, epochs)
        self.status[position][at_epochs] = list(status.values())
        for variable in own:
            piece = Piece(position, records, epochs, (at_epochs, *(places[dim] for dim in variable.dims)))
            self.pieces.setdefault(variable.name, []).append(piece)

    def _places(self, layout: Layout, epochs: Sequence[float]) -> tuple[Array, dict[str, Array]]:
        """Return where some epochs, and a run's labels along each dim, stand in the cube."""
        places = {dim: indices(self.labels[dim], layout.labels(self.name, dim)) for dim in layout.dims(self.name)}
        return indices(self.labels["epoch"], epochs), places

    def fill(
        self, position: tuple[int, ...], layout: Layout, epochs: Sequence[float], block: Mapping[str, Array]
    ) -> None:
        """Put some epochs of one run in place; ``block`` holds each variable of the record, [epoch, …]."""
        own = [variable for variable in layout.variables if variable.group == self.name and variable.key in block]
        if self.name != TRAINING and not own:
            return
        at_epochs, places = self._places(layout, epochs)
        self.status[position][at_epochs] = block[STATUS]
        for variable in own:
            within = np.ix_(at_epochs, *(places[dim] for dim in variable.dims))
            self._allocated(variable.name)[position][within] = block[variable.key]

    def _allocated(self, name: str) -> Array:
        if name not in self.numbers:
            self.numbers[name] = np.full(self.shapes[name], np.nan, dtype=self.variables[name].dtype)
        return self.numbers[name]

    def _values(self, name: str) -> Any:
        if name not in self.pieces:
            return self._allocated(name)
        variable = self.variables[name]
        return lazily(RecordedArray(variable.key, self.shapes[name], variable.dtype, self.pieces[name]))

    def end(self, position: tuple[int, ...], diverged: Sequence[float]) -> None:
        """Mark the epochs without a record from where a run diverged: none of them is still to come."""
        if diverged:
            after = np.array([float(epoch) >= min(diverged) for epoch in self.labels["epoch"]], dtype=bool)
            status = self.status[position]
            status[after & (status == Status.MISSING)] = Status.DIVERGED

    def dataset(self) -> xr.Dataset:
        """Return the group with its coordinates and attributes."""
        leading = (*self.axes.names, "epoch")
        data: dict[str, Any] = {STATUS: (leading, self.status, dict(STATUS_ATTRS))}
        for name, variable in self.variables.items():
            data[name] = ((*leading, *variable.dims), self._values(name), dict(variable.attrs))
        labels = {**self.axes.labels, **self.labels}
        coords: dict[str, Any] = {dim: labelled(dim, along, self.long_names) for dim, along in labels.items()}
        along = {**self._of_layers(), **self._of_samples()}
        taken = set(self.axes.names)
        return xr.Dataset(data, coords | {ALONG_DIMS[name] if name in taken else name: along[name] for name in along})

    def _of_layers(self) -> dict[str, Any]:
        """Return depth, width and role of the layers."""
        if "layer" not in self.labels:
            return {}
        along = {"layer": self.labels["layer"]}

        def of_layers(column: int) -> Callable[[Layout], list[Any]]:
            return lambda layout: [layer[column] for layer in _layers(self.name, layout)]

        found = {
            name: (*ragged(self.axes, self.cells, self.name, along, of_layers(column)), _attrs(name))
            for name, column in (("depth", 1), ("width", 2))
        }
        roles = _roles([cell.layout for cell in self.cells if cell.layout is not None])
        labels = np.array([roles[str(name)] for name in along["layer"]], dtype=np.str_)
        return {**found, "role": (("layer",), labels, _attrs("role"))}

    def _of_samples(self) -> dict[str, Any]:
        """Return the number of samples of each class in each split."""
        if not {"split", "class"} <= self.labels.keys():
            return {}
        along = {dim: self.labels[dim] for dim in ("split", "class")}

        def counts(layout: Layout) -> list[Sequence[float]]:
            unknown = [np.nan] * len(layout.classes)
            return [layout.class_counts.get(str(split), unknown) for split in layout.labels(self.name, "split")]

        return {"samples": (*ragged(self.axes, self.cells, self.name, along, counts), _attrs("samples"))}


def _attrs(name: str) -> dict[str, str]:
    return {"long_name": COORDINATES[name], "units": "1"}


def _layers(group: str, layout: Layout) -> list[Layer]:
    """Return the layers of a run that a group has, in its order."""
    known = {layer[0]: Layer(*layer) for layer in layout.layers}
    return [known[str(name)] for name in layout.labels(group, "layer")]


def _roles(layouts: Sequence[Layout]) -> dict[str, str]:
    """Return the role of each layer by name; a layer that is the output of some runs only is hidden."""
    roles: dict[str, str] = {}
    for layout in layouts:
        for name, depth, _ in layout.layers:
            role = "input" if depth == 0 else "output" if name == layout.layers[-1][0] else "hidden"
            roles[name] = role if roles.get(name, role) == role else "hidden"
    return roles


def _variables(group: str, layouts: Sequence[Layout]) -> dict[str, Variable]:
    """Return the variables of a group that any run has, by name."""
    found: dict[str, Variable] = {}
    for layout in layouts:
        for variable in layout.variables:
            if variable.group == group:
                first = found.setdefault(variable.name, variable)
                if (first.dims, first.dtype) != (variable.dims, variable.dtype):
                    should = "have the same dims and type in every run"
                    found_dims = f"{first.dims} and {variable.dims}"
                    hint = "one version of elastic for the whole study"
                    raise StudyError(f"`{variable.key}`", should, found_dims, hint)
    return found
