"""Points with bars for their intervals, for what does not lie on a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes


def draw_points(axes: Axes, positions: Any, found: xr.Dataset, **look: Any) -> None:
    """Draw the estimates of `elastic.figures.contract.over_seeds` as points, their intervals, if any, as bars."""
    axes.errorbar(positions, found["estimate"], yerr=reach(found), **{"marker": "o", **look, "linestyle": "none"})


def reach(found: xr.Dataset) -> np.ndarray:
    """Return how far the intervals reach below and above their estimates, [2, …], NaN where there is none.

    >>> found = xr.Dataset({"estimate": ("layer", [2.0]), "lower": ("layer", [1.5]), "upper": ("layer", [4.0])})
    >>> reach(found).tolist()
    [[0.5], [2.0]]
    """
    below, above = found["estimate"] - found["lower"], found["upper"] - found["estimate"]
    # An interval of no width may lie a rounding error beside its estimate.
    reached: np.ndarray = np.abs(np.stack([below, above]))
    return reached
