"""Claims on where a variable ends: below or above a level, or at a value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field

from elastic.claims.contract import Epoch, Evidence, Layer, Source, Split, Variable, Where, claim
from elastic.claims.decision import step_of
from elastic.claims.selection import at_epoch, in_layer, is_ratio, log, measured
from elastic.errors import OptionError

#: On which scale means over seeds are taken; auto: log for what has no sign and no upper bound.
Scale = Annotated[Literal["auto", "log", "linear"], Field(description="of means over seeds")]


@claim(
    source="papyan2020prevalence", sentence="{variable} is below {threshold:g}{in_layer} ({split}, {at_epoch}){where}"
)
def below(
    cube: xr.DataTree,
    *,
    variable: Variable,
    threshold: float,
    split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    scale: Scale = "auto",
    where: Where = None,
    source: Source = "papyan2020prevalence",
) -> Evidence:
    """A variable is below a level.

    Effect: the variable, or its log where that is the scale (means over seeds are then geometric).

    Parameters
    ----------
    cube
        A study's.
    layer
        null: in every hidden layer, of a variable that has layers.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, layer or setting, or the scale does not hold the threshold.
    """
    values = in_layer(measured(cube, variable, split=split, where=where), layer)
    return _evidence(values, epoch, variable, scale, lambda to: (-math.inf, to(threshold)))


@claim(
    source="papyan2020prevalence", sentence="{variable} is above {threshold:g}{in_layer} ({split}, {at_epoch}){where}"
)
def above(
    cube: xr.DataTree,
    *,
    variable: Variable,
    threshold: float,
    split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    scale: Scale = "auto",
    where: Where = None,
    source: Source = "papyan2020prevalence",
) -> Evidence:
    """A variable is above a level; as `below`, the other way round."""
    values = in_layer(measured(cube, variable, split=split, where=where), layer)
    return _evidence(values, epoch, variable, scale, lambda to: (to(threshold), math.inf))


@claim(
    source="papyan2020prevalence",
    sentence="{variable} comes to {value:g} within {tolerance:g}{in_layer} ({split}, {at_epoch}){where}",
)
def converges_to(
    cube: xr.DataTree,
    *,
    variable: Variable,
    value: float,
    tolerance: Annotated[float, Field(gt=0)],
    split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    scale: Scale = "auto",
    where: Where = None,
    source: Source = "papyan2020prevalence",
) -> Evidence:
    """A variable has come to a value, give or take a tolerance.

    Effect: the variable, or its log where that is the scale. Its mean has to lie between value − tolerance and
    value + tolerance; on a log scale the lower end is none where it is not positive.

    Parameters
    ----------
    cube
        A study's.
    tolerance
        In the units of the variable.
    layer
        null: in every hidden layer, of a variable that has layers.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, layer or setting, or the scale does not hold the value.
    """
    values = in_layer(measured(cube, variable, split=split, where=where), layer)
    return _evidence(
        values, epoch, variable, scale, lambda to: (_or_unbounded(to, value - tolerance), to(value + tolerance))
    )


def _evidence(
    values: xr.DataArray,
    epoch: int,
    variable: str,
    scale: str,
    region: Callable[[Callable[[float], float]], tuple[float, float]],
) -> Evidence:
    """Return the evidence of a variable on its scale; ``region`` is told the map onto it."""
    quantity = f"{variable}{_units(values)}"
    if scale == "log" or (scale == "auto" and is_ratio(values)):
        return Evidence(log(at_epoch(values, epoch)), region(_to_log), quantity, math.exp)
    return Evidence(at_epoch(values, epoch), region(float), quantity, resolution=step_of(values))


def _units(values: xr.DataArray) -> str:
    units = values.attrs.get("units", "1")
    return "" if units == "1" else f" ({units})"


def _to_log(level: float) -> float:
    if level <= 0:
        raise OptionError("`threshold`", "be positive on a log scale", repr(level), "scale: linear")
    return math.log(level)


def _or_unbounded(to: Callable[[float], float], level: float) -> float:
    return -math.inf if to is _to_log and level <= 0 else to(level)
