"""Claims on local elasticity: a step moves its own class most, in particular where classes have collapsed."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field

from elastic.analysis.intervals import correlation
from elastic.analysis.logarithm import log
from elastic.claims.contract import Epoch, Evidence, Layer, Layers, OneLayer, Selection, Split, Variable, Where, claim
from elastic.claims.scales import fisher_z
from elastic.claims.selection import ended
from elastic.errors import NotMeasured

#: Fewest pairs: a correlation of fewer is near ±1 by chance too often.
LEAST_PAIRS = 4


@claim(source="he2020local", sentence="locality is above {threshold:g} in {layer} ({at_epoch}){where}")
def locality_above(
    selection: Selection,
    *,
    threshold: Annotated[float, Field(gt=0)] = 1.0,
    layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
) -> Evidence:
    """A step on a sample moves its own class further than the others.

    Effect: log locality, the response within classes over that between classes; it is 1 for a network that is not
    locally elastic.

    Parameters
    ----------
    threshold
        Bound of the geometric mean of locality.

    Raises
    ------
    NotMeasured
        If elasticity or the epoch was not measured.
    OptionError
        If there is no such layer or setting.
    """
    values = selection.at_epoch(selection.read("locality"))
    return Evidence(log(values), (math.log(threshold), math.inf), "locality", math.exp)


@claim(
    source="he2020local",
    sentence="locality rises as {metric} falls, over {over}s: −r of their logs is above {min_r:g} ({split}){where}",
)
def locality_tracks_collapse(
    selection: Selection,
    *,
    metric: Variable = "nc1",
    over: Literal["layer", "epoch"] = "layer",
    layers: Layers = None,
    layer: OneLayer = "penultimate",
    epoch: Epoch = -1,
    split: Split = "train",
    min_r: Annotated[float, Field(gt=-1, lt=1)] = 0.0,
    where: Where = None,
) -> Evidence:
    """Locality is strong where, or when, classes have collapsed.

    Effect: Fisher's z of minus Pearson's correlation of log locality with the log metric, over the layers at one
    epoch or over the probed epochs of one layer. The rank correlation is not used: for five layers it takes 21 values
    and is exactly 1 for one order in 120, so that three seeds agree by chance and give an interval of width 0. Over
    epochs both have a trend, which correlates them whether or not they are related.

    Parameters
    ----------
    metric
        Measure of collapse: positive, the smaller the more collapsed.
    over
        Whether to correlate over layers (``layers``, at ``epoch``) or over epochs (of ``layer``).
    layer
        Layer by name, of a correlation over epochs.
    min_r
        Bound of the mean of −r.

    Raises
    ------
    NotMeasured
        If locality or the metric was not measured, or at fewer than four layers (epochs).
    OptionError
        If there is no such metric, layer or setting.
    """
    if over == "layer":
        pair = [selection.read_every_layer(name) for name in ("locality", metric)]
        pair = [selection.in_layers(selection.at_epoch(values), least=LEAST_PAIRS) for values in pair]
    else:
        pair = [ended(selection.read(name)) for name in ("locality", metric)]
    locality, collapse = xr.align(*map(log, pair), join="inner", exclude=[d for d in pair[0].dims if d != over])
    if locality.sizes[over] < LEAST_PAIRS:
        found = f"{locality.sizes[over]}"
        raise NotMeasured("both", f"be measured at {LEAST_PAIRS} {over}s or more", found, "probes of more of them")
    z = fisher_z(-correlation(locality, collapse, over))
    return Evidence(z, (math.atanh(min_r), math.inf), f"correlation −r of log locality and log {metric}", math.tanh)
