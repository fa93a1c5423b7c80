"""Claims on the final value of a variable: below or above a level, or close to a value."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field

from elastic.analysis.logarithm import log
from elastic.claims.contract import Epoch, Evidence, Layer, Selection, Source, Split, Variable, Where, claim
from elastic.claims.decision import step_of
from elastic.claims.scales import Logit, is_bounded, is_ratio
from elastic.cube.attributes import bounds_of
from elastic.errors import OptionError

#: The scale on which means over seeds are taken; auto: log if the variable is nonnegative and unbounded above.
Scale = Annotated[
    Literal["auto", "log", "logit", "linear"],
    Field(
        description="Scale of means over seeds; auto: log for a nonnegative variable that is unbounded above, logit "
        "for one with two bounds."
    ),
]


#: Quantity that a mean of logits estimates.
TYPICAL = "typical seed (mean over seeds on the scale of the logit)"


@claim(
    source="papyan2020prevalence", sentence="{variable} is below {threshold:g}{in_layer} ({split}, {at_epoch}){where}"
)
def below(
    selection: Selection,
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

    Effect: the variable, its log (means over seeds are then geometric) or its logit between its bounds: bounded
    variables are skewed over seeds near a bound. Where the threshold is a bound, the variable itself is judged.

    Parameters
    ----------
    threshold
        Level that the mean is below, in the units of the variable.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, layer or setting, or the threshold lies beyond the variable's bounds or scale.
    """
    _check_within_bounds(selection, variable, "threshold", threshold)
    return _evidence(selection, variable, scale, ("threshold", threshold), lambda to: (-math.inf, to(threshold)))


@claim(
    source="papyan2020prevalence", sentence="{variable} is above {threshold:g}{in_layer} ({split}, {at_epoch}){where}"
)
def above(
    selection: Selection,
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
    """A variable is above a level.

    Parameters
    ----------
    threshold
        Level that the mean is above, in the units of the variable.
    """
    _check_within_bounds(selection, variable, "threshold", threshold)
    return _evidence(selection, variable, scale, ("threshold", threshold), lambda to: (to(threshold), math.inf))


@claim(
    source="papyan2020prevalence",
    sentence="{variable} comes to {value:g} within {tolerance:g}{in_layer} ({split}, {at_epoch}){where}",
)
def converges_to(
    selection: Selection,
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
    """A variable reaches a value within a tolerance.

    Effect: the variable, or its log on a log scale. The claim is that its mean lies between value − tolerance and
    value + tolerance; on a log scale there is no lower bound if value − tolerance is not positive.

    Parameters
    ----------
    value
        Value that the mean comes to, in the units of the variable.
    tolerance
        Greatest distance of the mean from the value, in the units of the variable.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, layer or setting, or the value lies beyond the variable's bounds or scale.
    """
    _check_within_bounds(selection, variable, "value", value)
    return _evidence(
        selection,
        variable,
        scale,
        ("value", value),
        lambda to: (_or_unbounded(to, value - tolerance), to(value + tolerance)),
    )


def _evidence(
    selection: Selection,
    variable: str,
    scale: str,
    level: tuple[str, float],
    region: Callable[[Callable[[float], float]], tuple[float, float]],
) -> Evidence:
    """Return the evidence of a variable on its scale.

    ``level`` is the option of the level and its value, for an error; ``region`` receives the map onto the scale.
    """
    values = selection.read(variable)
    quantity, step = f"{variable}{_units(values)}", step_of(values)
    if scale == "log" or (scale == "auto" and is_ratio(values)):
        return Evidence(log(selection.at_epoch(values)), region(partial(_to_log, level)), quantity, math.exp)
    if scale == "logit" and not is_bounded(values):
        raise OptionError("`scale`", "be one that the variable has", f"logit of {variable}, without two bounds", "auto")
    if scale in ("auto", "logit") and is_bounded(values):
        logit, final = Logit.of(values, step), selection.at_epoch(values)
        edges = region(logit.level)
        if any(map(math.isfinite, edges)):  # otherwise the threshold is a bound
            return Evidence(
                logit.effect(final), edges, quantity, logit.shown, logit.resolution(final, step), estimates=TYPICAL
            )
    return Evidence(selection.at_epoch(values), region(float), quantity, resolution=step)


def _check_within_bounds(selection: Selection, variable: str, option: str, level: float) -> None:
    """Refuse a level outside the bounds of a variable: no seed could decide such a claim otherwise."""
    values = selection.read(variable)
    low, high = bounds_of(values.attrs) or (-math.inf, math.inf)
    if is_bounded(values) and not low <= level <= high:
        expected, hint = f"be within the bounds of {variable}, {low:g} to {high:g}", f"{(low + high) / 2:g}"
        raise OptionError(f"`{option}`", expected, f"{level:g}", hint)


def _units(values: xr.DataArray) -> str:
    units = values.attrs.get("units", "1")
    return "" if units == "1" else f" ({units})"


def _to_log(level: tuple[str, float], edge: float) -> float:
    if edge <= 0:
        raise OptionError(f"`{level[0]}`", "be positive on a log scale", repr(level[1]), "scale: linear")
    return math.log(edge)


def _or_unbounded(to: Callable[[float], float], edge: float) -> float:
    """Return an edge on the scale, −∞ if the scale is that of the logarithm, which has no such edge."""
    try:
        return to(edge)
    except OptionError:
        return -math.inf
