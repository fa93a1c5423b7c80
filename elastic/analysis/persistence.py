"""Positions from which a condition holds to the end of a dim, as used by onsets, plateaus and effective depth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from elastic.errors import OptionError


def lasting_from(holds: xr.DataArray, known: xr.DataArray, position: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the first position from which a condition holds at every known position up to the end; NaN if none.

    Parameters
    ----------
    holds
        [dim, …], booleans.
    known
        [dim, …], whether there is a value; other positions are ignored and cannot be the result.
    position
        [dim, …], increasing numbers, such as epochs or depths.

    Examples
    --------
    >>> holds = xr.DataArray([True, False, True, True], dims="epoch", coords={"epoch": [0, 1, 2, 5]})
    >>> float(lasting_from(holds, xr.ones_like(holds), holds["epoch"], "epoch"))
    2.0
    """
    return position.where(lasting(holds, known, dim) & known).min(dim)


def lasting(holds: xr.DataArray, known: xr.DataArray, dim: str) -> xr.DataArray:
    """Return where a condition holds at a position and at every later known one.

    >>> holds = xr.DataArray([True, False, True, True], dims="epoch")
    >>> lasting(holds, xr.ones_like(holds), "epoch").values.tolist()
    [False, False, True, True]
    """
    lasts: xr.DataArray = xr.apply_ufunc(
        lambda asked: np.logical_and.accumulate(asked[..., ::-1], axis=-1)[..., ::-1],
        (holds | ~known),
        input_core_dims=[[dim]],
        output_core_dims=[[dim]],
    )
    return lasts


def first_known(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the first value along a dim that is not NaN; NaN if there is none.

    >>> float(first_known(xr.DataArray([float("nan"), 3.0, 2.0], dims="epoch"), "epoch"))
    3.0
    """
    return values.isel({dim: values.notnull().argmax(dim)}).drop_vars(dim, errors="ignore")


def last_known(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the last value along a dim that is not NaN; NaN if there is none.

    >>> float(last_known(xr.DataArray([3.0, 2.0, float("nan")], dims="epoch"), "epoch"))
    2.0
    """
    return first_known(values.isel({dim: slice(None, None, -1)}), dim)


def along(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Load the values as float64 and check that they have a dim.

    Raises
    ------
    OptionError
        If they do not have it.
    """
    if dim not in values.dims:
        found = f"dims ({', '.join(map(str, values.dims))})"
        raise OptionError(f"`{values.name or 'values'}`", f"lie along {dim}", found, f"values at every {dim}")
    return values.astype(float).compute()


def depth_of(values: xr.DataArray, dim: str = "layer") -> xr.DataArray:
    """Return the depth of each layer: the coordinate ``depth`` if there is one, else the position 0, 1, ….

    Layers missing in a network of a ragged axis have depth NaN.
    """
    if "depth" in values.coords and dim in values["depth"].dims:
        return values["depth"].astype(float).drop_vars("depth", errors="ignore")
    return xr.DataArray(np.arange(float(values.sizes[dim])), dims=dim)
