"""Intervals over seeds."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from scipy import stats

Method = Literal["t", "bootstrap"]

#: Resamples of a bootstrap, and the seed of their draws: the same values give the same interval.
RESAMPLES, DRAWS = 9999, 0


def interval(values: xr.DataArray, dim: str = "seed", *, level: float = 0.95, method: Method = "t") -> xr.Dataset:
    r"""Return mean and confidence interval along a dim, usually the seeds.

    With mean m and sample standard deviation s of n finite values, method "t" gives
    m ± t_{n−1, (1+level)/2} · s/√n, exact for normal values at every n ≥ 2; "bootstrap" gives the bias-corrected and
    accelerated interval of `scipy.stats.bootstrap`, which needs no normality but is too narrow below ten or so
    values.

    Parameters
    ----------
    values
        [dim, …]; NaN is left out.
    level
        Of confidence, between 0 and 1.

    Returns
    -------
    xarray.Dataset
        ``estimate``, ``lower``, ``upper`` (NaN below two values) and ``count``, all without ``dim``.

    Examples
    --------
    >>> found = interval(xr.DataArray([1.0, 3.0], dims="seed"))
    >>> float(found.estimate), round(float(found.upper - found.estimate), 3)     # t = 12.706, s/√2 = 1
    (2.0, 12.706)
    """
    bounds = xr.apply_ufunc(
        _t_bounds if method == "t" else _bootstrap_bounds,
        values.astype(float),
        kwargs={"level": level},
        input_core_dims=[[dim]],
        output_core_dims=[["bound"]],
        vectorize=True,
    )
    estimate, count = values.mean(dim, skipna=True), values.notnull().sum(dim)
    lower, upper = bounds.isel(bound=0), bounds.isel(bound=1)
    return xr.Dataset({"estimate": estimate, "lower": lower, "upper": upper, "count": count})


def _t_bounds(sample: np.ndarray, level: float) -> np.ndarray:
    finite = sample[np.isfinite(sample)]
    if len(finite) < 2:
        return np.full(2, np.nan)
    reach = stats.t.ppf((1 + level) / 2, len(finite) - 1) * stats.sem(finite)
    return finite.mean() + np.array([-reach, reach])


def _bootstrap_bounds(sample: np.ndarray, level: float) -> np.ndarray:
    finite = sample[np.isfinite(sample)]
    if len(finite) < 2:
        return np.full(2, np.nan)
    if np.ptp(finite) == 0:
        return np.repeat(finite[0], 2)
    found = stats.bootstrap((finite,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", rng=DRAWS)
    return np.array(found.confidence_interval)
