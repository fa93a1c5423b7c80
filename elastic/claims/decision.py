"""The verdict on evidence: the position of the interval of the mean effect over seeds.

A claim is supported if the whole 95 % interval is in its region, and refuted if the whole interval is outside. If
the true mean is at the edge of the region, each happens in 2.5 % of studies, provided that effects are normal over
seeds. Three seeds allow nothing better: a rule without an assumption about the distribution needs six seeds for such an
error rate (six fair coins all show heads in 1 of 64 tries). A claim therefore puts its effect on a scale where a normal
distribution is plausible.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import lcm

import numpy as np
import numpy.typing as npt
import scipy
import xarray as xr

from elastic.analysis.intervals import interval, variance
from elastic.claims.contract import Evidence
from elastic.cube.attributes import bounds_of

Array = npt.NDArray[np.float64]

LEVEL = 0.95

SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"

#: Most samples for which a step is searched, and largest distance of a share from a whole number of samples.
MOST_SAMPLES, ROUNDING = 100_000, 1e-12


def judge(evidence: Evidence, *, tests: int | None = None, level: float = LEVEL) -> xr.Dataset:
    r"""Return each setting's mean effect over the seeds, its interval and the verdict.

    With mean m, standard deviation s (not below the effect's resolution) and number n of the finite effects, the
    interval is m ± t_{n−1, (1+level)/2} · s/√n.

    Parameters
    ----------
    evidence
        Effects that are not finite are left out.
    tests
        Number of settings judged together, by default all of the effect. One refuted setting refutes the claim,
        and among many settings one may be outside by chance: refuting one needs an interval of level
        1 − (1 − level) / tests (Bonferroni). Support, which needs all of them, needs no correction.

    Returns
    -------
    xarray.Dataset
        ``estimate``, ``lower``, ``upper`` (NaN below two seeds), ``count`` and ``verdict``, along the settings.

    Examples
    --------
    >>> effect = xr.DataArray([[1.0, 3.0, 2.0], [9.0, 9.1, 9.2]], dims=("setting", "seed"))
    >>> judge(Evidence(effect, (0.0, float("inf")), "")).verdict.values.tolist()   # 2 ± 2.48, 9.1 ± 0.25
    ['inconclusive', 'supported']
    """
    effect = evidence.effect.astype(float)
    effect = effect.where(np.isfinite(effect))
    tests = tests or max(1, effect.isel(seed=0).size)
    count, estimate = effect.notnull().sum("seed"), effect.mean("seed")
    spread = (variance(effect, "seed") ** 0.5).clip(min=evidence.resolution)
    reach = xr.apply_ufunc(np.vectorize(_reach, otypes=[float]), count, level) * spread
    strict = xr.apply_ufunc(np.vectorize(_reach, otypes=[float]), count, 1 - (1 - level) / tests) * spread
    least, greatest = evidence.region
    inside = (estimate - reach > least) & (estimate + reach < greatest)
    outside = (estimate + strict <= least) | (estimate - strict >= greatest)
    verdict = xr.full_like(count, INCONCLUSIVE, dtype=object)
    verdict = verdict.where(~inside, SUPPORTED).where(~outside, REFUTED)
    return xr.Dataset(
        {
            "estimate": estimate,
            "lower": estimate - reach,
            "upper": estimate + reach,
            "count": count,
            "verdict": verdict,
        }
    )


def p_value(evidence: Evidence, *, tests: int | None = None) -> float | None:
    """Return the smallest 1 − level at which `judge` has a verdict in all settings together; None below two seeds.

    Examples
    --------
    Two seeds with mean 2 and standard error 1, t = 2 with one degree of freedom:

    >>> effect = xr.DataArray([1.0, 3.0], dims="seed")
    >>> round(p_value(Evidence(effect, (0.0, float("inf")), "")), 4)
    0.2952
    """
    effect = evidence.effect.astype(float)
    effect = effect.where(np.isfinite(effect))
    tests = tests or max(1, effect.isel(seed=0).size)
    count, estimate = effect.notnull().sum("seed"), effect.mean("seed")
    error = (variance(effect, "seed") ** 0.5).clip(min=evidence.resolution) / count.where(count > 1) ** 0.5
    least, greatest = evidence.region
    above, below = (_two_sided(away, error, count) for away in (estimate - least, greatest - estimate))
    inside, outside = np.maximum(above[0], below[0]), np.minimum(above[1], below[1])
    if not outside.size or not (count > 1).any():
        return None
    return float(min(np.nan_to_num(inside, nan=1.0).max(), np.nanmin(outside) * tests, 1.0))


def _two_sided(away: xr.DataArray, error: xr.DataArray, count: xr.DataArray) -> tuple[Array, Array]:
    """Return the p-values at which a mean is beyond an edge, and short of it, given its distance from the edge."""
    distance, freedom = away.values.astype(float), (count - 1).values.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error.values == 0, np.where(distance > 0, np.inf, -np.inf), distance / error.values)
        beyond = 2 * scipy.special.stdtr(freedom, -t)
        short = 2 * scipy.special.stdtr(freedom, t)
    known = freedom > 0
    return np.where(known, beyond, np.nan), np.where(known, short, np.nan)


@cache
def _reach(count: int, level: float) -> float:
    """Return half the width of the interval for values with standard deviation 1.

    >>> round(_reach(2, 0.95), 3), round(_reach(3, 0.95), 3)    # 12.706/√2, 4.303/√3
    (8.985, 2.484)
    """
    if count < 2:
        return float("nan")
    values = np.arange(count, dtype=float)
    found = interval(xr.DataArray(values / values.std(ddof=1), dims="seed"), level=level)
    return float(found["upper"] - found["estimate"])


def step_of(values: xr.DataArray) -> float:
    """Return the step 1/N between shares k/N, for the smallest N that fits all of them; 0 for other values.

    Three seeds that classify all of 20 samples correctly may agree by chance: at an accuracy of 95 %, each does so in
    36 of 100 tries. Their mean is not known more precisely than to one step.

    Parameters
    ----------
    values
        All values measured on the same samples; more of them make N more certain. They are shares if their attributes
        declare the bounds 0 and 1.

    Examples
    --------
    >>> step_of(xr.DataArray([0.5, 0.75, 1.0], attrs={"value_bounds": ["0.0", "1.0"]}))
    0.25
    >>> step_of(xr.DataArray([0.5, 0.75, 1.0]))
    0.0
    """
    if bounds_of(values.attrs) != (0, 1):
        return 0.0
    shares = np.unique(values.values[np.isfinite(values.values)])
    counted = [Fraction(float(share)).limit_denominator(MOST_SAMPLES) for share in shares]
    samples = lcm(*(share.denominator for share in counted)) if counted else 0
    near = all(abs(float(found) - share) < ROUNDING for found, share in zip(counted, shares, strict=True))
    return 1 / samples if near and 0 < samples <= MOST_SAMPLES else 0.0
