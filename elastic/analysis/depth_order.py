"""The order of the layers by collapse during training: the slope with depth at every epoch, and its sign change.

Early in training nc1 can rise with depth; later it falls. Tirer and Bruna (tirer2022extended) state that within-class
variability falls across depth in a trained network; these functions measure from which epoch it does.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from elastic.analysis.falls import time_positive
from elastic.analysis.logarithm import log
from elastic.analysis.persistence import along, depth_of, lasting
from elastic.analysis.roles import HIDDEN, roles_of
from elastic.analysis.slopes import slope


def depth_slope(values: xr.DataArray, dim: str = "layer") -> xr.DataArray:
    r"""Compute the least-squares slope of log values against depth.

    Negative: the quantity falls from layer to layer, on average by the factor $e^{-\text{slope}}$. Positive: it rises,
    opposite to the order in a trained network.

    Parameters
    ----------
    values
        [dim, …], positive, for two or more layers to compare. NaN (missing layers) and 0, which has no logarithm, are
        skipped.

    Returns
    -------
    xarray.DataArray
        Slope of natural logs per layer; NaN with fewer than two layers.

    Raises
    ------
    OptionError
        If the values lack ``dim``.

    Examples
    --------
    At first the value doubles from layer to layer, in the end it is halved:

    >>> nc1 = xr.DataArray([[1.0, 2.0, 4.0], [4.0, 2.0, 1.0]], dims=("epoch", "layer"))
    >>> (depth_slope(nc1) / np.log(2)).round(12).values.tolist()
    [1.0, -1.0]
    """
    values = along(values, dim)
    logs = log(values)
    return slope(logs, depth_of(values, dim), dim).rename("depth_slope")


def hidden_depth_slope(values: xr.DataArray) -> xr.DataArray:
    """Compute `depth_slope` over the hidden layers: the input has no weights, the logits have only K units."""
    hidden = [place for place, role in enumerate(roles_of(values)) if role == HIDDEN]
    return depth_slope(values.isel(layer=hidden))


def order_crossover(slopes: xr.DataArray, dim: str = "epoch") -> xr.Dataset:
    r"""Find the epoch from which a quantity falls with depth, and the share of the time before in which it rises.

    The crossover is the last epoch at which the slope changes from positive to nonpositive, interpolated between two
    probes linearly in the slope against τ = log(1 + epoch). The slope need not be positive throughout the time before:
    ``reversed_share`` is the share of that time τ with a positive slope.

    Parameters
    ----------
    slopes
        [dim, …], from `depth_slope`; NaN (epochs not computed) is skipped.

    Returns
    -------
    xarray.Dataset
        ``crossover`` in epochs: the first probe if the slope is never positive, NaN if it is positive at the last probe
        (a crossover would lie after the end of training). ``reversed_share`` between 0 and 1, of the whole training if
        there is no crossover; NaN if a slope is missing, or the crossover is at the first probe.

    Raises
    ------
    OptionError
        If the slopes lack ``dim``.

    Examples
    --------
    From 1 to −1 between the epochs 1 and 7 the slope is 0 at half of the way from log 2 to log 8, at epoch 4 − 1:

    >>> found = order_crossover(xr.DataArray([2.0, 1.0, -1.0], dims="epoch", coords={"epoch": [0, 1, 7]}))
    >>> round(float(found.crossover), 6), round(float(found.reversed_share), 6)
    (3.0, 1.0)
    >>> never = xr.DataArray([[-1.0, -1.0], [1.0, 1.0]], dims=("case", "epoch"), coords={"epoch": [0, 7]})
    >>> order_crossover(never).crossover.values.tolist()
    [0.0, nan]
    """
    slopes = along(slopes, dim)
    known, epoch = slopes.notnull(), slopes[dim].astype(float)
    ordered = lasting(slopes <= 0, known, dim) & known
    after, before = epoch.where(ordered).min(dim), epoch.where(known & ~ordered).max(dim)
    above, below = (slopes.where(epoch == at).max(dim) for at in (before, after))
    way = above / (above - below).where(above > below)
    start, end = (xr.apply_ufunc(np.log1p, at) for at in (before, after))
    crossing = start + way * (end - start)
    crossover = xr.apply_ufunc(np.expm1, crossing).where(before.notnull(), after)
    first = np.log1p(float(epoch[0]))
    until = crossing.where(after.notnull(), np.log1p(float(epoch[-1])))
    reversed_time = time_positive(slopes.rename({dim: "epoch"})).sum("epoch", skipna=False)
    share = (reversed_time / (until - first).where(until > first)).where(known.all(dim))
    return xr.Dataset({"crossover": crossover, "reversed_share": share.clip(0, 1)})
