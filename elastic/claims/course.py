"""Claims on how collapse comes about in training: how far it goes, and in which layer it comes first."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from elastic.analysis.depth import separation_law
from elastic.claims.contract import Epoch, Evidence, Layer, Split, Variable, Where, claim
from elastic.claims.depth import Layers
from elastic.claims.measured import at_epoch, ended, in_layer, in_layers, log, measured


@claim(
    source="papyan2020prevalence",
    sentence="{metric} falls in training by a factor above {min_factor:g} in {layer} "
    "(from epoch {since}, {split}, {at_epoch}){where}",
)
def collapse_deepens_with_training(
    cube: xr.DataTree,
    *,
    metric: Variable = "nc1",
    split: Split = "train",
    layer: Layer = "penultimate",
    since: Epoch = 0,
    epoch: Epoch = -1,
    min_factor: Annotated[float, Field(gt=0)] = 1.0,
    where: Where = None,
) -> Evidence:
    """Training makes a layer collapse: the metric falls from one epoch to another.

    Effect: log of its value at ``since`` over that at ``epoch``, in each seed.

    Parameters
    ----------
    cube
        A study's.
    metric
        Positive, the smaller the more collapsed.
    layer
        null: in every hidden layer.
    min_factor
        The (geometric) mean factor has to be above it; 1: it falls at all.

    Raises
    ------
    NotMeasured
        If the metric or an epoch was not measured.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = log(in_layer(measured(cube, metric, split=split, where=where), layer))
    fall = at_epoch(values, since) - at_epoch(values, epoch)
    return Evidence(fall, (math.log(min_factor), math.inf), f"factor by which {metric} falls", math.exp)


@claim(
    source="rangamani2023feature",
    sentence="{metric} falls in the last layer first and then inward: the middle of its fall comes earlier from layer "
    "to layer, by a factor above {min_factor:g} of epochs ({split}){where}",
)
def propagates_inward(
    cube: xr.DataTree,
    *,
    metric: Variable = "nc1",
    split: Split = "train",
    layers: Layers = None,
    min_fall: Annotated[float, Field(ge=1)] = 2.0,
    min_factor: Annotated[float, Field(gt=0)] = 1.0,
    where: Where = None,
) -> Evidence:
    r"""Collapse comes to the last layer first and moves inward.

    Each layer's fall is measured on its own way from first to last value, since deeper layers end lower and so pass
    any common level earlier, whatever their pace: that is what `collapse_deepens_with_depth` tells.

    Effect: minus the least-squares slope of `middle_of_fall` against depth. Not the order of the layers' onsets: five
    layers have few orders, onsets fall on few probed epochs, so that three seeds agree by chance, and an interval of
    width 0 would call that certain. Nor when a course is last above half its fall: where noise is large against the
    fall, as in layers that collapse little, that comes late by itself (false support in 7 of 100 simulated studies).

    Parameters
    ----------
    cube
        A study's.
    metric
        Positive, the smaller the more collapsed.
    min_fall
        Factor by which a layer's metric has to fall in a seed for the layer to count there: what does not fall has
        no middle. Fewer than three such layers leave the seed out.
    min_factor
        The mean factor has to be above it; 1: deeper layers fall earlier at all.

    Raises
    ------
    NotMeasured
        If the metric was not measured, or in fewer than three layers.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = in_layers(ended(measured(cube, metric, split=split, where=where)), layers, least=3)
    falls = values.isel(epoch=0, drop=True) >= min_fall * values.isel(epoch=-1, drop=True)
    earlier = -separation_law(middle_of_fall(values.where(falls)))["slope"]
    quantity = f"factor by which the middle of the fall of {metric} comes earlier per layer"
    return Evidence(earlier, (math.log(min_factor), math.inf), quantity, math.exp)


def middle_of_fall(values: xr.DataArray) -> xr.DataArray:
    r"""Return the geometric mean of 1 + epoch over a fall.

    $\exp \int s\, d\tau$ with τ = log(1 + epoch) from the first probe on and s the share of the whole fall of the
    log values that is still to be made, by the trapezoidal rule: linear in the log values but for their ends, so that
    noise does not shift it, and continuous, although few epochs are probed.

    Parameters
    ----------
    values
        [epoch, …], positive.

    Returns
    -------
    xarray.DataArray
        NaN where the last value is not below the first, or a value between them is missing.

    Examples
    --------
    Half the fall at once, half of it from τ = log 2 to τ = log 4; means of τ are log √2 and log √8:

    >>> fall = xr.DataArray([100.0, 10.0, 1.0], dims="epoch", coords={"epoch": [0, 1, 3]})
    >>> round(float(middle_of_fall(fall)), 6)           # √(√2 · √8)
    2.0
    """
    course, time = log(values), np.log1p(values["epoch"].values)
    first, last = course.isel(epoch=0, drop=True), course.isel(epoch=-1, drop=True)
    left = ((course - last) / (first - last).where(first > last)).assign_coords(time=("epoch", time))
    middle: xr.DataArray = xr.apply_ufunc(np.exp, time[0] + left.integrate("time"))
    return middle
