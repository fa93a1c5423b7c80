"""The claim on a variable's ratio between two splits of the data."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from elastic.analysis.logarithm import log
from elastic.claims.contract import Epoch, Evidence, Layer, Selection, Source, Split, Variable, Where, claim
from elastic.errors import OptionError

Factor = Annotated[float | None, Field(gt=0, description="Bound of the ratio; null: none on this side.")]


@claim(
    source="hui2022limitations",
    sentence="The ratio of {variable} on {split} to that on {other_split} is {between}{in_layer} ({at_epoch}){where}",
)
def ratio_between_splits(
    selection: Selection,
    *,
    variable: Variable,
    least: Factor = None,
    most: Factor = None,
    split: Split = "test",
    other_split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
    source: Source = "hui2022limitations",
) -> Evidence:
    """The ratio of a variable on one split to that on another lies within bounds.

    Does the collapse of train samples hold on test samples? Effect: log of the one over the other, on the same network,
    so that the effect of the seed on both cancels. Compare nc1 with as many samples of each class in both splits
    (``probes.collapse.per_class``): the mean of few samples is noisy, which lowers the within-class variability about
    it and shifts the spread of the means.

    Parameters
    ----------
    variable
        Positive variable that is measured on splits of the data. A seed in which it is 0 is left out.
    least
        Lower bound of the geometric mean of the ratio; null: none.
    most
        Upper bound of the geometric mean of the ratio; null: none.
    split
        Split of the numerator.
    other_split
        Split of the denominator.

    Raises
    ------
    NotMeasured
        If the variable, the epoch or a split was not measured.
    OptionError
        If there is no such variable, layer or setting, if the variable has no splits, both splits are one, or the
        bounds leave nothing between them.
    """
    region = (-math.inf if least is None else math.log(least), math.inf if most is None else math.log(most))
    if (least is None and most is None) or not region[0] < region[1]:
        raise OptionError("`least`", "be given, or most, and be below it", f"{least} and {most}", "least: 1.5, most: 3")
    if split == other_split:
        raise OptionError("`other_split`", "be another split than `split`", repr(other_split), "train")
    if "split" not in replace(selection, split=None).read(variable).dims:
        raise OptionError("`variable`", "be measured on splits of the data", repr(variable), "nc1")
    first, second = (
        log(selection.at_epoch(replace(selection, split=of_split).read(variable))) for of_split in (split, other_split)
    )
    quantity = f"ratio of {variable}, {split} over {other_split}"
    return Evidence(first - second, region, quantity, math.exp)
