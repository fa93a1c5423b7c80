"""Claims on how collapse depends on depth in a trained network."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from elastic.analysis.depth import separation_law
from elastic.claims.contract import Epoch, Evidence, IncludeInput, Layers, Selection, Split, Variable, Where, claim
from elastic.claims.scales import fisher_z


@claim(
    source="tirer2022extended",
    sentence="{metric} falls from layer to layer, on average by a factor above {min_factor:g} "
    "({split}, {at_epoch}){where}",
)
def collapse_deepens_with_depth(
    selection: Selection,
    *,
    metric: Variable = "nc1",
    split: Split = "train",
    epoch: Epoch = -1,
    layers: Layers = None,
    min_factor: Annotated[float, Field(gt=0)] = 1.0,
    where: Where = None,
) -> Evidence:
    r"""Deeper layers have collapsed further: the metric falls with depth.

    Effect: b of the least-squares line log metric = a − b·depth over the layers, a log ratio: means over seeds are
    geometric means of the factor e^b. The metric need not fall at every single layer.

    Parameters
    ----------
    metric
        Variable that falls: positive, the smaller the more collapsed.
    min_factor
        Bound of the geometric mean of the factor; 1 claims only that the metric falls.

    Raises
    ------
    NotMeasured
        If the metric or the epoch was not measured, or in fewer than three layers.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = selection.in_layers(selection.at_epoch(selection.read_every_layer(metric)), least=3)
    fall = -separation_law(values)["slope"]
    return Evidence(fall, (math.log(min_factor), math.inf), f"factor by which {metric} falls per layer", math.exp)


@claim(
    source="he2023law",
    own="The source plots the line with its correlation and states no threshold: min_r is elastic's.",
    sentence="log {metric} is a falling straight line in depth{from_input}, with a correlation beyond −{min_r:g} "
    "({split}, {at_epoch}){where}",
)
def equal_separation(
    selection: Selection,
    *,
    metric: Variable = "fuzziness",
    split: Split = "train",
    epoch: Epoch = -1,
    layers: Layers = None,
    include_input: IncludeInput = False,
    min_r: Annotated[float, Field(gt=0, lt=1)],
    where: Where = None,
) -> Evidence:
    r"""Every layer improves separation by the same factor: the law of equi-separation.

    $D_l \approx \rho^l D_0$ implies that Pearson's correlation r of log D with depth is near −1. Effect: Fisher's
    z = artanh(−r), shown as −r. Correlations are bounded and skewed over seeds; z is unbounded and less skewed (for
    few layers slightly to the right: at the edge 1 of 100 simulated studies was supported, 4 to 5 were refuted). A
    rising line is evidence against the claim, however straight.

    Parameters
    ----------
    metric
        Variable that falls: positive; the law is stated for the separation fuzziness.
    include_input
        Whether the input counts as layer 0, D₀, as in the source's own code. It does not by default: nothing is learned
        there. Not beside ``layers``, which may name the input.
    min_r
        Bound of the mean of −r, r the correlation of the log metric with depth. The source states none: a threshold,
        0.95 in the protocols of this package, is elastic's.

    Raises
    ------
    NotMeasured
        If the metric or the epoch was not measured, or in fewer than four layers: three points lie near a line by
        chance too often.
    OptionError
        If there is no such metric, layer or setting, or ``include_input`` stands beside ``layers``.
    """
    values = selection.at_epoch(selection.read_every_layer(metric))
    values = selection.in_layers(values, least=4, include_input=include_input)
    return Evidence(
        fisher_z(-separation_law(values)["r"]),
        (math.atanh(min_r), math.inf),
        f"correlation −r of log {metric} with depth",
        math.tanh,
    )
