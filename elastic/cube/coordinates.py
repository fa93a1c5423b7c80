"""Coordinates of a study's cube: the axes, and the union of what its runs have along the other dims."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.layout import Layout
from elastic.cube.names import COORDINATES
from elastic.cube.record import Array
from elastic.errors import StudyError

Scalar = bool | int | float | str | None
Label = int | float | str


@dataclass(frozen=True)
class Cell:
    """One run of the study.

    Attributes
    ----------
    position
        Where it stands on the axes.
    layout
        What it records; None until it begins.
    trained, probed
        Epochs of the group ``training``, and of all others: planned, or as far as an open run has recorded.
    """

    position: tuple[int, ...]
    layout: Layout | None
    trained: Sequence[float] = ()
    probed: Sequence[float] = ()

    def measures(self, group: str) -> bool:
        """Whether the run has begun and records a group."""
        return self.layout is not None and group in (self.layout.groups or {})


class Axes:
    """The axes of a study: labelled dims that every variable begins with.

    An axis of numbers keeps its numbers. Any other is labelled with strings, spelled as in a protocol file.

    Parameters
    ----------
    values
        The values along each axis.

    Raises
    ------
    StudyError
        If an axis holds one label twice.

    Examples
    --------
    >>> axes = Axes({"seed": [0, 1], "lr": [0, 0.5], "nesterov": [True, False]})
    >>> axes.labels
    {'seed': [0, 1], 'lr': [0.0, 0.5], 'nesterov': ['true', 'false']}
    >>> axes.position({"seed": 1, "lr": 0.5, "nesterov": True})
    (1, 1, 0)
    """

    def __init__(self, values: Mapping[str, Sequence[Scalar]]) -> None:
        self._label = {name: _labeller(of_axis) for name, of_axis in values.items()}
        self.labels = {name: [self._label[name](v) for v in of_axis] for name, of_axis in values.items()}
        self.names = tuple(self.labels)
        self.shape = tuple(len(labels) for labels in self.labels.values())
        for name, labels in self.labels.items():
            if len(set(labels)) < len(labels):
                raise _misplaced(name, "have different values", repr(labels))

    def position(self, coordinates: Mapping[str, Scalar]) -> tuple[int, ...]:
        """Return the indices of a run with these values.

        Raises
        ------
        StudyError
            If a value is missing or not on its axis.
        """
        indices = []
        for name, labels in self.labels.items():
            value = coordinates.get(name)
            try:
                indices.append(labels.index(self._label[name](value)))
            except (ValueError, TypeError):
                raise _misplaced(name, f"be one of {labels}", repr(value)) from None
        return tuple(indices)


def _labeller(values: Sequence[Scalar]) -> Callable[[Any], Label]:
    kinds = {type(value) for value in values}
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values):  # type: ignore[operator]
        return int
    if kinds and kinds <= {int, float}:
        return float
    return lambda value: value if isinstance(value, str) else json.dumps(value)


def _misplaced(axis: str, expected: str, found: str) -> StudyError:
    return StudyError(f"`axes.{axis}`", expected, found, "the axes of the study's own protocol")


def union(layouts: Sequence[Layout], group: str, dim: str) -> list[Label]:
    """Return all labels that the runs have along a dim of a group.

    Layers come in the order of depth (the greatest over the runs), numbers in theirs, and anything else in the order
    in which it is met.

    >>> groups = [{"collapse": {"layer": ["input", "h", *inner, "logits"]}} for inner in (["g"], [])]
    >>> deep = Layout(1, [], [("input", 0, 2), ("h", 1, 3), ("g", 2, 3), ("logits", 3, 2)], [], [], {}, [], groups[0])
    >>> flat = Layout(1, [], [("input", 0, 2), ("h", 1, 3), ("logits", 2, 2)], [], [], {}, [], groups[1])
    >>> union([flat, deep], "collapse", "layer")
    ['input', 'h', 'g', 'logits']
    """
    labels = list(dict.fromkeys(label for layout in layouts for label in layout.labels(group, dim)))
    if dim == "layer":
        depths: dict[str, int] = {}
        for layout in layouts:
            for name, depth, _ in layout.layers:
                depths[name] = max(depth, depths.get(name, 0))
        return sorted(labels, key=lambda name: depths[str(name)])
    if all(isinstance(label, int | float) for label in labels):
        return sorted(labels)
    # Classes that are numbers in one run and names in another.
    return labels if all(isinstance(label, str) for label in labels) else list(map(str, labels))


def indices(labels: Sequence[Label], wanted: Sequence[Label]) -> Array:
    """Return where the wanted labels stand; classes that are numbers are found among strings too.

    >>> indices(["0", "1", "cat"], [1, "cat"])
    array([1, 2])
    """
    place = {label: i for i, label in enumerate(labels)}
    return np.array([place[label] if label in place else place[str(label)] for label in wanted], dtype=np.intp)


def labelled(
    dim: str, labels: Sequence[Label], long_names: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], Array, dict[str, str]]:
    """Return a dim's coordinate (dims, labels, attributes): int64, float64 or strings of fixed width."""
    kinds = {type(label) for label in labels} or {int if dim == "epoch" else str}
    dtype = np.int64 if kinds == {int} else np.float64 if kinds <= {int, float} else np.str_
    described = {**COORDINATES, **(long_names or {})}
    return (dim,), np.array(labels, dtype=dtype), {"long_name": described.get(dim, f"{dim} of the run")}


