"""The logarithm of quantities that are positive where they have a logarithm."""

from __future__ import annotations

import numpy as np
import xarray as xr


def log(values: xr.DataArray) -> xr.DataArray:
    """Return natural logarithms, NaN for values of 0 and below.

    >>> log(xr.DataArray([1.0, 0.0, -1.0])).values.tolist()
    [0.0, nan, nan]
    """
    logs: xr.DataArray = xr.apply_ufunc(np.log, values.where(values > 0))
    return logs
