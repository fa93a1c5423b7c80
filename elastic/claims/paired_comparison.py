"""Claims on two values of the same seed: at two labels of an axis, or of two variables."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field

from elastic.claims.contract import Axis, Epoch, Evidence, Label, Layer, OnAxis, Source, Split, Variable, Where, claim
from elastic.claims.decision import step_of
from elastic.claims.selection import at_epoch, in_layer, label_on, log, measured
from elastic.errors import OptionError

By = Annotated[Literal["ratio", "difference"], Field(description="how two values are compared")]


@claim(
    source="zhu2021geometric",
    sentence="The {by} of {variable} at {axis} = {first} to that at {axis} = {second} is above {least:g}{in_layer} "
    "({split}, {at_epoch}){where}",
)
def differs_between(
    cube: xr.DataTree,
    *,
    variable: Variable,
    axis: Axis,
    first: OnAxis,
    second: OnAxis,
    by: By = "ratio",
    least: float,
    split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
    source: Source = "zhu2021geometric",
) -> Evidence:
    """A variable is greater at one value of an axis than at another.

    Effect: first minus second of the same seed, of logs for a ratio. The same seed gives the same draws of data and
    (where the networks are alike) of weights, so that what these do to both cancels.

    Parameters
    ----------
    cube
        A study's.
    first, second
        Labels on the axis.
    least
        The mean ratio (difference) has to be above it: 1 (or 0) asks for a difference at all.
    layer
        null: in every hidden layer, of a variable that has layers.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, axis, label or layer, or a ratio is to be above what is not positive.
    """
    if by == "ratio" and least <= 0:
        raise OptionError("`least`", "be positive for a ratio", repr(least), "by: difference")
    edge = math.log(least) if by == "ratio" else least
    values = in_layer(measured(cube, variable, split=split, where=where), layer)
    return _compared(values, epoch, variable, axis, (first, second), by, (edge, math.inf))


@claim(
    source="zhou2022losses",
    sentence="The {by} of {variable} between {axis} = {first} and {axis} = {second} is within {within:g}{in_layer} "
    "({split}, {at_epoch}){where}",
)
def agrees_between(
    cube: xr.DataTree,
    *,
    variable: Variable,
    axis: Axis,
    first: OnAxis,
    second: OnAxis,
    by: By = "difference",
    within: Annotated[float, Field(gt=0)],
    split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
    source: Source = "zhou2022losses",
) -> Evidence:
    """A variable is the same at two values of an axis, for all that matters.

    Effect: as `differs_between`. Not to have found a difference is no evidence that there is none: the whole interval
    has to lie within the margin.

    Parameters
    ----------
    cube
        A study's.
    within
        Largest difference that does not matter; for a ratio the factor, above 1, either way.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, axis, label or layer, or a factor is not above 1.
    """
    if by == "ratio" and within <= 1:
        raise OptionError("`within`", "be a factor above 1", repr(within), "within: 1.1")
    edge = math.log(within) if by == "ratio" else within
    values = in_layer(measured(cube, variable, split=split, where=where), layer)
    return _compared(values, epoch, variable, axis, (first, second), by, (-edge, edge))


@claim(
    source="he2020local",
    sentence="The {by} of {variable} to {other} is above {least:g}{in_layer} ({split}, {at_epoch}){where}",
)
def exceeds(
    cube: xr.DataTree,
    *,
    variable: Variable,
    other: Variable,
    by: By = "difference",
    least: float,
    split: Split = "train",
    layer: Layer = None,
    other_layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
    source: Source = "he2020local",
) -> Evidence:
    """A variable is greater than another one of the same runs.

    Effect: the one minus the other of the same seed, of logs for a ratio. They are of the same network, so that what
    the seed does to both cancels.

    Parameters
    ----------
    cube
        A study's.
    other
        A variable of the same units; one that has no layers is compared with the first in each.
    least
        The mean difference (ratio) has to be above it: 0 (or 1) asks for a difference at all.
    layer
        null: in every hidden layer, of a variable that has layers.
    other_layer
        Of the other variable; null: the same.

    Raises
    ------
    NotMeasured
        If a variable or the epoch was not measured.
    OptionError
        If there is no such variable, layer or setting, or a ratio is to be above what is not positive.
    """
    if by == "ratio" and least <= 0:
        raise OptionError("`least`", "be positive for a ratio", repr(least), "by: difference")
    layers = (layer, other_layer or layer)
    first, second = (
        in_layer(at_epoch(measured(cube, name, split=split, where=where), epoch), one)
        for name, one in zip((variable, other), layers, strict=True)
    )
    quantity = f"{by} of {variable} {'over' if by == 'ratio' else 'minus'} {other}"
    if by == "ratio":
        return Evidence(log(first) - log(second), (math.log(least), math.inf), quantity, math.exp)
    return Evidence(first - second, (least, math.inf), quantity, resolution=max(step_of(first), step_of(second)))


def _compared(
    values: xr.DataArray,
    epoch: int,
    variable: str,
    axis: str,
    labels: tuple[Label, Label],
    by: str,
    region: tuple[float, float],
) -> Evidence:
    if labels[0] == labels[1]:
        raise OptionError("`second`", "be another label than the first", repr(labels[1]), f"another on {axis}")
    chosen = log(values) if by == "ratio" else values
    first, second = (label_on(at_epoch(chosen, epoch), axis, label) for label in labels)
    quantity = f"{by} of {variable}, {labels[0]} {'over' if by == 'ratio' else 'minus'} {labels[1]}"
    if by == "ratio":
        return Evidence(first - second, region, quantity, math.exp)
    return Evidence(first - second, region, quantity, resolution=step_of(values))
