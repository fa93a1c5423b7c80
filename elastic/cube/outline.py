"""The empty cube of a planned study: all groups, variables and labels, without values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from elastic.cube.coordinates import Axes, Cell, Scalar
from elastic.cube.group import Group
from elastic.cube.layout import Layout
from elastic.cube.names import TRAINING


def outline(
    runs: Sequence[tuple[Mapping[str, Scalar], Layout | None]], axes: Mapping[str, Sequence[Scalar]]
) -> xr.DataTree:
    """Return the empty cube of planned runs; its values are NaN and take no memory.

    Parameters
    ----------
    runs
        Each run's values on the axes, and its layout, or None if unknown.
    axes
        The values along each axis.

    Raises
    ------
    StudyError
        See `elastic.cube.assemble`.
    """
    grid = Axes(axes)
    cells = [
        Cell(
            grid.position(values),
            layout,
            range((layout.epochs or 0) + 1) if layout else (),
            layout.probed if layout else (),
        )
        for values, layout in runs
    ]
    names = dict.fromkeys(name for cell in cells if cell.layout for name in cell.layout.groups or ())
    groups = [Group(name, grid, cells) for name in (TRAINING, *sorted(names.keys() - {TRAINING}))]
    for group in groups:
        missing = {name: np.broadcast_to(np.nan, shape) for name, shape in group.shapes.items()}
        group.numbers.update(missing)
    return xr.DataTree.from_dict({"/": xr.Dataset(), **{group.name: group.dataset() for group in groups}})
