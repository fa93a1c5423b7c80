"""The dims of a grid: one for each axis, or for axes that vary together; and the cells that it leaves out.

A cell is named by its settings: it keeps its name, and its run, whichever way the grid leads to it.
`elastic.protocol.crossing_sections` has an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

from elastic.protocol.crossing_sections import Crossing, Together
from elastic.protocol.grid import Axes
from elastic.protocol.labels import in_short, is_label

#: Most cells in the product of the dims.
MAX_CELLS = 100_000


@dataclass(frozen=True)
class Grid:
    """The cells of a study: the product of its dims without excluded cells.

    Parameters
    ----------
    axes
        Axes of the protocol.
    together
        Axes that form one dim, by its name.
    exclude
        Conditions; cells that match any of them are excluded.

    Raises
    ------
    ValueError
        If they are inconsistent (`elastic.protocol.crossing` finds the location).

    Examples
    --------
    >>> axis = {"path": "optimizer.lr", "values": [0.1, 1]}, {"path": "model.bias", "values": [True, False]}
    >>> axes = Axes.model_validate({"seed": [3, 4], "rate": axis[0], "bias": axis[1]})
    >>> grid = Grid(axes, {"both": Together.model_validate(["rate", "bias"])}, [{"bias": False, "seed": 4}])
    >>> grid.labels
    {'both': ['rate=0.1 bias=true', 'rate=1 bias=false'], 'seed': [3, 4]}
    >>> list(grid.positions())
    [(0, 0), (0, 1), (1, 0)]
    >>> grid.at((1, 0))
    {'rate': 1, 'bias': 1, 'seed': 0}
    """

    axes: Axes
    together: Mapping[str, Together] = field(default_factory=dict)
    exclude: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        for name, group in self.together.items():
            lengths = {len(self.axes.named[axis].values) for axis in group.axes}
            if len(lengths) > 1 or len(self.labels[name]) not in lengths or name in self.axes.labels:
                raise ValueError(f"`together.{name}` does not fit its axes")
        for name, labels in self.labels.items():
            if len(set(labels)) < len(labels):
                raise ValueError(f"`{name}` has a label twice")
        if len(self._dim_of) < sum(map(len, self.dims.values())):
            raise ValueError("`together` names an axis twice")
        _ = self._excluded

    @cached_property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The axes that form each dim, in the order of the cube: alphabetical, with seed last."""
        grouped = {axis for group in self.together.values() for axis in group.axes}
        dims: dict[str, tuple[str, ...]] = {name: (name,) for name in self.axes.named if name not in grouped}
        dims |= {name: tuple(group.axes) for name, group in self.together.items()}
        return dict(sorted(dims.items())) | {"seed": ("seed",)}

    @cached_property
    def labels(self) -> dict[str, list[Any]]:
        """Labels along each dim, in the order of the dims."""
        return {dim: self._labels(dim) for dim in self.dims}

    @cached_property
    def along(self) -> dict[str, tuple[str, list[Any]]]:
        """The dim and the labels along it of each axis that varies together with others."""
        own = self.axes.labels
        return {axis: (dim, own[axis]) for dim, group in self.together.items() for axis in group.axes}

    @property
    def places(self) -> int:
        """Number of cells in the product of the dims."""
        return prod(map(len, self.labels.values()))

    def positions(self) -> Iterator[tuple[int, ...]]:
        """Yield the position of each cell on the dims, in the order of the product; seed varies fastest."""
        for position in product(*(range(len(labels)) for labels in self.labels.values())):
            if not any(self._drops(condition, position) for condition in self._excluded):
                yield position

    def at(self, position: Sequence[int]) -> dict[str, int]:
        """Return the position on each axis at a position on the dims."""
        return {axis: i for axes, i in zip(self.dims.values(), position, strict=True) for axis in axes}

    def coordinates(self, position: Sequence[int]) -> dict[str, Any]:
        """Return the label on each dim at a position."""
        return {dim: labels[i] for (dim, labels), i in zip(self.labels.items(), position, strict=True)}

    def occurring(self, axes: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the positions on some axes that cells have, each once, in the order in which they come first.

        >>> axis = {"path": "optimizer.lr", "values": [0.1, 1]}, {"path": "model.bias", "values": [True, False]}
        >>> axes = Axes.model_validate({"rate": axis[0], "bias": axis[1]})
        >>> Grid(axes).occurring(["rate", "bias"]), Grid(axes, exclude=[{"bias": True, "rate": 1}]).occurring(["rate"])
        ([(0, 0), (0, 1), (1, 0), (1, 1)], [(0,), (1,)])
        """
        if not self.exclude and not self.together:  # a product of its own, however large the grid
            return list(product(*(range(len(self.axes.labels[axis])) for axis in axes)))
        places = [(list(self.dims).index(self._dim_of[axis])) for axis in axes]
        return list(dict.fromkeys(tuple(position[place] for place in places) for position in self.positions()))

    def fitting(self, name: str, wanted: Any) -> frozenset[int]:
        """Return the positions with a label, or one of several, on the dim of an axis (or on a dim).

        Raises
        ------
        ValueError
            If there is no such axis, or a label is on none of its positions.
        """
        dim = self._dim_of.get(name, name)
        if dim not in self.dims:
            raise ValueError(f"no axis {name}")
        known = self.labels[dim] if name == dim else self.axes.labels[name]
        positions: set[int] = set()
        for label in wanted if isinstance(wanted, list) else [wanted]:
            matches = {place for place, one in enumerate(known) if is_label(label, one)}
            if not matches:
                raise ValueError(f"no label {label!r} on {name}")
            positions |= matches
        return frozenset(positions)

    def drops(self, condition: Mapping[str, Any]) -> Iterator[tuple[int, ...]]:
        """Yield the positions in the product that a condition excludes, including those of other conditions."""
        matches = self._fits(condition)
        chosen = [sorted(matches.get(dim, range(len(labels)))) for dim, labels in self.labels.items()]
        return product(*chosen)

    @cached_property
    def _dim_of(self) -> dict[str, str]:
        return {axis: dim for dim, axes in self.dims.items() for axis in axes}

    @cached_property
    def _excluded(self) -> list[dict[int, frozenset[int]]]:
        """For each condition, the positions that it matches on each of its dims, by index of the dim."""
        numbers = {dim: number for number, dim in enumerate(self.dims)}
        return [{numbers[dim]: at for dim, at in self._fits(one).items()} for one in self.exclude]

    def _fits(self, condition: Mapping[str, Any]) -> dict[str, frozenset[int]]:
        matches: dict[str, frozenset[int]] = {}
        for name, wanted in condition.items():
            dim, at = self._dim_of.get(name, name), self.fitting(name, wanted)
            matches[dim] = matches.get(dim, at) & at
        return matches

    @staticmethod
    def _drops(condition: Mapping[int, frozenset[int]], position: Sequence[int]) -> bool:
        return all(position[dim] in at for dim, at in condition.items())

    def _labels(self, dim: str) -> list[Any]:
        if dim not in self.together:
            return self.axes.labels[dim]
        group, own = self.together[dim], self.axes.labels
        if group.labels is not None:
            return list(group.labels)
        rows = zip(*(own[axis] for axis in group.axes), strict=True)
        return [" ".join(f"{a}={in_short(v)}" for a, v in zip(group.axes, row, strict=True)) for row in rows]


def grid_of(protocol: Mapping[str, Any]) -> Grid:
    """Return the grid of a canonical protocol.

    Raises
    ------
    ValueError
        If the grid is invalid (pydantic's ValidationError is a ValueError).
    """
    crossing = Crossing.model_validate({k: protocol[k] for k in Crossing.model_fields if k in protocol})
    grid = Grid(Axes.model_validate(protocol["axes"]), crossing.together, crossing.exclude)
    if grid.places > MAX_CELLS:
        raise ValueError(f"`axes` make {grid.places:,} runs")
    return grid