def with_axes_along(tree: xr.DataTree, axes: Mapping[str, tuple[str, Sequence[Scalar]]]) -> xr.DataTree:
    """Return a cube with the axes of the study that vary together as coordinates along their dim.

    Parameters
    ----------
    tree
        The cube.
    axes
        Of each of them, the dim and the labels along it.
    """
    if not axes:
        return tree
    coords = {}
    for name, (dim, values) in axes.items():
        _, labels, attrs = labelled(name, [_labeller(values)(value) for value in values])
        coords[name] = ((dim,), labels, attrs)
    groups = {f"/{name}": child.to_dataset().assign_coords(coords) for name, child in tree.children.items()}
    return xr.DataTree.from_dict({"/": tree.to_dataset(), **groups})


def ragged(
    axes: Axes,
    cells: Sequence[Cell],
    group: str,
    labels: Mapping[str, Sequence[Label]],
    values: Callable[[Layout], Any],
) -> tuple[tuple[str, ...], Array]:
    """Return numbers of the runs along some dims, padded with NaN: (dims, numbers).

    Parameters
    ----------
    labels
        The whole cube's labels along each of the dims.
    values
        Gives a run's own numbers, along its own labels.

    Returns
    -------
    Without those axes along which the runs that have begun agree (the seed, mostly), with the others.
    """
    dims, shape = tuple(labels), tuple(len(along) for along in labels.values())
    whole, begun = np.full((*axes.shape, *shape), np.nan), np.zeros(axes.shape, dtype=bool)
    for cell in cells:
        if cell.layout is not None and cell.measures(group):
            places = [indices(along, cell.layout.labels(group, dim)) for dim, along in labels.items()]
            whole[cell.position][np.ix_(*places)] = values(cell.layout)
            begun[cell.position] = True
    differing = list(axes.names)
    for name in reversed(axes.names):
        along = differing.index(name)
        first = _first_begun(whole, begun, along)
        if np.array_equal(whole[begun], np.broadcast_to(first, whole.shape)[begun], equal_nan=True):
            whole, begun = first.take(0, axis=along), np.logical_or.reduce(begun, axis=along)
            differing.remove(name)
    return (*differing, *dims), whole


def _first_begun(whole: Array, begun: Array, along: int) -> Array:
    """Return the numbers of the first run that has begun along an axis, which keeps one label."""
    first = np.expand_dims(begun.argmax(axis=along), along)
    return np.take_along_axis(whole, first.reshape(*first.shape, *[1] * (whole.ndim - first.ndim)), axis=along)
