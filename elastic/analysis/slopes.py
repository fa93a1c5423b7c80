"""Least-squares slopes over layers, or over the labels of an axis."""

from __future__ import annotations

import xarray as xr


def slope(values: xr.DataArray, positions: xr.DataArray, dim: str) -> xr.DataArray:
    """Compute the slope of the least-squares line of values against positions.

    Two points suffice: the uncertainty of the slope is that over seeds.

    Parameters
    ----------
    values
        [dim, …]; NaN is skipped.
    positions
        [dim]; points whose position is NaN are skipped.

    Returns
    -------
    xarray.DataArray
        Slope, without the dim; NaN with fewer than two points, or if all are at one position.

    Examples
    --------
    >>> slope(xr.DataArray([1.0, 9.0, 5.0], dims="layer"), xr.DataArray([0.0, 1.0, 2.0], dims="layer"), "layer").item()
    2.0
    """
    at = positions.where(values.notnull())
    from_middle = at - at.mean(dim)
    spread = (from_middle**2).sum(dim)
    fitted: xr.DataArray = (from_middle * values).sum(dim) / spread  # 0/0 = NaN at one position
    return fitted
