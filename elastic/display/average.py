"""Averages over seeds, as terminal, report, figures, notebook and LaTeX tables show them.

Nonnegative quantities without a natural scale (ratios, distances, variances) span orders of magnitude: their average is
the geometric mean, with the t interval of the mean logarithm. All others (shares of samples, correlations, signed
numbers) have the arithmetic mean with its t interval. `is_positive` decides, by the bounds that the variable declares.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from functools import lru_cache

import numpy as np
import xarray as xr

from elastic.analysis.intervals import interval, log_interval
from elastic.cube.attributes import bounds_of

#: Confidence level of the intervals.
LEVEL = 0.95

#: Lower and upper bound of a variable, if it declares them.
Bounds = tuple[float, float] | None

#: Upper bound of a share of samples, of pairs or of a sum.
WHOLE = 1.0


def is_positive(values: xr.DataArray) -> bool:
    """Return whether a variable is averaged on a logarithmic scale: nonnegative, and not a share.

    Declared bounds decide: a lower bound of 0 and an upper bound above 1. Without bounds the values do: none is
    negative, and at least one is positive.

    Examples
    --------
    >>> def with_bounds(low, high):
    ...     return xr.DataArray([0.1], attrs={"value_bounds": [low, high]})
    >>> is_positive(with_bounds("0.0", "inf")), is_positive(with_bounds("0.0", "4.0"))      # a ratio, a distance
    (True, True)
    >>> is_positive(with_bounds("0.0", "1.0")), is_positive(with_bounds("-1.0", "1.0"))     # a share, a cosine
    (False, False)
    >>> is_positive(xr.DataArray([0.1, 3.0])), is_positive(xr.DataArray([0.1, -1.0]))
    (True, False)
    """
    if bounds := bounds_of(values.attrs):
        low, high = bounds
        return low == 0 and high > WHOLE
    return bool((values > 0).any() and not (values < 0).any())


def average(values: xr.DataArray, *, level: float = LEVEL) -> xr.Dataset:
    """Average a variable of a cube over the seeds, with an interval.

    Parameters
    ----------
    values
        [seed, …] with the variable's attributes. The mean is geometric if `is_positive`, else arithmetic with an
        interval clipped to the declared bounds.
    level
        Confidence level.

    Returns
    -------
    xarray.Dataset
        See `over_seeds`.

    Examples
    --------
    >>> shares = xr.DataArray([0.9, 1.0], dims="seed", attrs={"value_bounds": ["0.0", "1.0"]})
    >>> found = average(shares)                                                             # 0.95 ± 12.7 · 0.05
    >>> float(found.estimate), float(found.lower.round(2)), float(found.upper)
    (0.95, 0.31, 1.0)
    """
    return over_seeds(values, log=is_positive(values), level=level, bounds=bounds_of(values.attrs))


def over_seeds(values: xr.DataArray, *, log: bool = False, level: float = LEVEL, bounds: Bounds = None) -> xr.Dataset:
    r"""Compute mean and t interval over the seeds; with ``log`` the geometric mean and the interval of the log.

    Parameters
    ----------
    values
        [seed, …]; NaN is skipped. With ``log`` values are ≥ 0; a value of 0 makes the mean 0 and the interval NaN.
    log
        Whether to average on a logarithmic scale: exp of mean and interval of log(values).
    level
        Confidence level.
    bounds
        Lower and upper bound of the values; an arithmetic interval is clipped to them.

    Returns
    -------
    xarray.Dataset
        ``estimate``, ``lower``, ``upper`` (NaN below two seeds) and ``count``, the number of seeds.

    Examples
    --------
    >>> found = over_seeds(xr.DataArray([1.0, 4.0], dims="seed"), log=True)
    >>> round(float(found.estimate), 9), bool(found.lower > 0), int(found["count"])         # √(1·4)
    (2.0, True, 2)
    >>> float(over_seeds(xr.DataArray([0.0, 4.0], dims="seed"), log=True).estimate)
    0.0
    """
    kept = {name: along for name, along in values.coords.items() if "seed" not in along.dims}
    array = np.ascontiguousarray(values.values)
    estimates = _over_seeds(array.tobytes(), array.dtype.str, tuple(values.sizes.items()), log, level, bounds)
    return estimates.copy(deep=True).assign_coords(kept)


@lru_cache(maxsize=256)  # a report draws each figure twice, at two widths
def _over_seeds(
    data: bytes, dtype: str, sizes: tuple[tuple[Hashable, int], ...], log: bool, level: float, bounds: Bounds
) -> xr.Dataset:
    """Compute the averages on NumPy arrays: xarray aligns labels at every step, which costs more time than this."""
    values = xr.DataArray(
        np.frombuffer(data, dtype).reshape([size for _, size in sizes]), dims=[dim for dim, _ in sizes]
    )
    if not log:
        estimates = interval(values, level=level)
        return estimates.assign({end: estimates[end].clip(*(bounds or (None, None))) for end in ("lower", "upper")})
    values = values.where(np.isfinite(values))
    estimates, is_zero = log_interval(values, level=level), (values == 0).any("seed")
    ends = {end: estimates[end].where(~is_zero) for end in ("lower", "upper")}
    mean = {"estimate": estimates["estimate"].where(~is_zero, 0.0), "count": values.notnull().sum("seed")}
    return estimates.assign(ends | mean)


def seeds_in_words(counts: Collection[int] | np.ndarray) -> str:
    """Describe the number of seeds; it varies if runs are missing or diverged.

    >>> seeds_in_words([3, 3]), seeds_in_words([2, 3, 0]), seeds_in_words([1])
    ('3 seeds', '2 to 3 seeds', 'one seed')
    """
    counted = np.unique(np.asarray(counts))  # of millions of values, too
    there = [int(count) for count in counted if count > 0] or [0]
    if there == [1]:
        return "one seed"
    return f"{there[0]} seeds" if len(there) == 1 else f"{there[0]} to {there[-1]} seeds"


def average_words(counts: Collection[int] | np.ndarray, *, log: bool | None) -> str:
    """Describe averages for the caption of a table or figure: which mean, over how many seeds.

    Parameters
    ----------
    counts
        Number of seeds of each value.
    log
        Whether they are geometric means; None if some of them are.

    >>> average_words([3], log=True), average_words([2, 3], log=False), average_words([1], log=True)
    ('geometric mean over 3 seeds', 'mean over 2 to 3 seeds', 'one seed')
    """
    seeds = seeds_in_words(counts)
    if seeds == "one seed":
        return seeds
    kind = "mean (geometric for positive quantities)" if log is None else "geometric mean" if log else "mean"
    return f"{kind} over {seeds}"
