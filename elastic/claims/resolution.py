"""How finely a counted share can be told: in steps of one sample."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
import xarray as xr

from elastic.cube.attributes import bounds_of

#: Samples beyond which a step is taken for none, and how near a share has to be to a whole number of samples.
MOST_SAMPLES, ROUNDING = 100_000, 1e-12


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
