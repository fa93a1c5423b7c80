"""Points with error bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes


def draw_points(axes: Axes, positions: Any, estimates: xr.Dataset, **look: Any) -> None:
    """Draw the estimates of `elastic.figures.contract.over_seeds` as points with their intervals as error bars."""
    axes.errorbar(
        positions, estimates["estimate"], yerr=reach(estimates), **{"marker": "o", **look, "linestyle": "none"}
    )


def reach(estimates: xr.Dataset) -> np.ndarray:
    """Return the distances of the interval's ends from the estimates, [2, …]; NaN without an interval.

    >>> found = xr.Dataset({"estimate": ("layer", [2.0]), "lower": ("layer", [1.5]), "upper": ("layer", [4.0])})
    >>> reach(found).tolist()
    [[0.5], [2.0]]
    """
    below, above = estimates["estimate"] - estimates["lower"], estimates["upper"] - estimates["estimate"]
    # An interval of width 0 may differ from its estimate by a rounding error.
    reached: np.ndarray = np.abs(np.stack([below, above]))
    return reached
