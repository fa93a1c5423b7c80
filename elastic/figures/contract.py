"""What a figure is, and how one is added: one function under `figure`, a study's cube in, a Figure out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from elastic.registry import registry

FigureFunction = Callable[[xr.DataTree], Figure]

#: Settings of matplotlib for all figures: type that stays readable at half size, vector text, no frame.
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "svg.hashsalt": "elastic",
}


def figure(name: str | None = None) -> Callable[[FigureFunction], FigureFunction]:
    """Register a function ``(cube: xarray.DataTree) -> matplotlib.figure.Figure``."""
    return registry("figures").register(name)


def first_setting(values: xr.DataArray) -> xr.DataArray:
    """Return the values at the first setting of every axis but the seed."""
    known = {"seed", "epoch", "split", "layer", "class", "other_class", "stepped_class", "observed_class"}
    return values.isel({dim: 0 for dim in values.dims if dim not in known})


def over_seeds(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Return mean, least and greatest value over the seeds: with few seeds a range hides nothing."""
    return values.mean("seed"), values.min("seed"), values.max("seed")
