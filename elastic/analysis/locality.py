"""Relation of locality and collapse: across layers, during training, and which of the two changes first."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.persistence import along
from elastic.errors import NotMeasured, OptionError

#: Fewest pairs for a rank correlation, and fewest differences for a lag.
LEAST_PAIRS, LEAST_OVERLAP = 3, 4


def tracking(
    locality: xr.DataArray, collapse: xr.DataArray, *, over: Literal["layer", "epoch"] = "layer"
) -> xr.DataArray:
    """Compute the rank correlation of locality with a measure of collapse.

    Spearman's, with mean ranks for ties (`scipy.stats.spearmanr`). Over the layers of one epoch: is locality greatest
    where nc1 is smallest? Over the epochs of one layer: does one rise while the other falls? −1 means always. Two
    monotone curves have rank correlation ±1 even if they are unrelated: over epochs use it together with `lead`, which
    compares their changes.

    Parameters
    ----------
    locality, collapse
        [over, …] each, matched by label; labels of only one of them and NaN are skipped.

    Returns
    -------
    xarray.DataArray
        Between −1 and 1, with all dims of either except ``over``. NaN with fewer than three pairs, or if one of the two
        is constant.

    Raises
    ------
    OptionError
        If one of the two lacks ``over``.
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
    correlations: xr.DataArray = xr.apply_ufunc(
        _rank_correlation,
        *matched(along(locality, over), along(collapse, over)),
        input_core_dims=[[over], [over]],
        vectorize=True,
        output_dtypes=[float],
    )
    return correlations.rename("tracking")


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    if len(first) < LEAST_PAIRS or np.all(first == first[0]) or np.all(second == second[0]):
        return np.nan
    return float(scipy.stats.spearmanr(first, second).statistic)


def cross_correlation(
    locality: xr.DataArray, collapse: xr.DataArray, *, reach: int | None = None, dim: str = "epoch"
) -> xr.DataArray:
    """Compute the correlation of changes of locality with changes of collapse some probes later.

    Pearson's correlation of the differences of log values between consecutive probes, at every lag from −reach to
    reach; differences, because two curves with a trend correlate at every lag. The lag counts probes, not epochs: with
    probes evenly spaced in log(epoch) a lag is a factor of time. A dozen probes give at most eleven differences, whose
    correlation has a standard error of 0.3 by chance: rely only on results that all seeds share. Changes with a common
    cause, such as a step of the learning rate, correlate at lag 0 without either leading.

    Parameters
    ----------
    locality, collapse
        [dim, …] each, positive, matched by label; epochs with a NaN in one of the two are skipped.
    reach
        Greatest lag; a third of the differences by default.

    Returns
    -------
    xarray.DataArray
        [lag, …]: at lag i > 0 the correlation of a change of locality with the change of collapse i probes later
        (locality leads). NaN with fewer than four pairs, if one of the two grows by equal steps, or if a value is not
        positive.

    Raises
    ------
    OptionError
        If one of the two lacks ``dim``, or the reach is negative.
    NotMeasured
        If they have no label in common along a dim.
    """
    first, second = matched(along(locality, dim), along(collapse, dim))
    reach = max(first.sizes[dim] - 1, 0) // 3 if reach is None else reach
    if reach < 0:
        raise OptionError("`reach`", "be 0 or more", repr(reach), "reach=3")
    correlations: xr.DataArray = xr.apply_ufunc(
        _at_lags,
        first,
        second,
        kwargs={"lags": range(-reach, reach + 1)},
        input_core_dims=[[dim], [dim]],
        output_core_dims=[["lag"]],
        vectorize=True,
    )
    return correlations.assign_coords(lag=np.arange(-reach, reach + 1)).rename("cross_correlation")


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
    # Equal steps differ only by rounding errors, which correlate by chance.
    if any(np.ptp(steps) <= 1e-9 * np.abs(steps).max() for steps in (early, late)):
        return np.nan
    return float(scipy.stats.pearsonr(early, late).statistic)


def lead(
    locality: xr.DataArray, collapse: xr.DataArray, *, reach: int | None = None, dim: str = "epoch"
) -> xr.DataArray:
    """Compute the number of probes by which changes of locality precede those of collapse.

    The lag of the largest absolute `cross_correlation`, whose notes apply here; of equal ones the smallest lag.

    Returns
    -------
    xarray.DataArray
        In probes: positive if locality leads, negative if collapse does. NaN if no lag has a correlation.

    Raises
    ------
    OptionError, NotMeasured
        See `cross_correlation`.

    Examples
    --------
    Locality doubles at the second probe and at the fifth, nc1 halves one probe later each time:

    >>> locality = xr.DataArray([1.0, 2, 2, 2, 4, 4, 4, 4], dims="epoch")
    >>> nc1 = xr.DataArray([8.0, 8, 4, 4, 4, 2, 2, 2], dims="epoch")
    >>> float(lead(locality, nc1))
    1.0
    """
    correlations = cross_correlation(locality, collapse, reach=reach, dim=dim)
    strength = abs(correlations.isel(lag=np.argsort(np.abs(correlations["lag"].values), kind="stable")))
    # Rounded: of equal correlations the first lag is used, and they may differ in the last digit.
    return strength.round(9).idxmax("lag").rename("lead")


def matched(first: xr.DataArray, second: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Select the labels that both arrays have.

    Raises
    ------
    NotMeasured
        If there are none along a dim, or a dim without labels differs in size.
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
