"""The evidence for a claim, seed by seed, and what its mean estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr


def _identity(value: float) -> float:
    return value


@dataclass(frozen=True)
class Evidence:
    """Evidence for a claim in a cube, by seed.

    Attributes
    ----------
    effect
        [*settings, seed]: one number per seed in each setting, NaN if it cannot be computed (a run that diverged).
        On a scale on which its distribution over seeds is close to symmetric (a log ratio, Fisher's z, …): the
        verdict uses a t interval of its mean.
    region
        Values of the mean effect that support the claim, an open interval: (t, inf), (-inf, t) or (a, b).
    quantity
        Description of the shown numbers, with their units: "factor by which nc1 falls per layer".
    shown
        Monotone map from the scale of the effect to the shown one.
    resolution
        Smallest difference between two seeds that the effect can resolve, one number or one per setting; 0 if it is
        continuous. The standard deviation over seeds is at least this large in the interval.
    estimates
        The estimated quantity, if it does not follow from ``shown``.
    """

    effect: xr.DataArray
    region: tuple[float, float]
    quantity: str
    shown: Callable[[float], float] = _identity
    resolution: float | xr.DataArray = 0.0
    estimates: str = ""

    @property
    def estimand(self) -> str:
        """The estimated quantity: ``estimates``, or the one of the scale on which means are taken."""
        return self.estimates or ESTIMANDS.get(self.shown, "typical seed (mean over seeds on the scale of the effect)")


#: Quantity that the mean effect estimates, by the map to the shown scale.
ESTIMANDS: dict[Callable[[float], float], str] = {
    _identity: "mean over seeds",
    math.exp: "typical seed (geometric mean over seeds)",
    math.tanh: "typical seed (mean over seeds on the scale of Fisher's z)",
}
