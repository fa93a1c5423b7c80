"""Claims on two variables of the same runs, compared seed by seed."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field

from elastic.claims.contract import Epoch, Evidence, Layer, Source, Split, Variable, Where, claim
from elastic.claims.measured import at_epoch, in_layer, log, measured
from elastic.claims.resolution import step_of
from elastic.errors import OptionError


@claim(
    source="he2020local",
    sentence="The {by} of {variable} to {other} is above {least:g}{in_layer} ({split}, {at_epoch}){where}",
)
def exceeds(
    cube: xr.DataTree,
    *,
    variable: Variable,
    other: Variable,
    by: Annotated[Literal["ratio", "difference"], Field(description="how two values are compared")] = "difference",
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
