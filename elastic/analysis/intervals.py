"""Intervals over seeds."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.logarithm import log
from elastic.analysis.persistence import along
from elastic.errors import OptionError

Method = Literal["t", "bootstrap"]

#: Number of bootstrap resamples, and a fixed seed, so that intervals are reproducible.
RESAMPLES, DRAWS = 9999, 0

#: Relative difference up to which values count as equal up to rounding.
ROUNDING = 1e-12


def interval(values: xr.DataArray, dim: str = "seed", *, level: float = 0.95, method: Method = "t") -> xr.Dataset:
    r"""Compute mean and confidence interval along a dim, usually the seeds.

    With mean m and sample standard deviation s of n finite values, method "t" gives
    m ± t_{n−1, (1+level)/2} · s/√n, exact for normal values at every n ≥ 2; "bootstrap" gives the bias-corrected and
    accelerated interval of `scipy.stats.bootstrap`, which needs no normality but is too narrow below ten or so
    values.

    Parameters
    ----------
    values
        [dim, …]; non-finite values are skipped.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    xarray.Dataset
        ``estimate``, ``lower``, ``upper`` (NaN below two values) and ``count``, all without ``dim``.

    Raises
    ------
    OptionError
        If the level or the method is invalid, or the values lack ``dim``.

    Examples
    --------
    >>> found = interval(xr.DataArray([1.0, 3.0], dims="seed"))
    >>> float(found.estimate), round(float(found.upper - found.estimate), 3)     # t = 12.706, s/√2 = 1
    (2.0, 12.706)
    """
    if method not in ("t", "bootstrap"):
        raise OptionError("`method`", "be 't' or 'bootstrap'", repr(method), "method='t'")
    if not 0 < level < 1:
        raise OptionError("`level`", "be between 0 and 1", repr(level), "level=0.95")
    values = along(values, dim)
    values = values.where(abs(values) < np.inf)
    estimate, count = values.mean(dim), values.notnull().sum(dim)
    varied = values.max(dim) - values.min(dim) > ROUNDING * abs(values).max(dim)
    if method == "t":
        reach = (quantile(count - 1, level) * variance(values, dim) ** 0.5 / count**0.5).where(varied, 0)
        lower, upper = estimate - reach, estimate + reach
    else:
        lower, upper = (bound.where(varied, estimate) for bound in _bootstrap(values.where(varied), dim, level))
    enough = count > 1
    bounds = {"lower": lower.where(enough), "upper": upper.where(enough)}
    return xr.Dataset({"estimate": estimate, **bounds, "count": count})


def log_interval(values: xr.DataArray, dim: str = "seed", *, level: float = 0.95) -> xr.Dataset:
    r"""Compute the geometric mean with a nonnegative interval, exp(interval(log v)).

    Parameters
    ----------
    values
        [dim, …]; nonpositive values are skipped.
    level
        Confidence level.

    Returns
    -------
    xarray.Dataset
        See `interval`.

    Examples
    --------
    >>> float(log_interval(xr.DataArray([1.0, 100.0], dims="seed")).estimate.round(9))      # √(1 · 100)
    10.0
    """
    estimates = interval(log(values), dim, level=level)
    return estimates.assign({name: np.exp(estimates[name]) for name in ("estimate", "lower", "upper")})


def variance(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Compute the sample variance Σ(v − m)²/(n − 1) of the n values along a dim; NaN for fewer than two.

    Same as ``values.var(dim, ddof=1)``, which warns for a single value before xarray 2026.9.

    >>> float(variance(xr.DataArray([1.0, 3.0, np.nan], dims="seed"), "seed"))      # 1² + 1²
    2.0
    """
    count = values.notnull().sum(dim)
    estimate: xr.DataArray = ((values - values.mean(dim)) ** 2).sum(dim) / (count - 1).where(count > 1)
    return estimate


def correlation(first: xr.DataArray, second: xr.DataArray, dim: str) -> xr.DataArray:
    """Compute Pearson's correlation of all complete pairs along a dim; NaN for constant values.

    Same as ``xr.corr``, which warns without any pair before xarray 2026.9.

    >>> first = xr.DataArray([1.0, 2.0, 3.0, np.nan], dims="layer")
    >>> float(correlation(first, -2 * first, "layer").round(12))
    -1.0
    """
    both = first.notnull() & second.notnull()
    first, second = first.where(both), second.where(both)
    a, b = first - first.mean(dim), second - second.mean(dim)
    coefficient: xr.DataArray = (a * b).sum(dim) / ((a**2).sum(dim) * (b**2).sum(dim)) ** 0.5
    return coefficient


def quantile(freedom: xr.DataArray, level: float) -> xr.DataArray:
    """Return the quantile of Student's t for two-sided intervals; NaN below one degree of freedom.

    >>> round(float(quantile(xr.DataArray(1), 0.95)), 3)
    12.706
    """
    reach: xr.DataArray = xr.apply_ufunc(
        scipy.special.stdtrit, freedom.where(freedom > 0).astype(float), (1 + level) / 2
    )
    return reach


def spreads(sample: np.ndarray) -> bool:
    """Return whether values differ by more than rounding errors.

    >>> spreads(np.array([0.3, 0.1 + 0.2])), spreads(np.array([0.1, 0.2]))
    (False, True)
    """
    return bool(np.ptp(sample) > ROUNDING * np.abs(sample).max())


def _bootstrap(values: xr.DataArray, dim: str, level: float) -> tuple[xr.DataArray, xr.DataArray]:
    lower, upper = xr.apply_ufunc(
        _bootstrap_bounds,
        values,
        kwargs={"level": level},
        input_core_dims=[[dim]],
        output_core_dims=[[], []],
        vectorize=True,
    )
    return lower, upper


def _bootstrap_bounds(sample: np.ndarray, level: float) -> tuple[float, float]:
    # Resampling is by position: sort, so that the interval does not depend on the order of the runs.
    sample = np.sort(sample[~np.isnan(sample)])
    if len(sample) < 2:
        return np.nan, np.nan
    bootstrapped = scipy.stats.bootstrap(  # type: ignore[attr-defined]
        (sample,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", rng=DRAWS
    )
    return bootstrapped.confidence_interval.low, bootstrapped.confidence_interval.high
