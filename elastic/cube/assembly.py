"""From journals to the cube: every number of every run in its place, whatever is missing NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.attributes import storable
from elastic.cube.coordinates import Axes, Cell, Label, Scalar, indices, labelled, ragged, union
from elastic.cube.journal import Journal
from elastic.cube.layout import Layout, Variable
from elastic.cube.layout_file import read_layout
from elastic.cube.names import COORDINATES, GROUPS, RESERVED, STATUS, STATUS_ATTRS, Status
from elastic.cube.record import Array
from elastic.errors import StudyError


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
    A tree with the group ``training`` and, where a run measures them, ``collapse`` and ``elasticity``. ``status``
    (`elastic.cube.Status`) tells for each run and epoch whether there is a record; what no run has is NaN. Layers,
    epochs or classes that only some runs have are labelled for all and padded with NaN.

    Raises
    ------
    StudyError
        If a record is damaged, a run is not on the axes, two runs are at one place, or two runs have variables of
        one name and other dims.
    """
    grid = Axes(axes)
    cells = [Cell(grid.position(values), read_layout(folder)) for values, folder in runs]
    if len({cell.position for cell in cells}) < len(cells):
        raise StudyError("`runs`", "stand at different places of the axes", "two at one", "the study's own protocol")
    groups = [_Group(name, grid, cells) for name in GROUPS]
    groups = [group for group in groups if group.variables or group.name == "training"]
    ended = Status.DIVERGED
    for cell, (_, folder) in zip(cells, runs, strict=True):
        if cell.layout is not None:
            for epochs, block in Journal(folder, cell.layout).blocks():
                for group in groups:
                    group.fill(cell.position, cell.layout, epochs, block)
                    group.end(cell.position, [e for e, s in zip(epochs, block[STATUS], strict=True) if s == ended])
    root = xr.Dataset(attrs=storable(attrs))
    return xr.DataTree.from_dict({"/": root, **{group.name: group.dataset() for group in groups}})


class _Group:
    """One group of the cube while it is filled: each variable is allocated once, as NaN."""

    def __init__(self, name: str, axes: Axes, cells: Sequence[Cell]) -> None:
        self.name, self.axes, self.cells = name, axes, cells
        layouts = [cell.layout for cell in cells if cell.layout is not None]
        self.variables = _variables(name, layouts)
        if clash := set(axes.names) & (RESERVED | set(self.variables)):
            found = f"the cube's own name {sorted(clash)[0]!r}"
            raise StudyError("`axes`", "have names of their own", found, f"{sorted(clash)[0]}_axis")
        epochs = sorted({epoch for layout in layouts for epoch in _epochs(name, layout)})
        self.labels: dict[str, Sequence[Label]] = {"epoch": epochs}
        self.labels |= {dim: union(layouts, name, dim) for dim in GROUPS[name]}
        self.status = np.full((*axes.shape, len(epochs)), Status.MISSING, dtype=np.int8)
        self.numbers = {
            variable.name: np.full(self._shape(variable), np.nan, dtype=variable.dtype)
            for variable in self.variables.values()
        }

    def _shape(self, variable: Variable) -> tuple[int, ...]:
        return (*self.axes.shape, *(len(self.labels[dim]) for dim in ("epoch", *variable.dims)))

    def fill(
        self, position: tuple[int, ...], layout: Layout, epochs: Sequence[int], block: Mapping[str, Array]
    ) -> None:
        """Put some epochs of one run in place; ``block`` holds each variable of the record, [epoch, …]."""
        if self.name != "training" and not layout.is_probed(epochs[0]):
            return
        at_epochs = indices(self.labels["epoch"], epochs)
        places = {dim: indices(self.labels[dim], layout.labels(self.name, dim)) for dim in GROUPS[self.name]}
        self.status[position][at_epochs] = block[STATUS]
        for variable in layout.variables:
            if variable.group == self.name:
                within = np.ix_(at_epochs, *(places[dim] for dim in variable.dims))
                self.numbers[variable.name][position][within] = block[variable.key]

    def end(self, position: tuple[int, ...], diverged: Sequence[int]) -> None:
        """Mark all epochs from where a run diverged: none of them is still to come."""
        if diverged:
            after = [number for number, epoch in enumerate(self.labels["epoch"]) if int(epoch) >= min(diverged)]
            self.status[position][after] = Status.DIVERGED

    def dataset(self) -> xr.Dataset:
        """Return the group with its coordinates and attributes."""
        leading = (*self.axes.names, "epoch")
        data: dict[str, Any] = {STATUS: (leading, self.status, dict(STATUS_ATTRS))}
        for name, variable in self.variables.items():
            data[name] = ((*leading, *variable.dims), self.numbers[name], dict(variable.attrs))
        labels = {**self.axes.labels, **self.labels}
        coords: dict[str, Any] = {dim: labelled(dim, along) for dim, along in labels.items()}
        return xr.Dataset(data, {**coords, **self._of_layers(), **self._of_samples()})

    def _of_layers(self) -> dict[str, Any]:
        """Return depth and width of the layers."""
        if "layer" not in self.labels:
            return {}
        along = {"layer": self.labels["layer"]}
        least = 1 if self.name == "elasticity" else 0

        def of_layers(column: int) -> Any:
            return lambda layout: [layer[column] for layer in layout.layers if layer[1] >= least]

        return {
            name: (*ragged(self.axes, self.cells, self.name, along, of_layers(column)), _attrs(name))
            for name, column in (("depth", 1), ("width", 2))
        }

    def _of_samples(self) -> dict[str, Any]:
        """Return the number of samples of each class in each split."""
        if self.name != "collapse":
            return {}
        along = {dim: self.labels[dim] for dim in ("split", "class")}

        def counts(layout: Layout) -> list[Sequence[float]]:
            unknown = [np.nan] * len(layout.classes)
            return [layout.class_counts.get(split, unknown) for split in layout.splits]

        return {"samples": (*ragged(self.axes, self.cells, self.name, along, counts), _attrs("samples"))}


def _attrs(name: str) -> dict[str, str]:
    return {"long_name": COORDINATES[name], "units": "1"}


def _epochs(group: str, layout: Layout) -> Sequence[int]:
    return range(layout.epochs + 1) if group == "training" else layout.probed


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
