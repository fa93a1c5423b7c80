"""The claim that one variable makes its change before another one does, by a stated definition of onset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from elastic.analysis.falls import left_open, middle_of_change, time_above_zero
from elastic.analysis.locality import matched
from elastic.analysis.logarithm import log
from elastic.analysis.reading import select
from elastic.claims.contract import Epoch, Evidence, Layer, Selection, Source, Split, Variable, Where, claim
from elastic.claims.scales import is_ratio
from elastic.claims.selection import ended
from elastic.errors import NotMeasured, OptionError

#: Fewest common probes: with fewer, a time has one value only, whatever the curve.
LEAST_PROBES = 3

#: Smallest positive float.
TINY = float(np.finfo(float).tiny)

Onset = Annotated[
    Literal["middle", "fraction", "level"],
    Field(
        description="Onset of a change: the middle of all of it; where a fraction of it is made; where a level of the "
        "variable's own is passed."
    ),
]
Way = Annotated[
    Literal["any", "falls", "rises"],
    Field(description="Which way the curve goes; a seed in which it goes the other way is left out."),
]
Level = Annotated[float | None, Field(description="Value that the curve passes, with onset: level.")]


@claim(
    source="tirer2022extended",
    sentence="The onset ({onset}) of {variable} comes before that of {other}, by a factor above {min_factor:g} of "
    "epochs{in_layer} ({split}{since_epoch}){where}",
    own="The three definitions of onset, and their scale of log(1 + epoch).",
)
def precedes(
    selection: Selection,
    *,
    variable: Variable,
    other: Variable,
    onset: Onset = "middle",
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    level: Level = None,
    other_level: Level = None,
    way: Way = "any",
    other_way: Way = "any",
    min_change: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    min_factor: Annotated[float, Field(gt=0)] = 1.0,
    since: Epoch = 0,
    split: Split = "train",
    layer: Layer = None,
    other_layer: Layer = None,
    where: Where = None,
    source: Source = "tirer2022extended",
) -> Evidence:
    """A variable makes its change before another one does, in each layer.

    Effect: log of the onset of the other over that of the first, both as 1 + epoch in the same seed and layer, and at
    the epochs at which both are probed. Curves are taken as logarithms if the variable is nonnegative and unbounded
    above (nc1, locality), else as they are (accuracies, cosines). Let τ = log(1 + epoch), and s(τ) the share of a
    curve's change from its first to its last value that is still to come.

    ``onset: middle`` is exp(τ₀ + ∫ s dτ), the geometric mean of 1 + epoch over the change. It is linear in the curve
    except at its ends, so that noise does not shift it. It compares paces.

    ``onset: fraction`` is exp(τ₀ + ∫ [s > 1 − f] dτ), for a monotone curve 1 + the epoch at which the share f of its
    change is made. A small f compares when changes begin.

    ``onset: level`` is the same with the time that the curve is on the side of the level on which it begins. A curve
    that never passes its level has its onset at the end of training, the latest time that the study can show; a seed in
    which neither passes has no order and is left out.

    The three can disagree on one network, and an order is no cause: a third thing, as a step of the learning rate, may
    move both. Where curves change between two probes, their onsets are known no better than the gap: the standard
    deviation over seeds is not taken to be smaller (`elastic.analysis.falls.left_open`).

    Parameters
    ----------
    variable
        Variable whose onset comes first.
    other
        Variable whose onset comes later; one without layers, as the accuracy, is compared with every layer of the
        first.
    fraction
        Share of the change that is made at the onset, with ``onset: fraction``.
    level
        Value that the first variable passes, with ``onset: level``.
    other_level
        Value that the other variable passes, with ``onset: level``.
    way
        Which way the first variable goes in training.
    other_way
        Which way the other variable goes in training.
    min_change
        Least change for a curve to have a middle or a fraction: |v_T − v_0| over the larger of |v_0| and |v_T|. 0.5
        is a factor of 2. A seed in which one of the two changes less is left out.
    min_factor
        Bound of the geometric mean of the factor between the onsets; 1 claims only the order.
    since
        Probed epoch from which on both curves are taken: of a curve that turns, the change after its turn. The epochs
        of onsets are still counted from the beginning of training.
    other_layer
        Layer of the other variable; null: the same.

    Raises
    ------
    NotMeasured
        If a variable was not measured, or both at fewer than three common epochs.
    OptionError
        If there is no such variable, layer or setting, or a level is missing or not on the variable's scale.
    """
    if onset == "level" and (level is None or other_level is None):
        missing = "level" if level is None else "other_level"
        raise OptionError(f"`{missing}`", "be given with `onset: level`", "null", f"{missing}: 0.1")
    curves = (selection.read(variable), selection.read(other, layer=other_layer))
    first, second = matched(*(_since(ended(curve), since) for curve in curves))
    if first.sizes["epoch"] < LEAST_PROBES:
        expected, found = f"have at least {LEAST_PROBES} epochs at which both are probed", f"{first.sizes['epoch']}"
        raise NotMeasured("the study", expected, found, "more epochs under `probes.at`")
    sides = (_Side(first, way, level, "level"), _Side(second, other_way, other_level, "other_level"))
    if onset == "level":
        passes = sides[0].passes() | sides[1].passes()
        times = [side.at_level().where(passes) for side in sides]
    else:
        times = [side.at_share(None if onset == "middle" else fraction, min_change) for side in sides]
    later = log(times[1]) - log(times[0])
    named = {"middle": "the middle of the change of", "fraction": f"{fraction:.0%} of the change of", "level": ""}[
        onset
    ]
    quantity = f"factor of epochs by which {named} {other} comes after that of {variable}".replace("  ", " ")
    unknown = _resolution([side.left() for side in sides], later)
    return Evidence(later, (math.log(min_factor), math.inf), quantity, math.exp, unknown)


@dataclass(frozen=True)
class _Side:
    """One of the two curves [epoch, …], with its description."""

    values: xr.DataArray
    way: str
    level: float | None
    option: str

    def curve(self) -> xr.DataArray:
        """Return the logarithms of a ratio; exact collapse, 0, has none and is replaced by the smallest float."""
        return log(self.values.clip(min=TINY)) if is_ratio(self.values) else self.values

    def left(self) -> xr.DataArray:
        """Return the share of the change that is still to come; NaN without a change, or in the other direction."""
        curve = self.curve()
        first, last = _ends(curve)
        change = first - last
        expected = {"falls": change > 0, "rises": change < 0, "any": change != 0}[self.way]
        return (curve - last) / change.where(expected)

    def at_share(self, fraction: float | None, min_change: float) -> xr.DataArray:
        """Return 1 + the epoch at which a fraction of the change is made; None: its middle."""
        first, last = _ends(self.values)
        large = abs(last - first) >= min_change * np.maximum(abs(first), abs(last))
        left = self.left().where(large)
        return middle_of_change(left) if fraction is None else time_above_zero(left - (1 - fraction))

    def at_level(self) -> xr.DataArray:
        """Return 1 + the epoch at which the level is passed; the end of training if it is not."""
        return time_above_zero(self._before())

    def passes(self) -> xr.DataArray:
        """Return whether the curve is on both sides of the level."""
        before = self._before()
        return (before > 0).any("epoch") & (before <= 0).any("epoch")

    def _before(self) -> xr.DataArray:
        """Return the distance of the curve from the level, positive on the side on which it begins."""
        assert self.level is not None, "checked before"
        curve, level = self.curve(), self.level
        if is_ratio(self.values):
            if level <= 0:
                expected = "be positive for a variable that is nonnegative and unbounded above"
                raise OptionError(f"`{self.option}`", expected, repr(level), f"{self.option}: 0.1")
            level = math.log(level)
        height = curve - level
        side = {"falls": 1.0, "rises": -1.0}.get(self.way)
        return height * (np.sign(_ends(height)[0]) if side is None else side)


def _since(curve: xr.DataArray, since: int) -> xr.DataArray:
    """Return a curve from a probed epoch on."""
    return curve.isel(epoch=curve["epoch"].values >= select(curve, "epoch", since)["epoch"].item())


def _ends(curve: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    return curve.isel(epoch=0, drop=True), curve.isel(epoch=-1, drop=True)


def _resolution(shares: list[xr.DataArray], effect: xr.DataArray) -> xr.DataArray:
    """Return the uncertainty of the effect due to gaps between probes, by setting: the mean variance of its seeds."""
    variance = left_open(shares[0]) ** 2 + left_open(shares[1]) ** 2
    spread: xr.DataArray = variance.where(effect.notnull()).mean("seed").fillna(0) ** 0.5
    return spread
