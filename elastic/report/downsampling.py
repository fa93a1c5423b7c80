"""Reduction of a cube for a page: one dim for all settings, and a limited number of labels per dim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import xarray as xr

from elastic.analysis.reading import settings_axes, spelled
from elastic.figures.contract import evenly

#: Dims to thin, the longest first, while there are too many values for the page.
YIELDING = ("epoch", "layer", "setting")

#: Plural names of the labels of a dim.
WORDS: Mapping[str, str] = {
    "epoch": "probed epochs",
    "layer": "layers",
    "setting": "settings",
    "stepped_class": "classes",
}


def by_setting(values: xr.DataArray) -> xr.DataArray:
    """Stack all axes except the seed into a dim ``setting`` with text labels.

    Examples
    --------
    >>> swept = xr.DataArray([[1.0, 2.0]], dims=("lr", "seed"), coords={"lr": [0.1], "seed": [0, 1]})
    >>> by_setting(swept).dims, by_setting(swept)["setting"].values.tolist()
    (('setting', 'seed'), ['lr = 0.1'])
    """
    axes = settings_axes(values)
    ordered = values.transpose(*axes, ...)
    rest = [str(dim) for dim in ordered.dims[len(axes) :]]
    labels = [
        ", ".join(f"{axis} = {spelled(label)}" for axis, label in zip(axes, setting, strict=True))
        for setting in product(*(ordered[axis].values.tolist() for axis in axes))
    ]
    shaped = ordered.values.reshape(len(labels), *(ordered.sizes[dim] for dim in rest))
    coords = {dim: ordered[dim].values for dim in rest if dim in ordered.coords}
    return xr.DataArray(shaped, {**coords, "setting": labels}, ["setting", *rest], values.name, values.attrs)


def thin(values: xr.DataArray, most: Mapping[str, int], budget: int) -> tuple[xr.DataArray, list[str]]:
    """Select evenly spaced labels, including the first and the last, and describe what was left out.

    Parameters
    ----------
    values
        Values with dims ``setting``, ``layer``, ``epoch``, …
    most
        Most labels of each dim.
    budget
        Most values in total; `YIELDING` dims are halved to meet it, down to two labels.

    Returns
    -------
    values : xarray.DataArray
    left_out : list of str
        "30 of 100 classes" for every thinned dim of `WORDS`.

    Examples
    --------
    >>> many = xr.DataArray(np.zeros((5, 4)), dims=("epoch", "layer"), coords={"epoch": [0, 1, 2, 4, 8]})
    >>> kept, left_out = thin(many, {"epoch": 3}, budget=100)
    >>> kept["epoch"].values.tolist(), left_out
    ([0, 2, 8], ['3 of 5 probed epochs'])
    >>> thin(many, {}, budget=8)[0].sizes["epoch"]
    2
    """
    kept = values
    for dim, count in most.items():
        kept = _evenly(kept, dim, count) if dim in kept.dims else kept
    while kept.size > budget:
        dim = max((dim for dim in YIELDING if dim in kept.dims), key=lambda dim: kept.sizes[dim])
        if kept.sizes[dim] <= 2:
            break
        kept = _evenly(kept, dim, max(2, kept.sizes[dim] // 2))
    left_out = [
        f"{kept.sizes[dim]} of {values.sizes[dim]} {word}"
        for dim, word in WORDS.items()
        if dim in values.dims and kept.sizes[dim] < values.sizes[dim]
    ]
    return kept, left_out


def _evenly(values: xr.DataArray, dim: str, count: int) -> xr.DataArray:
    return values.isel({dim: evenly(range(values.sizes[dim]), count)}) if values.sizes[dim] > count else values


def measured(values: xr.DataArray, *dims: str) -> xr.DataArray:
    """Replace infinities with NaN and drop labels without finite values."""
    finite = values.where(np.isfinite(values))
    for dim in dims:
        finite = finite.dropna(dim, how="all")
    return finite


def rounded(values: np.ndarray | Sequence[float]) -> list[float | None]:
    """Round numbers to four significant digits; NaN becomes None.

    >>> rounded([0.123456, float("nan"), 12.0, 123456.0])
    [0.1235, None, 12, 123500]
    """
    return [_rounded(float(value)) for value in values]


def _rounded(value: float) -> float | None:
    if not np.isfinite(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
