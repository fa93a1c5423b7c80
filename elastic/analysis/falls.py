"""Estimators of the time at which a curve falls, robust to sparse probes and to noise about a level."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from elastic.analysis.logarithm import log


def epochs_above(values: xr.DataArray, level: float | xr.DataArray) -> xr.DataArray:
    r"""Compute the time for which a curve is above a level: for a falling curve 1 + the epoch at which it reaches it.

    $\exp(\tau_0 + \int [v > \text{level}]\, d\tau)$ with τ = log(1 + epoch) from the first probe on, and log v linear
    in τ between probes. Noise about the level lengthens this time as often as it shortens it, whereas it delays the
    epoch of the last crossing.

    Parameters
    ----------
    values
        [epoch, …], positive.
    level
        Positive; one number, or one per curve.

    Returns
    -------
    xarray.DataArray
        From 1 + the first epoch (always below the level) to 1 + the last (always above it); NaN if a value is missing.

    Examples
    --------
    The first level is passed half way between τ = log 2 and τ = log 8, the second one never:

    >>> fall = xr.DataArray([100.0, 100.0, 1.0], dims="epoch", coords={"epoch": [0, 1, 7]})
    >>> round(float(epochs_above(fall, 10.0)), 6), round(float(epochs_above(fall, 0.5)), 6)         # √(2 · 8)
    (4.0, 8.0)
    """
    # 0 (exact collapse) has no logarithm; it is replaced by the smallest float.
    over = xr.apply_ufunc(np.log, values.clip(min=np.finfo(float).tiny) / level)
    return time_above_zero(over)


def time_above_zero(height: xr.DataArray) -> xr.DataArray:
    r"""Compute the time for which a curve is positive: $\exp(\tau_0 + \int [v > 0]\, d\tau)$ with v linear in τ.

    For a falling curve this is 1 + the epoch at which it reaches 0. Noise about 0 lengthens the time as often as it
    shortens it, whereas it delays the epoch of the last crossing.

    Parameters
    ----------
    height
        [epoch, …].

    Returns
    -------
    xarray.DataArray
        From 1 + the first epoch (never above 0) to 1 + the last (always above 0); NaN if a value is missing.

    Examples
    --------
    >>> fall = xr.DataArray([1.0, 1.0, -1.0], dims="epoch", coords={"epoch": [0, 1, 7]})
    >>> round(float(time_above_zero(fall)), 6)            # half way from τ = log 2 to log 8: √(2 · 8)
    4.0
    """
    start = float(np.log1p(height["epoch"].values[0]))
    reached: xr.DataArray = xr.apply_ufunc(np.exp, start + time_positive(height).sum("epoch", skipna=False))
    return reached


def time_positive(curve: xr.DataArray) -> xr.DataArray:
    """Compute the time log(1 + epoch), between each two probes, in which a linearly interpolated curve is positive.

    Parameters
    ----------
    curve
        [epoch, …].

    Returns
    -------
    xarray.DataArray
        [epoch, …] without the last one: from each probe to the next. NaN next to a missing value.

    Examples
    --------
    From 3 to −1 a straight line is positive for three quarters of the way, here log 2:

    >>> curve = xr.DataArray([3.0, -1.0, -2.0], dims="epoch", coords={"epoch": [0, 1, 3]})
    >>> (time_positive(curve) / np.log(2)).round(6).values.tolist()
    [0.75, 0.0]
    """
    epochs = curve["epoch"].values
    start = curve.isel(epoch=slice(None, -1))
    end = curve.isel(epoch=slice(1, None)).assign_coords(epoch=epochs[:-1])
    way = abs(start) + abs(end)
    share = ((start.clip(min=0) + end.clip(min=0)) / way).where(way != 0, 0)
    steps = xr.DataArray(np.diff(np.log1p(epochs.astype(float))), dims="epoch", coords={"epoch": start["epoch"]})
    return share * steps


def middle_of_change(left: xr.DataArray) -> xr.DataArray:
    r"""Compute the geometric mean of 1 + epoch over a change, $\exp(\tau_0 + \int s\, d\tau)$ by the trapezoidal rule.

    Parameters
    ----------
    left
        [epoch, …], the remaining share s of the change: 1 at the first probe, 0 at the last.

    Returns
    -------
    xarray.DataArray
        NaN if a share is missing.

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


def middle_of_fall(values: xr.DataArray) -> xr.DataArray:
    r"""Compute the geometric mean of 1 + epoch over a fall.

    $\exp \int s\, d\tau$ with τ = log(1 + epoch) from the first probe on and s the remaining share of the whole fall of
    the log values, by the trapezoidal rule. It is linear in the log values except the first and the last, so that noise
    does not bias it, and continuous even if few epochs are probed.

    Parameters
    ----------
    values
        [epoch, …], positive.

    Returns
    -------
    xarray.DataArray
        NaN if the last value is not below the first, or a value between them is missing.

    Examples
    --------
    Half of the fall is from τ = 0 to log 2, half from log 2 to log 4; the means of τ are log √2 and log √8:

    >>> fall = xr.DataArray([100.0, 10.0, 1.0], dims="epoch", coords={"epoch": [0, 1, 3]})
    >>> round(float(middle_of_fall(fall)), 6)           # √(√2 · √8)
    2.0
    """
    course = log(values)
    first, last = course.isel(epoch=0, drop=True), course.isel(epoch=-1, drop=True)
    return middle_of_change((course - last) / (first - last).where(first > last))


def left_open(left: xr.DataArray) -> xr.DataArray:
    r"""Compute the standard deviation of log times due to the gaps between probes.

    Between two probes a change may happen at any time: if the share $\Delta s$ of the change is uniformly distributed
    in a gap $\Delta\tau$, the variance of the middle is $\sum (\Delta s\, \Delta\tau)^2 / 12$. The time of a jump
    between two probes is known up to $\Delta\tau/\sqrt{12}$, that of a gradual change much better.

    Parameters
    ----------
    left
        [epoch, …], the remaining share of the change.

    Examples
    --------
    >>> jump = xr.DataArray([1.0, 1.0, 0.0], dims="epoch", coords={"epoch": [0, 1, 3]})
    >>> round(float(left_open(jump)), 6)                  # log 2 / √12
    0.200094
    """
    gaps = np.diff(np.log1p(left["epoch"].values.astype(float)))
    steps = left.diff("epoch", label="lower")
    length: xr.DataArray = ((steps * xr.DataArray(gaps, dims="epoch", coords={"epoch": steps["epoch"]})) ** 2).sum(
        "epoch"
    )
    return length**0.5 / math.sqrt(12)
