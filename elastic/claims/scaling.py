"""Claims on how a variable scales with a number that is swept along an axis of the study."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from elastic.analysis.logarithm import log
from elastic.analysis.slopes import slope
from elastic.claims.contract import (
    Epoch,
    Evidence,
    Layer,
    NumericAxis,
    Selection,
    Source,
    Split,
    Variable,
    Where,
    claim,
)
from elastic.claims.selection import axis_of
from elastic.errors import OptionError
from elastic.protocol.claims import LEAST_NUMBERS

Exponent = Annotated[float | None, Field(description="Bound of the exponent; null: none on this side.")]


@claim(
    source="mixon2022neural",
    sentence="{variable} goes as a power of {axis} with an exponent {between}{in_layer} ({split}, {at_epoch}){where}",
)
def follows_power_law(
    selection: Selection,
    *,
    variable: Variable,
    axis: NumericAxis,
    least: Exponent = None,
    most: Exponent = None,
    split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
    source: Source = "mixon2022neural",
) -> Evidence:
    r"""A variable is proportional to a power of what an axis sweeps, $v \propto a^p$, with p between two bounds.

    Effect: the least-squares slope of log v against log a over the labels of the axis, in each seed. All labels of one
    seed share its draws of data and weights, so that their effect on the level of v cancels. One bound alone claims a
    trend: ``least: 0`` that v rises along the axis, ``most: 0`` that it falls. The relation need not be a straight
    line: the claim is about the mean exponent over the swept range.

    Parameters
    ----------
    variable
        Positive variable. A seed in which it is not, or in which a run is missing, is left out: its slope would be
        that of another range.
    axis
        Axis with three positive numbers or more as labels. 0 has no logarithm and is left out.
    least
        Lower bound of the mean exponent; null: none.
    most
        Upper bound of the mean exponent; null: none.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, axis, layer or setting, if the axis has no three positive numbers, or the bounds
        leave nothing between them.
    """
    region = (-math.inf if least is None else least, math.inf if most is None else most)
    if (least is None and most is None) or not region[0] < region[1]:
        raise OptionError(
            "`least`", "be given, or most, and be below it", f"{least} and {most}", "least: 1.8, most: 2.2"
        )
    values = log(selection.at_epoch(selection.read(variable)))
    numbers = _numbers(axis_of(values, axis))
    values, numbers = values.isel({axis: numbers.values > 0}), numbers[numbers.values > 0]
    exponent = slope(values, xr.apply_ufunc(np.log, numbers), axis).where(values.notnull().all(axis))
    return Evidence(exponent, region, f"exponent of {variable} along {axis}")


def _numbers(labels: xr.DataArray) -> xr.DataArray:
    """Return the labels of an axis as numbers.

    Raises
    ------
    OptionError
        If fewer than three are positive numbers.
    """
    numeric = labels.dtype.kind in "iuf"
    if not numeric or int((labels > 0).sum()) < LEAST_NUMBERS:
        found = ", ".join(map(str, labels.values.tolist()))
        hint = "values without `labels`, of which a line can be fitted"
        raise OptionError("`axis`", f"have {LEAST_NUMBERS} positive numbers for labels", found, hint)
    return labels.astype(float)
