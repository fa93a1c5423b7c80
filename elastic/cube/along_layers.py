"""Coordinates along the layers and classes of a group: depth, width and role of a layer, samples of a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from elastic.cube.coordinates import Axes, Cell, Label, ragged
from elastic.cube.layout import Layout
from elastic.cube.names import COORDINATES
from elastic.cube.variable import Layer


def along_layers_and_classes(
    group: str, axes: Axes, cells: Sequence[Cell], labels: Mapping[str, Sequence[Label]]
) -> dict[str, Any]:
    """Return the coordinates of a group along its layers and classes, by name, in the format of xarray.

    Parameters
    ----------
    group
        Name of the group.
    axes, cells
        Of the study.
    labels
        The group's labels along each of its dims; coordinates along other dims are left out.
    """
    return {**_of_layers(group, axes, cells, labels), **_of_samples(group, axes, cells, labels)}


def _of_layers(group: str, axes: Axes, cells: Sequence[Cell], labels: Mapping[str, Sequence[Label]]) -> dict[str, Any]:
    """Return depth, width and role of the layers."""
    if "layer" not in labels:
        return {}
    along = {"layer": labels["layer"]}

    def of_layers(column: int) -> Callable[[Layout], list[Any]]:
        return lambda layout: [layer[column] for layer in _layers(group, layout)]

    coordinates = {
        name: (*ragged(axes, cells, group, along, of_layers(column)), _attrs(name))
        for name, column in (("depth", 1), ("width", 2))
    }
    roles = _roles([cell.layout for cell in cells if cell.layout is not None])
    names = np.array([roles[str(name)] for name in along["layer"]], dtype=np.str_)
    return {**coordinates, "role": (("layer",), names, _attrs("role"))}


def _of_samples(group: str, axes: Axes, cells: Sequence[Cell], labels: Mapping[str, Sequence[Label]]) -> dict[str, Any]:
    """Return the number of samples of each class in each split."""
    if not {"split", "class"} <= labels.keys():
        return {}
    along = {dim: labels[dim] for dim in ("split", "class")}

    def counts(layout: Layout) -> list[Sequence[float]]:
        unknown = [np.nan] * len(layout.classes)
        return [layout.class_counts.get(str(split), unknown) for split in layout.labels(group, "split")]

    return {"samples": (*ragged(axes, cells, group, along, counts), _attrs("samples"))}


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
