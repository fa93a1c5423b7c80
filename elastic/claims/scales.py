"""Scales on which effects are close to normal over seeds: logarithms, logits, Fisher's z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.logarithm import log as log  # where claims of users import it
from elastic.cube.attributes import bounds_of

#: Correlations closer to ±1 differ only by rounding: Fisher's z is limited there, to 14.2.
NEAREST = 1 - 1e-12


def is_ratio(values: xr.DataArray) -> bool:
    """Return whether a variable is nonnegative and unbounded above, according to its attributes.

    Such values (nc1, locality, a norm) vary by factors from seed to seed: their logarithms are closer to normal.

    >>> is_ratio(xr.DataArray(1.0, attrs={"value_bounds": ["0.0", "inf"]})), is_ratio(xr.DataArray(1.0))
    (True, False)
    """
    low, high = bounds_of(values.attrs) or (-np.inf, np.inf)
    return low >= 0 and high == np.inf


def is_bounded(values: xr.DataArray) -> bool:
    """Return whether a variable has a least and a greatest value, according to its attributes.

    >>> is_bounded(xr.DataArray(1.0, attrs={"value_bounds": ["0.0", "4.0"]})), is_bounded(xr.DataArray(1.0))
    (True, False)
    """
    low, high = bounds_of(values.attrs) or (-np.inf, np.inf)
    return bool(np.isfinite(low) and np.isfinite(high))


@dataclass(frozen=True)
class Logit:
    """The scale log((v − low)/(high − v)) of a bounded variable; near a bound it is that of the logarithm.

    Attributes
    ----------
    low, high
        Bounds of the variable.
    nearest
        Least distance from a bound, as a share of high − low; closer values are moved to it: half a sample of a share.

    Examples
    --------
    >>> scale = Logit(0.0, 4.0)
    >>> round(scale.level(3.0), 4), round(scale.shown(scale.level(3.0)), 6), scale.level(4.0)        # log 3
    (1.0986, 3.0, inf)
    """

    low: float
    high: float
    nearest: float = 1e-12

    @classmethod
    def of(cls, values: xr.DataArray, step: float = 0.0) -> Logit:
        """Return the scale of a variable with bounds, of which shares have steps."""
        low, high = bounds_of(values.attrs) or (0.0, 1.0)
        return cls(float(low), float(high), max(step / 2, cls.nearest))

    def effect(self, values: xr.DataArray) -> xr.DataArray:
        """Return values on the scale."""
        share = ((values - self.low) / (self.high - self.low)).clip(self.nearest, 1 - self.nearest)
        logits: xr.DataArray = xr.apply_ufunc(scipy.special.logit, share)
        return logits

    def level(self, value: float) -> float:
        """Return a level on the scale, infinite at a bound and beyond."""
        share = (value - self.low) / (self.high - self.low)
        return float(scipy.special.logit(min(max(share, 0.0), 1.0)))

    def shown(self, value: float) -> float:
        """Convert a number on the scale to the units of the variable."""
        return self.low + (self.high - self.low) * float(scipy.special.expit(value))

    def resolution(self, values: xr.DataArray, step: float) -> xr.DataArray:
        """Return one step about the mean over seeds, on the scale."""
        typical = xr.apply_ufunc(scipy.special.expit, self.effect(values).mean("seed"))
        scaled: xr.DataArray = step / (typical * (1 - typical))
        return scaled


def fisher_z(correlation: xr.DataArray) -> xr.DataArray:
    """Return Fisher's z = artanh(r).

    >>> round(float(fisher_z(xr.DataArray(0.5))), 4), round(float(fisher_z(xr.DataArray(1.0))), 1)
    (0.5493, 14.2)
    """
    z: xr.DataArray = xr.apply_ufunc(np.arctanh, correlation.clip(-NEAREST, NEAREST))
    return z
