"""One group of the cube during assembly: its variables, labels and status."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.along_layers import along_layers_and_classes
from elastic.cube.coordinates import Axes, Cell, Label, indices, labelled, union
from elastic.cube.layout import Layout
from elastic.cube.names import ALONG_DIMS, RESERVED, STATUS, STATUS_ATTRS, TRAINING, Status
from elastic.cube.record import Array
from elastic.cube.recorded_array import Piece, RecordedArray, RunRecords, lazily
from elastic.cube.renamed_variables import formula_of, names_now
from elastic.cube.variable import Variable
from elastic.errors import StudyError


class Group:
    """One group of the cube during assembly: each variable is allocated once, as NaN, or read lazily."""

    def __init__(self, name: str, axes: Axes, cells: Sequence[Cell]) -> None:
        self.name, self.axes, self.cells = name, axes, cells
        layouts = [cell.layout for cell in cells if cell.layout is not None and cell.measures(name)]
        self.variables = _variables(name, layouts)
        self._now: dict[int, dict[str, str]] = {}
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
            self.pieces.setdefault(self._name(variable, layout), []).append(piece)

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
            self._allocated(self._name(variable, layout))[position][within] = block[variable.key]

    def _name(self, variable: Variable, layout: Layout) -> str:
        """Return the name that a run's variable has in the cube, where newer runs define it otherwise."""
        if id(layout) not in self._now:
            own = [one for one in layout.variables if one.group == self.name]
            self._now[id(layout)] = names_now(own, self.variables.values())
        return self._now[id(layout)].get(variable.name, variable.name)

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
        along = along_layers_and_classes(self.name, self.axes, self.cells, self.labels)
        taken = set(self.axes.names)
        return xr.Dataset(data, coords | {ALONG_DIMS[name] if name in taken else name: along[name] for name in along})


def _variables(group: str, layouts: Sequence[Layout]) -> dict[str, Variable]:
    """Return the variables of a group that any run has, by name."""
    variables: dict[str, Variable] = {}
    newer = _earlier_formulas(group, layouts)
    for layout in layouts:
        for variable in layout.variables:
            if variable.group == group:
                first = variables.setdefault(variable.name, variable)
                if variable.name in newer and formula_of(first) in newer[variable.name]:
                    first = variables[variable.name] = variable
                if (first.dims, first.dtype) != (variable.dims, variable.dtype):
                    expected = "have the same dims and type in every run"
                    found_dims = f"{first.dims} and {variable.dims}"
                    hint = "one version of elastic for the whole study"
                    raise StudyError(f"`{variable.key}`", expected, found_dims, hint)
    return variables


def _earlier_formulas(group: str, layouts: Sequence[Layout]) -> dict[str, set[str]]:
    """Return, by the name of a variable that newer runs define otherwise, the formulas that they have renamed."""
    variables = {(one.name, formula_of(one)) for layout in layouts for one in layout.variables if one.group == group}
    formulas: dict[str, set[str]] = {}
    for name, formula in variables:
        if formula and any(other != name and same == formula for other, same in variables):
            formulas.setdefault(name, set()).add(formula)
    named: dict[str, set[str]] = {}
    for name, formula in variables:
        named.setdefault(name, set()).add(formula)
    return {name: earlier for name, earlier in formulas.items() if named[name] - earlier}
