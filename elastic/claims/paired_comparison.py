"""Claims on two values of the same seed: at two labels of an axis, or of two variables."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from elastic.analysis.logarithm import log
from elastic.claims.contract import (
    Axis,
    Epoch,
    Evidence,
    Label,
    Layer,
    OnAxis,
    Selection,
    Source,
    Split,
    Variable,
    Where,
    claim,
)  # fmt: skip
from elastic.claims.decision import step_of
from elastic.claims.selection import label_on
from elastic.errors import OptionError

By = Annotated[Literal["ratio", "difference"], Field(description="How two values are compared.")]


@claim(
    source="zhu2021geometric",
    sentence="The {by} of {variable} at {axis} = {first} to that at {axis} = {second} is above {least:g}{in_layer} "
    "({split}, {at_epoch}){where}",
)
def differs_between(
    selection: Selection,
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
    (if the networks have the same parameters) of weights, so that their effect on both cancels.

    Parameters
    ----------
    first
        Label on the axis where the variable is greater.
    second
        Label on the axis where it is less.
    least
        Bound of the mean ratio (difference); 1 (or 0) claims only that there is a difference.

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
    return _compared(selection, variable, axis, (first, second), by, (edge, math.inf))


@claim(
    source="zhou2022losses",
    sentence="The {by} of {variable} between {axis} = {first} and {axis} = {second} is within {within:g}{in_layer} "
    "({split}, {at_epoch}){where}",
)
def agrees_between(
    selection: Selection,
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
    """A variable is nearly the same at two values of an axis.

    Effect: as `differs_between`. Finding no difference is not evidence that there is none: the whole interval has to
    lie within the margin.

    Parameters
    ----------
    within
        Largest difference that does not matter; for a ratio the largest factor, above 1, in either direction.

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
    return _compared(selection, variable, axis, (first, second), by, (-edge, edge))


@claim(
    source="he2020local",
    sentence="The {by} of {variable} to {other} is above {least:g}{in_layer} ({split}, {at_epoch}){where}",
)
def exceeds(
    selection: Selection,
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

    Effect: the one minus the other in the same seed, of logs for a ratio. Both are measured on the same network, so
    that the effect of the seed on both cancels.

    Parameters
    ----------
    other
        Variable of the same units; one without layers is compared with every layer of the first.
    least
        Bound of the mean difference (ratio); 0 (or 1) claims only that there is a difference.
    other_layer
        Layer of the other variable; null: the same.

    Raises
    ------
    NotMeasured
        If a variable or the epoch was not measured.
    OptionError
        If there is no such variable, layer or setting, or a ratio is to be above what is not positive.
    """
    if by == "ratio" and least <= 0:
        raise OptionError("`least`", "be positive for a ratio", repr(least), "by: difference")
    first = selection.at_epoch(selection.read(variable))
    second = selection.at_epoch(selection.read(other, layer=other_layer))
    quantity = f"{by} of {variable} {'over' if by == 'ratio' else 'minus'} {other}"
    if by == "ratio":
        return Evidence(log(first) - log(second), (math.log(least), math.inf), quantity, math.exp)
    return Evidence(first - second, (least, math.inf), quantity, resolution=max(step_of(first), step_of(second)))


def _compared(
    selection: Selection,
    variable: str,
    axis: str,
    labels: tuple[Label, Label],
    by: str,
    region: tuple[float, float],
) -> Evidence:
    values = selection.read(variable)
    if labels[0] == labels[1]:
        raise OptionError("`second`", "be another label than the first", repr(labels[1]), f"another on {axis}")
    compared = selection.at_epoch(log(values) if by == "ratio" else values)
    first, second = (label_on(compared, axis, label) for label in labels)
    quantity = f"{by} of {variable}, {labels[0]} {'over' if by == 'ratio' else 'minus'} {labels[1]}"
    if by == "ratio":
        return Evidence(first - second, region, quantity, math.exp)
    return Evidence(first - second, region, quantity, resolution=step_of(values))
