"""Claims on how collapse runs through the layers of a trained network."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from elastic.analysis.depth import separation_law
from elastic.claims.contract import Epoch, Evidence, Split, Variable, Where, claim
from elastic.claims.selection import at_epoch, in_layers, measured

#: Layers of a claim; by default all between the input and the logits.
Layers = Annotated[
    list[str] | None, Field(description="left out: every hidden layer", examples=[["input", "hidden_1"]])
]

#: Correlations nearer to ±1 are told apart by rounding only: Fisher's z stops there, at 14.2.
NEAREST = 1 - 1e-12


@claim(
    source="tirer2022extended",
    sentence="{metric} falls from layer to layer, on average by a factor above {min_factor:g} "
    "({split}, {at_epoch}){where}",
)
def collapse_deepens_with_depth(
    cube: xr.DataTree,
    *,
    metric: Variable = "nc1",
    split: Split = "train",
    epoch: Epoch = -1,
    layers: Layers = None,
    min_factor: Annotated[float, Field(gt=0)] = 1.0,
    where: Where = None,
) -> Evidence:
    r"""Deeper layers have collapsed further: the metric falls with depth.

    Effect: the slope b of the least-squares line log metric = a − b·depth over the layers, a log ratio: means over
    seeds are geometric means of the factor e^b. A fall at every single layer is not claimed.

    Parameters
    ----------
    cube
        A study's.
    metric
        Positive, the smaller the more collapsed.
    min_factor
        The mean factor has to be above it; 1: it falls at all.

    Raises
    ------
    NotMeasured
        If the metric or the epoch was not measured, or in fewer than three layers.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = in_layers(at_epoch(measured(cube, metric, split=split, where=where), epoch), layers, least=3)
    fall = -separation_law(values)["slope"]
    return Evidence(fall, (math.log(min_factor), math.inf), f"factor by which {metric} falls per layer", math.exp)


@claim(
    source="he2023law",
    sentence="log {metric} is a falling straight line in depth, with a correlation beyond −{min_r:g} "
    "({split}, {at_epoch}){where}",
)
def equal_separation(
    cube: xr.DataTree,
    *,
    metric: Variable = "fuzziness",
    split: Split = "train",
    epoch: Epoch = -1,
    layers: Layers = None,
    min_r: Annotated[float, Field(gt=0, lt=1)],
    where: Where = None,
) -> Evidence:
    r"""Every layer improves separation by the same factor: the law of equi-separation.

    $D_l \approx \rho^l D_0$ says that Pearson's correlation r of log D with depth is near −1. Effect: Fisher's
    z = artanh(−r), which is told as −r: correlations of seeds are bounded and skewed, their z is unbounded and less
    so (of few layers a little to the right: at the edge 1 of 100 simulated studies was supported, 4 to 5 refuted). A
    rising line counts against the claim, however straight.

    Parameters
    ----------
    cube
        A study's.
    metric
        Positive; the law is stated for the separation fuzziness.
    min_r
        The mean −r has to be above it.

    Raises
    ------
    NotMeasured
        If the metric or the epoch was not measured, or in fewer than four layers: three points lie near a line by
        chance too often for a correlation to say much.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = in_layers(at_epoch(measured(cube, metric, split=split, where=where), epoch), layers, least=4)
    return Evidence(
        fisher_z(-separation_law(values)["r"]),
        (math.atanh(min_r), math.inf),
        f"correlation −r of log {metric} with depth",
        math.tanh,
    )


def fisher_z(correlation: xr.DataArray) -> xr.DataArray:
    """Return Fisher's z = artanh(r).

    >>> round(float(fisher_z(xr.DataArray(0.5))), 4), round(float(fisher_z(xr.DataArray(1.0))), 1)
    (0.5493, 14.2)
    """
    z: xr.DataArray = xr.apply_ufunc(np.arctanh, correlation.clip(-NEAREST, NEAREST))
    return z
