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
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
import xarray as xr

from elastic.analysis.intervals import interval
from elastic.claims.evidence import Evidence
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
    values = _judged(evidence, tests, level)
    effect = evidence.effect
    dims = [dim for dim in effect.dims if dim != "seed"]
    labels = {name: one for name, one in effect.coords.items() if "seed" not in one.dims}
    return xr.Dataset({name: (dims, one) for name, one in values.items()}, labels)


def decide(evidence: Evidence, *, level: float = LEVEL) -> npt.NDArray[np.object_]:
    """Return the verdict of `judge` at each setting, without labels: a claim is judged again without each seed.

    >>> effect = xr.DataArray([[1.0, 3.0, 2.0], [9.0, 9.1, 9.2]], dims=("setting", "seed"))
    >>> decide(Evidence(effect, (0.0, float("inf")), "")).tolist()
    ['inconclusive', 'supported']
    """
    return _judged(evidence, None, level)["verdict"]


def _judged(evidence: Evidence, tests: int | None, level: float) -> dict[str, npt.NDArray[Any]]:
    """Return the variables of `judge` without labels, which at each step would take most of the time."""
    count, estimate, deviation = _moments(evidence.effect)
    tests = tests or max(1, count.size)
    spread = np.maximum(deviation, _resolution(evidence))
    reach, strict = (_reaches(count, one) * spread for one in (level, 1 - (1 - level) / tests))
    least, greatest = evidence.region
    inside = (estimate - reach > least) & (estimate + reach < greatest)
    outside = (estimate + strict <= least) | (estimate - strict >= greatest)
    verdict = np.where(outside, REFUTED, np.where(inside, SUPPORTED, INCONCLUSIVE)).astype(object)
    return {
        "estimate": estimate,
        "lower": estimate - reach,
        "upper": estimate + reach,
        "count": count,
        "verdict": verdict,
    }


def _moments(effect: xr.DataArray) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """Return the number of finite effects over the seeds, their mean and their standard deviation (NaN below two).

    >>> [one.tolist() for one in _moments(xr.DataArray([1.0, 3.0, np.inf], dims="seed"))]
    [2, 2.0, 1.4142135623730951]
    """
    values, axis = effect.values.astype(float), effect.get_axis_num("seed")
    known = np.isfinite(values)
    count = known.sum(axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, values, 0).sum(axis) / count
        squares = np.where(known, values - np.expand_dims(mean, axis), 0) ** 2
        deviation = np.sqrt(squares.sum(axis) / np.where(count > 1, count - 1, np.nan))
    return count, mean, deviation


def _resolution(evidence: Evidence) -> float | Array:
    """Return the resolution of the effect at each setting, in the order of the effect's dims."""
    if not isinstance(evidence.resolution, xr.DataArray):
        return evidence.resolution
    settings = evidence.effect.isel(seed=0, drop=True)
    by_setting: Array = evidence.resolution.broadcast_like(settings).transpose(*settings.dims).values
    return by_setting


def _reaches(count: npt.NDArray[np.int64], level: float) -> Array:
    """Return `_reach` of each count."""
    return np.array([_reach(int(one), level) for one in count.ravel()]).reshape(count.shape)


def p_value(evidence: Evidence, *, tests: int | None = None) -> float | None:
    """Return the smallest 1 − level at which `judge` has a verdict in all settings together; None below two seeds.

    Examples
    --------
    Two seeds with mean 2 and standard error 1, t = 2 with one degree of freedom:

    >>> effect = xr.DataArray([1.0, 3.0], dims="seed")
    >>> round(p_value(Evidence(effect, (0.0, float("inf")), "")), 4)
    0.2952
    """
    count, estimate, deviation = _moments(evidence.effect)
    tests = tests or max(1, count.size)
    error = np.maximum(deviation, _resolution(evidence)) / np.sqrt(np.where(count > 1, count, np.nan))
    least, greatest = evidence.region
    above, below = (_two_sided(away, error, count) for away in (estimate - least, greatest - estimate))
    inside, outside = np.maximum(above[0], below[0]), np.minimum(above[1], below[1])
    if not outside.size or not (count > 1).any():
        return None
    return float(min(np.nan_to_num(inside, nan=1.0).max(), np.nanmin(outside) * tests, 1.0))


def _two_sided(away: Array, error: Array, count: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Return the p-values at which a mean is beyond an edge, and short of it, given its distance from the edge."""
    freedom = (count - 1).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error == 0, np.where(away > 0, np.inf, -np.inf), away / error)
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
    bounds = interval(xr.DataArray(values / values.std(ddof=1), dims="seed"), level=level)
    return float(bounds["upper"] - bounds["estimate"])


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
    near = all(abs(float(count) - share) < ROUNDING for count, share in zip(counted, shares, strict=True))
    return 1 / samples if near and 0 < samples <= MOST_SAMPLES else 0.0
