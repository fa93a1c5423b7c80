"""Scales on which effects are close to normal over seeds: logarithms, Fisher's z."""

from __future__ import annotations

import numpy as np
import xarray as xr

from elastic.cube.attributes import bounds_of

#: Correlations closer to ±1 differ by rounding only: Fisher's z is limited there, to 14.2.
NEAREST = 1 - 1e-12


def is_ratio(values: xr.DataArray) -> bool:
    """Return whether a variable is nonnegative and unbounded above, according to its attributes.

    Such values (nc1, locality, a norm) vary by factors from seed to seed: their logarithms are closer to normal.

    >>> is_ratio(xr.DataArray(1.0, attrs={"value_bounds": ["0.0", "inf"]})), is_ratio(xr.DataArray(1.0))
    (True, False)
    """
    low, high = bounds_of(values.attrs) or (-np.inf, np.inf)
    return low >= 0 and high == np.inf


def log(values: xr.DataArray) -> xr.DataArray:
    """Return natural logarithms, NaN for values of 0 and below.

    >>> log(xr.DataArray([1.0, 0.0, -1.0])).values.tolist()
    [0.0, nan, nan]
    """
    logs: xr.DataArray = xr.apply_ufunc(np.log, values.where(values > 0))
    return logs


def fisher_z(correlation: xr.DataArray) -> xr.DataArray:
    """Return Fisher's z = artanh(r).

    >>> round(float(fisher_z(xr.DataArray(0.5))), 4), round(float(fisher_z(xr.DataArray(1.0))), 1)
    (0.5493, 14.2)
    """
    z: xr.DataArray = xr.apply_ufunc(np.arctanh, correlation.clip(-NEAREST, NEAREST))
    return z
