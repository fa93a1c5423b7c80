"""Whether locality goes with collapse: over the layers, over training, and which of the two moves first."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.persistence import along
from elastic.errors import NotMeasured, OptionError

#: Pairs of numbers without which a rank correlation says nothing, and differences without which a lag does not.
LEAST_PAIRS, LEAST_OVERLAP = 3, 4


def tracking(
    locality: xr.DataArray, collapse: xr.DataArray, *, over: Literal["layer", "epoch"] = "layer"
) -> xr.DataArray:
    """Return the rank correlation of locality with a measure of collapse.

    Spearman's, with mean ranks for ties (`scipy.stats.spearmanr`). Over the layers of one epoch: is locality greatest
    where nc1 is smallest? Over the epochs of one layer: did the one rise as the other fell? −1 is "always". Two
    courses that each go one way through training have rank correlation ±1 whether or not one has to do with the
    other: read it over epochs beside `lead`, which compares their changes.

    Parameters
    ----------
    locality, collapse
        [over, …] each, matched by label: what only one of them has is left out, and so is NaN.

    Returns
    -------
    xarray.DataArray
        Between −1 and 1, with all dims of either but ``over``. NaN with fewer than three pairs, or where one of the
        two is constant.

    Raises
    ------
    OptionError
        If one of the two does not lie along ``over``.
    NotMeasured
        If they have no label in common along a dim.

    Examples
    --------
    >>> locality = xr.DataArray([1.5, 2.0, 4.0], dims="layer")
    >>> float(tracking(locality, xr.DataArray([0.9, 0.3, 0.1], dims="layer")))
    -1.0
    >>> float(tracking(locality, xr.DataArray([0.3, 0.9, 0.1], dims="layer")))     # ranks 1 2 3, 2 3 1: 1 − 6·6/24
    -0.5
    """
    found: xr.DataArray = xr.apply_ufunc(
        _rank_correlation,
        *matched(along(locality, over), along(collapse, over)),
        input_core_dims=[[over], [over]],
        vectorize=True,
        output_dtypes=[float],
    )
    return found.rename("tracking")


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    if len(first) < LEAST_PAIRS or np.all(first == first[0]) or np.all(second == second[0]):
        return np.nan
    return float(scipy.stats.spearmanr(first, second).statistic)


def cross_correlation(
    locality: xr.DataArray, collapse: xr.DataArray, *, reach: int | None = None, dim: str = "epoch"
) -> xr.DataArray:
    """Return how changes of locality go with changes of collapse some probes later.

    Pearson's correlation of the differences of log values from probe to probe, at every lag from −reach to reach;
    differences, because two courses with a trend correlate at every lag. The lag counts probes, not epochs: with
    probes evenly spaced in log(epoch) a lag is a factor of time. A dozen probes leave eleven differences at most,
    whose correlation has a standard error of 0.3 by chance alone: only what the seeds agree on means anything. And
    changes that have a cause in common, as a step of the learning rate, correlate at lag 0 without either leading.

    Parameters
    ----------
    locality, collapse
        [dim, …] each, positive, matched by label; an epoch at which one of the two is NaN is left out.
    reach
        Greatest lag; a third of the differences by default.

    Returns
    -------
    xarray.DataArray
        [lag, …]: at lag i > 0, of a change of locality with the change of collapse i probes later (locality leads).
        NaN with fewer than four pairs, where one of the two grows by even steps, or where a value is not positive.

    Raises
    ------
    OptionError
        If one of the two does not lie along ``dim``, or the reach is negative.
    NotMeasured
        If they have no label in common along a dim.
    """
    first, second = matched(along(locality, dim), along(collapse, dim))
    reach = max(first.sizes[dim] - 1, 0) // 3 if reach is None else reach
    if reach < 0:
        raise OptionError("`reach`", "be 0 or more", repr(reach), "reach=3")
    found: xr.DataArray = xr.apply_ufunc(
        _at_lags,
        first,
        second,
        kwargs={"lags": range(-reach, reach + 1)},
        input_core_dims=[[dim], [dim]],
        output_core_dims=[["lag"]],
        vectorize=True,
    )
    return found.assign_coords(lag=np.arange(-reach, reach + 1)).rename("cross_correlation")


def _at_lags(first: np.ndarray, second: np.ndarray, lags: range) -> np.ndarray:
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    if not np.all((first > 0) & (second > 0) & np.isfinite(first) & np.isfinite(second)):
        return np.full(len(lags), np.nan)
    first, second = np.diff(np.log(first)), np.diff(np.log(second))
    return np.array([_lagged(first, second, lag) for lag in lags])


def _lagged(first: np.ndarray, second: np.ndarray, lag: int) -> float:
    overlap = len(first) - abs(lag)
    if overlap < LEAST_OVERLAP:
        return np.nan
    early, late = (first, second) if lag >= 0 else (second, first)
    early, late = early[:overlap], late[abs(lag) :]
    # Even steps differ by rounding alone, which would correlate by chance.
    if any(np.ptp(steps) <= 1e-9 * np.abs(steps).max() for steps in (early, late)):
        return np.nan
    return float(scipy.stats.pearsonr(early, late).statistic)


def lead(
    locality: xr.DataArray, collapse: xr.DataArray, *, reach: int | None = None, dim: str = "epoch"
) -> xr.DataArray:
    """Return by how many probes changes of locality come before those of collapse.

    The lag at which `cross_correlation`, whose notes hold here, is greatest in size; of equals the smallest lag.

    Returns
    -------
    xarray.DataArray
        In probes: above 0 locality leads, below 0 collapse does. NaN where no lag has a correlation.

    Raises
    ------
    OptionError, NotMeasured
        As `cross_correlation`.

    Examples
    --------
    Locality doubles at the second probe and at the fifth, nc1 halves one probe later each time:

    >>> locality = xr.DataArray([1.0, 2, 2, 2, 4, 4, 4, 4], dims="epoch")
    >>> nc1 = xr.DataArray([8.0, 8, 4, 4, 4, 2, 2, 2], dims="epoch")
    >>> float(lead(locality, nc1))
    1.0
    """
    found = cross_correlation(locality, collapse, reach=reach, dim=dim)
    strength = abs(found.isel(lag=np.argsort(np.abs(found["lag"].values), kind="stable")))
    # Rounded, since of equals the first is taken, and they may differ in their last digit.
    return strength.round(9).idxmax("lag").rename("lead")


def matched(first: xr.DataArray, second: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return two arrays at the labels that both have.

    Raises
    ------
    NotMeasured
        If there is none along a dim, or a dim without labels differs in size.
    """
    names = f"{first.name or 'the first'} and {second.name or 'the second'}"
    shared = [dim for dim in first.dims if dim in second.dims]
    for dim in shared:
        ours, theirs = first[dim].values.tolist(), second[dim].values.tolist()
        labelled = dim in first.coords and dim in second.coords
        if not set(ours) & set(theirs) if labelled else len(ours) != len(theirs):
            expected, found = f"have labels that {names} share", f"{ours} and {theirs}"
            raise NotMeasured(f"`{dim}`", expected, found, "values measured at the same ones")
    return xr.align(first, second, join="inner")
