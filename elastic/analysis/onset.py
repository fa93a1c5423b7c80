"""When a falling quantity has fallen, layer by layer, and whether the layers do so in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.persistence import along, depth_of, first_known, last_known, lasting, lasting_from
from elastic.errors import OptionError

#: Least factor by which a value falls or rises. Below it lies the rounding of what cannot change: an invertible linear
#: map of the inputs has their nc1 whatever its weights, and in float32 that differs by up to 1e-4 from epoch to epoch.
LEAST_CHANGE = 1.01


def onset_epoch(
    values: xr.DataArray,
    *,
    fraction: float | None = None,
    threshold: float | None = None,
    interpolate: bool = False,
    dim: str = "epoch",
) -> xr.DataArray:
    r"""Return the epoch from which a falling quantity is, and stays, at or below a level.

    The level is ``threshold``, one for all layers; or a ``fraction`` f of each layer's own way on a log scale,
    $v_0 (v_T/v_0)^f$ from the first epoch's value to the last one's. They answer different questions: where deeper
    layers end lower, they also pass a common threshold earlier, whatever their pace; a fraction compares paces only,
    and knows nothing of how far a layer goes. Without either, f = 1/2.

    Only probed epochs are seen: the true onset lies after the probe before the one that is returned, and layers that
    cross between the same two probes have the same onset. With ``interpolate`` the crossing is placed between these
    two, linearly in log value against log(1 + epoch): that tells such layers apart, and assumes that nothing but a
    straight fall happens between probes.

    Parameters
    ----------
    values
        [dim, …], usually of every layer; NaN, an epoch not computed, is left out.
    fraction
        Between 0 and 1, without 0; needs positive values.

    Returns
    -------
    xarray.DataArray
        Epochs, without ``dim``. NaN: not up to the last epoch, which is all that the study can tell; so it is under
        a ``fraction`` where the last value is not below the first by the factor `LEAST_CHANGE`. A mean over seeds
        would leave such a run out and look too early: take a median, with infinity for NaN, or count them.

    Raises
    ------
    OptionError
        If both a fraction and a threshold are given, or one is out of range, or the values do not lie along ``dim``.

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
    return onset.rename("onset")


def _level(values: xr.DataArray, fraction: float | None, threshold: float | None, dim: str) -> xr.DataArray:
    if fraction is not None and threshold is not None:
        raise OptionError("`threshold`", "stand alone", "a fraction beside it", "one of the two")
    if threshold is not None:
        if not threshold > 0:
            raise OptionError("`threshold`", "be positive", repr(threshold), "threshold=0.1")
        return xr.full_like(values.isel({dim: 0}, drop=True), threshold)
    fraction = 0.5 if fraction is None else fraction
    if not 0 < fraction <= 1:
        raise OptionError("`fraction`", "be above 0 and at most 1", repr(fraction), "fraction=0.5")
    first, last = first_known(values, dim), last_known(values, dim)
    falls = (first >= LEAST_CHANGE * last) & (last > 0)
    # The whole way ends at the last value itself, which rounding of the power must not miss.
    way = last if fraction == 1 else first * (last / first.where(falls)) ** fraction
    return way.where(falls)


def _crossing(
    values: xr.DataArray, level: xr.DataArray, since: xr.DataArray, onset: xr.DataArray, dim: str
) -> xr.DataArray:
    """Place the crossing between the last probe before the onset and the onset; at the first probe there is none."""
    epoch = values[dim]
    before = epoch.where(values.notnull() & ~since).max(dim)
    higher, lower = (values.where(epoch == at).max(dim) for at in (before, onset))
    placed: xr.DataArray = xr.apply_ufunc(_between, before, onset, higher, lower.where(lower > 0), level)
    return placed.where(placed.notnull(), onset)


def _between(start: np.ndarray, end: np.ndarray, higher: np.ndarray, lower: np.ndarray, level: np.ndarray) -> Any:
    share = np.log(higher / level) / np.log(higher / lower)
    return np.expm1((1 - share) * np.log1p(start) + share * np.log1p(end))


def onset_order(onsets: xr.DataArray, dim: str = "layer") -> xr.DataArray:
    r"""Return whether deeper layers have the earlier onset: −1 from the last layer inward, 0 together, 1 outward.

    Over pairs of layers, the share in which the deeper one comes later minus the share in which it comes earlier:
    Somers' D of onset given depth, which is Kendall's τ with ties of onset counted as neither (somers1962new).

    A layer without onset (NaN) comes after all that have one, together with the others without: that is what is
    known of it. Layers that cannot collapse, as the input, or that were not measured, are left out by the caller.

    Parameters
    ----------
    onsets
        [dim, …], epochs, as of `onset_epoch`. A layer of depth NaN is not there and is left out.

    Returns
    -------
    xarray.DataArray
        Between −1 and 1; NaN with fewer than two layers or where no layer has an onset.

    Raises
    ------
    OptionError
        If the onsets do not lie along ``dim``.

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
