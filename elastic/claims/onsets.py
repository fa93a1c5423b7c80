r"""When a curve makes its change: times in τ = log(1 + epoch), continuous although few epochs are probed."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr


def middle_of_change(left: xr.DataArray) -> xr.DataArray:
    r"""Return the geometric mean of 1 + epoch over a change, $\exp(\tau_0 + \int s\, d\tau)$ by the trapezoidal rule.

    Parameters
    ----------
    left
        [epoch, …], the share s of the change that is still to come: 1 at the first probe, 0 at the last.

    Returns
    -------
    xarray.DataArray
        NaN where a share is missing.

    Examples
    --------
    Half of the change is from τ = 0 to log 2, half from log 2 to log 4; the means of τ are log √2 and log √8:

    >>> left = xr.DataArray([1.0, 0.5, 0.0], dims="epoch", coords={"epoch": [0, 1, 3]})
    >>> round(float(middle_of_change(left)), 6)           # √(√2 · √8)
    2.0
    """
    time = np.log1p(left["epoch"].values)
    middle: xr.DataArray = xr.apply_ufunc(np.exp, time[0] + left.assign_coords(time=("epoch", time)).integrate("time"))
    return middle


def time_above_zero(height: xr.DataArray) -> xr.DataArray:
    r"""Return how long a curve is above 0: $\exp(\tau_0 + \int [v > 0]\, d\tau)$ with v linear in τ between probes.

    For a falling curve this is 1 + the epoch at which it comes to 0. Noise about 0 lengthens the time as often as it
    shortens it, whereas the epoch of the last crossing is late for the noise alone.

    Parameters
    ----------
    height
        [epoch, …].

    Returns
    -------
    xarray.DataArray
        From 1 + the first epoch (never above 0) to 1 + the last (always above 0); NaN where a value is missing.

    Examples
    --------
    >>> fall = xr.DataArray([1.0, 1.0, -1.0], dims="epoch", coords={"epoch": [0, 1, 7]})
    >>> round(float(time_above_zero(fall)), 6)            # half way from τ = log 2 to log 8: √(2 · 8)
    4.0
    """
    epochs = height["epoch"].values
    start = height.isel(epoch=slice(None, -1))
    end = height.isel(epoch=slice(1, None)).assign_coords(epoch=epochs[:-1])
    way = abs(start) + abs(end)
    share = ((start.clip(min=0) + end.clip(min=0)) / way.where(way > 0)).where(way != 0, 0)
    time = np.log1p(epochs.astype(float))
    steps = xr.DataArray(np.diff(time), dims="epoch", coords={"epoch": epochs[:-1]})
    reached: xr.DataArray = xr.apply_ufunc(np.exp, time[0] + (share * steps).sum("epoch", skipna=False))
    return reached


def left_open(left: xr.DataArray) -> xr.DataArray:
    r"""Return the standard deviation of log times that the gaps between probes leave open.

    Between two probes a change may come at any time: with the share $\Delta s$ of the change uniformly placed in a gap
    $\Delta\tau$, the variance of the middle is $\sum (\Delta s\, \Delta\tau)^2 / 12$. A curve that jumps between two
    probes is known to $\Delta\tau/\sqrt{12}$, one that changes gradually much better.

    Parameters
    ----------
    left
        [epoch, …], the share of the change that is still to come.

    Examples
    --------
    >>> jump = xr.DataArray([1.0, 1.0, 0.0], dims="epoch", coords={"epoch": [0, 1, 3]})
    >>> round(float(left_open(jump)), 6)                  # log 2 / √12
    0.200094
    """
    gaps = np.diff(np.log1p(left["epoch"].values.astype(float)))
    steps = left.diff("epoch", label="lower")
    found: xr.DataArray = ((steps * xr.DataArray(gaps, dims="epoch", coords={"epoch": steps["epoch"]})) ** 2).sum(
        "epoch"
    )
    return found**0.5 / math.sqrt(12)
