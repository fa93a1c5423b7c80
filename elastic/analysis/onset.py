"""Onset of collapse: the epoch at which a quantity has fallen, layer by layer, and the order of the layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.persistence import along, depth_of, first_known, last_known, lasting, lasting_from
from elastic.errors import OptionError

#: Smallest factor that counts as a change. Smaller ones are rounding errors: an invertible linear map of the inputs has
#: their nc1 for any weights, and in float32 it varies by up to 1e-4 from epoch to epoch.
LEAST_CHANGE = 1.01


def onset_epoch(
    values: xr.DataArray,
    *,
    fraction: float | None = None,
    threshold: float | None = None,
    interpolate: bool = False,
    dim: str = "epoch",
) -> xr.DataArray:
    r"""Find the epoch from which a falling quantity is, and stays, at or below a level.

    The level is ``threshold``, the same for all layers; or a ``fraction`` f of each layer's own fall on a log scale,
    $v_0 (v_T/v_0)^f$ from the first epoch's value to the last one's. They answer different questions: if deeper layers
    end lower, they also pass a common threshold earlier, whatever their speed; a fraction compares only the speed and
    ignores how far a layer falls. By default f = 1/2.

    Only probed epochs are available: the true onset lies between the returned probe and the previous one, and layers
    that cross between the same two probes have the same onset. With ``interpolate`` the crossing is interpolated
    between the two, linearly in log value against log(1 + epoch), which distinguishes such layers under the assumption
    of a straight fall between probes.

    Parameters
    ----------
    values
        [dim, …], usually for every layer; NaN (epochs not computed) is skipped.
    fraction
        Above 0 and at most 1; needs positive values.

    Returns
    -------
    xarray.DataArray
        Epochs, without ``dim``. NaN: not reached by the last epoch; with a ``fraction`` also if the last value is not
        below the first by the factor `LEAST_CHANGE`. A mean over seeds would skip such runs and be too early: use a
        median, with infinity for NaN, or count them.

    Raises
    ------
    OptionError
        If both a fraction and a threshold are given, or one is out of range, or the values lack ``dim``.

    Examples
    --------
    >>> fall = xr.DataArray([100.0, 100.0, 1.0], dims="epoch", coords={"epoch": [0, 1, 3]})
    >>> float(onset_epoch(fall, threshold=10.0)), float(onset_epoch(fall, threshold=0.5))
    (3.0, nan)
    >>> float(onset_epoch(fall, fraction=0.5).item())               # at 100·(1/100)^½ = 10
    3.0
    >>> round(float(onset_epoch(fall, fraction=0.5, interpolate=True) + 1), 6)     # halfway from log 2 to log 4: √8
    2.828427
    """
    values = along(values, dim)
    known = values.notnull()
    level = _level(values, fraction, threshold, dim)
    below = values <= level
    onset = lasting_from(below, known, values[dim], dim)
    if interpolate:
        onset = _crossing(values, level, lasting(below, known, dim) & known, onset, dim)
    name = values.name or "the quantity"
    return onset.rename("onset").assign_attrs(long_name=f"epoch from which {name} stays at or below the level")


def _level(values: xr.DataArray, fraction: float | None, threshold: float | None, dim: str) -> xr.DataArray:
    if fraction is not None and threshold is not None:
        raise OptionError("`threshold`", "be given without a fraction", "both", "one of the two")
    if threshold is not None:
        if not threshold > 0:
            raise OptionError("`threshold`", "be positive", repr(threshold), "threshold=0.1")
        return xr.full_like(values.isel({dim: 0}, drop=True), threshold)
    fraction = 0.5 if fraction is None else fraction
    if not 0 < fraction <= 1:
        raise OptionError("`fraction`", "be above 0 and at most 1", repr(fraction), "fraction=0.5")
    first, last = first_known(values, dim), last_known(values, dim)
    falls = (first >= LEAST_CHANGE * last) & (last > 0)
    # The full fraction is the last value itself, which must not be missed because of rounding.
    way = last if fraction == 1 else first * (last / first) ** fraction
    return way.where(falls)


def _crossing(
    values: xr.DataArray, level: xr.DataArray, since: xr.DataArray, onset: xr.DataArray, dim: str
) -> xr.DataArray:
    """Interpolate the crossing between the onset and the probe before it; no change if the onset is the first probe."""
    epoch = values[dim]
    before = epoch.where(values.notnull() & ~since).max(dim)
    higher, lower = (values.where(epoch == at).max(dim) for at in (before, onset))
    placed: xr.DataArray = xr.apply_ufunc(_between, before, onset, higher, lower.where(lower > 0), level)
    return placed.where(placed.notnull(), onset)


def _between(start: np.ndarray, end: np.ndarray, higher: np.ndarray, lower: np.ndarray, level: np.ndarray) -> Any:
    share = np.log(higher / level) / np.log(higher / lower)
    return np.expm1((1 - share) * np.log1p(start) + share * np.log1p(end))


def onset_order(onsets: xr.DataArray, dim: str = "layer") -> xr.DataArray:
    r"""Measure whether deeper layers have an earlier onset: −1 from the last layer inward, 0 together, 1 outward.

    Over pairs of layers, the share in which the deeper one comes later minus the share in which it comes earlier:
    Somers' D of onset given depth, which is Kendall's τ with ties of onset counted as neither (somers1962new).

    Layers without an onset (NaN) are tied with each other and come after all others. The caller removes layers that
    cannot collapse, such as the input, or that were not measured.

    Parameters
    ----------
    onsets
        [dim, …], epochs, from `onset_epoch`. Layers of depth NaN are missing and skipped.

    Returns
    -------
    xarray.DataArray
        Between −1 and 1; NaN with fewer than two layers, or if no layer has an onset.

    Raises
    ------
    OptionError
        If the onsets lack ``dim``.

    Examples
    --------
    Three pairs of layers: in two the deeper comes earlier, in one they come together:

    >>> round(float(onset_order(xr.DataArray([9.0, 4.0, 4.0], dims="layer"))), 4)
    -0.6667
    >>> float(onset_order(xr.DataArray([4.0, 4.0, 4.0], dims="layer")))
    0.0
    >>> float(onset_order(xr.DataArray([float("nan"), 9.0, 4.0], dims="layer")))
    -1.0
    """
    onsets = along(onsets, dim)
    order: xr.DataArray = xr.apply_ufunc(
        _order, depth_of(onsets, dim), onsets, input_core_dims=[[dim], [dim]], vectorize=True, output_dtypes=[float]
    )
    return order.rename("onset_order")


def _order(depth: np.ndarray, onsets: np.ndarray) -> float:
    there = ~np.isnan(depth)
    depth, onsets = depth[there], onsets[there]
    if len(onsets) < 2 or np.all(np.isnan(onsets)):
        return np.nan
    ranks = scipy.stats.rankdata(np.where(np.isnan(onsets), np.inf, onsets))
    if np.ptp(ranks) == 0:
        return 0.0
    return float(scipy.stats.somersd(depth, ranks).statistic)
