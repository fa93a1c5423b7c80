"""Comparison of two sets of runs: of two studies, or at two values of an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.intervals import ROUNDING, interval, quantile, variance
from elastic.analysis.locality import matched
from elastic.analysis.persistence import along


def difference(
    first: xr.DataArray, second: xr.DataArray, *, paired: bool = True, level: float = 0.95, dim: str = "seed"
) -> xr.Dataset:
    r"""Compute the difference of two sets of runs, with an interval over the seeds and an effect size.

    Paired: the t interval of the differences between runs with the same seed. Unpaired: Welch's interval, which allows
    different variances.

    The effect size is Hedges' g, the difference of means in standard deviations: $g = J(n_1 + n_2 - 2)\,(m_1 - m_2)/s$
    with $J(f) = \Gamma(f/2) / (\sqrt{f/2}\,\Gamma((f-1)/2))$, which corrects the bias of few runs
    (hedges1981distribution). Unpaired s is the pooled standard deviation; paired it is $\sqrt{(s_1^2 + s_2^2)/2}$
    (g_av of lakens2013calculating), so that the effect size does not grow with the correlation of the pairs.

    For quantities that vary by orders of magnitude, such as nc1, compare their logs: the difference is a log ratio.

    Parameters
    ----------
    first, second
        [dim, …] each, matched by label; along ``dim`` only if paired. NaN is skipped; if paired, together with the
        other value of the pair.

    Returns
    -------
    xarray.Dataset
        ``difference`` of means, ``lower``, ``upper`` (NaN below two runs), ``effect_size`` (also NaN if both standard
        deviations are 0) and ``count``, the number of pairs, or of runs of the smaller set.

    Raises
    ------
    OptionError
        If one of the two lacks ``dim``.
    NotMeasured
        If they have no seed, or no label of another dim, in common.

    Examples
    --------
    Differences 4 and 2, s₁² = 0 and s₂² = 2, so that s = 1 and g = J(2)·3 with J(2) = 1/√π = 0.5642:

    >>> found = difference(xr.DataArray([5.0, 5.0], dims="seed"), xr.DataArray([1.0, 3.0], dims="seed"))
    >>> float(found.difference), round(float(found.effect_size), 3), int(found["count"])
    (3.0, 1.693, 2)
    """
    first, second = along(first, dim), along(second, dim)
    if not paired:
        return _unpaired(first, second, level, dim)
    first, second = matched(first, second)
    both = first.notnull() & second.notnull()
    first, second = first.where(both), second.where(both)
    estimates = interval(first - second, dim, level=level).rename(estimate="difference")
    spread = ((variance(first, dim) + variance(second, dim)) / 2) ** 0.5
    return estimates.assign(effect_size=_hedges(estimates["difference"], spread, 2 * estimates["count"] - 2))


def _unpaired(first: xr.DataArray, second: xr.DataArray, level: float, dim: str) -> xr.Dataset:
    other = f"other_{dim}"
    first, second = matched(first, second.rename({dim: other}))
    n1, n2 = first.notnull().sum(dim), second.notnull().sum(other)
    v1, v2 = variance(first, dim), variance(second, other)
    apart, freedom = first.mean(dim) - second.mean(other), n1 + n2 - 2
    reach = _welch_reach(v1 / n1, v2 / n2, n1 - 1, n2 - 1, level)
    pooled = ((n1 - 1) * v1 + (n2 - 1) * v2) / freedom.where(freedom > 0)
    return xr.Dataset(
        {
            "difference": apart,
            "lower": apart - reach,
            "upper": apart + reach,
            "count": np.minimum(n1, n2),
            "effect_size": _hedges(apart, pooled**0.5, freedom),
        }
    )


def _welch_reach(v1: xr.DataArray, v2: xr.DataArray, f1: xr.DataArray, f2: xr.DataArray, level: float) -> xr.DataArray:
    """Return half the width of Welch's interval, with Satterthwaite's degrees of freedom."""
    both = v1 + v2
    freedom = 1 / ((v1 / both) ** 2 / f1 + (v2 / both) ** 2 / f2)
    reach = quantile(freedom, level) * both**0.5
    # If both variances are 0, the width is 0 for any number of degrees of freedom.
    return reach.where(both != 0, 0)


def _hedges(apart: xr.DataArray, spread: xr.DataArray, freedom: xr.DataArray) -> xr.DataArray:
    unbiased: xr.DataArray = xr.apply_ufunc(_unbiasing, freedom.where(freedom > 1).astype(float))
    return unbiased * apart / spread.where(spread > ROUNDING * abs(apart))


def _unbiasing(f: np.ndarray) -> Any:
    return np.exp(scipy.special.gammaln(f / 2) - scipy.special.gammaln((f - 1) / 2)) / np.sqrt(f / 2)
