"""Claims on local elasticity: that a step moves its own class most, and does so where classes have collapsed."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field

from elastic.analysis.intervals import correlation
from elastic.claims.contract import Epoch, Evidence, Layer, Split, Variable, Where, claim
from elastic.claims.depth import Layers, fisher_z
from elastic.claims.selection import at_epoch, ended, in_layer, in_layers, log, measured
from elastic.errors import NotMeasured

#: Pairs without which a correlation is near ±1 by chance too often to say much.
LEAST_PAIRS = 4


@claim(source="he2020local", sentence="locality is above {threshold:g} in {layer} ({at_epoch}){where}")
def locality_above(
    cube: xr.DataTree,
    *,
    threshold: Annotated[float, Field(gt=0)] = 1.0,
    layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
) -> Evidence:
    """A step on a sample moves its own class further than the others.

    Effect: log locality, the response within classes over that between classes; 1 is a network that is not locally
    elastic.

    Parameters
    ----------
    cube
        A study's.
    threshold
        The (geometric) mean locality has to be above it.
    layer
        null: in every hidden layer.

    Raises
    ------
    NotMeasured
        If elasticity or the epoch was not measured.
    OptionError
        If there is no such layer or setting.
    """
    values = in_layer(measured(cube, "locality", where=where), layer)
    return Evidence(log(at_epoch(values, epoch)), (math.log(threshold), math.inf), "locality", math.exp)


@claim(
    source="he2020local",
    sentence="locality rises as {metric} falls, over {over}s: −r of their logs is above {min_r:g} ({split}){where}",
)
def locality_tracks_collapse(
    cube: xr.DataTree,
    *,
    metric: Variable = "nc1",
    over: Literal["layer", "epoch"] = "layer",
    layers: Layers = None,
    layer: Annotated[str, Field(description="of a course over epochs")] = "penultimate",
    epoch: Epoch = -1,
    split: Split = "train",
    min_r: Annotated[float, Field(gt=-1, lt=1)] = 0.0,
    where: Where = None,
) -> Evidence:
    """Locality is strong where, or when, classes have collapsed.

    Effect: Fisher's z of minus Pearson's correlation of log locality with the log metric, over the layers of one
    epoch or over the probed epochs of one layer. Not the rank correlation: of five layers it takes 21 values, is
    exactly 1 for one order in 120, and three seeds that agree on it would make an interval of width 0. Over epochs
    both have a trend, which correlates them whether or not one has to do with the other.

    Parameters
    ----------
    cube
        A study's.
    metric
        Positive, the smaller the more collapsed.
    over
        Layers (of ``layers``, at ``epoch``) or epochs (of ``layer``).
    min_r
        The mean −r has to be above it.

    Raises
    ------
    NotMeasured
        If locality or the metric was not measured, or at fewer than four layers (epochs).
    OptionError
        If there is no such metric, layer or setting.
    """
    pair = [measured(cube, "locality", where=where), measured(cube, metric, split=split, where=where)]
    if over == "layer":
        pair = [in_layers(at_epoch(values, epoch), layers, least=LEAST_PAIRS) for values in pair]
    else:
        pair = [ended(in_layer(values, layer)) for values in pair]
    locality, collapse = xr.align(*map(log, pair), join="inner", exclude=[d for d in pair[0].dims if d != over])
    if locality.sizes[over] < LEAST_PAIRS:
        found = f"{locality.sizes[over]}"
        raise NotMeasured("both", f"be measured at {LEAST_PAIRS} {over}s or more", found, "probes of more of them")
    z = fisher_z(-correlation(locality, collapse, over))
    return Evidence(z, (math.atanh(min_r), math.inf), f"correlation −r of log locality and log {metric}", math.tanh)
