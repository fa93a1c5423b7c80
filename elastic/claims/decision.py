"""From evidence to a verdict: where the interval of the mean effect over seeds lies.

Supported is what lies in the claim's region with its whole 95 % interval, refuted what lies outside with all of it.
At the region's edge either happens by chance in 2.5 % of studies if the effects are normal over seeds. With three seeds
nothing better can be had: a rule without any assumption on their distribution needs six of them to err so seldom (six
fair coins fall heads up in 1 of 64 tries). Therefore a claim puts its effect on a scale where normal is plausible.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import lcm

import numpy as np
import xarray as xr

from elastic.analysis.intervals import interval, variance
from elastic.claims.contract import Evidence
from elastic.cube.attributes import bounds_of

LEVEL = 0.95

SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"

#: Samples beyond which a step is taken for none, and how near a share has to be to a whole number of samples.
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
        How many settings are judged together; all that the effect has by default. One refuted setting refutes the
        claim, and among many settings one is outside by chance: it has to be so at the level 1 − (1 − level) / tests
        (Bonferroni). What holds in all of them needs no such correction.

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
    spread = np.maximum(variance(effect, "seed") ** 0.5, evidence.resolution)
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


@cache
def _reach(count: int, level: float) -> float:
    """Return half the width of the interval of values whose standard deviation is 1.

    >>> round(_reach(2, 0.95), 3), round(_reach(3, 0.95), 3)    # 12.706/√2, 4.303/√3
    (8.985, 2.484)
    """
    if count < 2:
        return float("nan")
    values = np.arange(count, dtype=float)
    found = interval(xr.DataArray(values / values.std(ddof=1), dims="seed"), level=level)
    return float(found["upper"] - found["estimate"])


def step_of(values: xr.DataArray) -> float:
    """Return the step between shares k/N of the least N that they all fit; 0 for what is no share.

    Three seeds that all classify every one of 20 samples agree by chance: each is right 95 times in 100 anyway.
    Their mean is not known better than to the step.

    Parameters
    ----------
    values
        All that were measured on the same samples, the more the better; a share by its declared bounds, 0 and 1.

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
