"""Claims on the layer that collapses first, by two definitions of elastic's own, which can disagree on one network.

The papers state how collapse depends on depth in a trained network (tirer2022extended: within-class variability falls
across depth; rangamani2023feature: intermediate layers collapse too) and prove where training ends. No statement on
which layer collapses *first* was found in them. What "first" means is therefore a choice: by a level that is common to
all layers (`reaches_level_inward`), or by the pace of each layer's own fall (`propagates_inward`).
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from elastic.analysis.depth import separation_law
from elastic.analysis.falls import epochs_above, middle_of_fall
from elastic.analysis.logarithm import log
from elastic.analysis.persistence import depth_of
from elastic.analysis.slopes import slope
from elastic.claims.contract import Evidence, Layers, Selection, Split, Variable, Where, claim
from elastic.claims.selection import ended


@claim(
    source="rangamani2023feature",
    own="Which layer collapses first is not stated by the source: elastic's own operational definition, by the pace of "
    "each layer's own fall.",
    sentence="{metric} falls in the last layer first and then inward: the middle of its fall comes earlier from layer "
    "to layer, by a factor above {min_factor:g} of epochs ({split}){where}",
)
def propagates_inward(
    selection: Selection,
    *,
    metric: Variable = "nc1",
    split: Split = "train",
    layers: Layers = None,
    min_fall: Annotated[float, Field(ge=1)] = 2.0,
    min_factor: Annotated[float, Field(gt=0)] = 1.0,
    where: Where = None,
) -> Evidence:
    r"""The last layer falls first, whatever value it falls to, and the others follow inward.

    This is elastic's own operational definition of a layer that collapses first; the source does not state one. Each
    layer's fall is measured relative to its own first and last value: the claim compares paces. Deeper layers that end
    lower also pass any common level earlier, whatever their pace; that is the question most papers answer, and
    another claim: `reaches_level_inward`. The two can have opposite verdicts on one network.

    Effect: minus the least-squares slope of the log of `middle_of_fall` against depth. The order of the layers' onsets
    is not used: five layers have few orders and onsets fall on few probed epochs, so that three seeds agree by chance
    and give an interval of width 0. Nor is the last epoch above half the fall: where noise is large relative to the
    fall, as in layers that collapse little, it is late for that reason alone (false support in 7 of 100 simulated
    studies).

    Parameters
    ----------
    metric
        Variable that falls: positive, the smaller the more collapsed.
    min_fall
        Least factor by which a layer's metric falls in a seed for the layer to be used there: without a fall there is
        no middle. A seed with fewer than three such layers is left out.
    min_factor
        Bound of the geometric mean of the factor; 1 claims only that deeper layers fall earlier.

    Raises
    ------
    NotMeasured
        If the metric was not measured, or in fewer than three layers.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = selection.in_layers(ended(selection.read_every_layer(metric)), least=3)
    falls = values.isel(epoch=0, drop=True) >= min_fall * values.isel(epoch=-1, drop=True)
    earlier = -separation_law(middle_of_fall(values.where(falls)))["slope"]
    quantity = f"factor by which the middle of the fall of {metric} comes earlier per layer"
    return Evidence(earlier, (math.log(min_factor), math.inf), quantity, math.exp)


@claim(
    source="tirer2022extended",
    own="Which layer collapses first is not stated by the source, which states the order of a trained network: "
    "elastic's own operational definition, by a level common to all layers.",
    sentence="{metric} comes to {level:g} in the last layer first and then inward: from layer to layer it is above "
    "{level:g} for a time shorter by a factor above {min_factor:g} of epochs ({split}){where}",
)
def reaches_level_inward(
    selection: Selection,
    *,
    metric: Variable = "nc1",
    level: Annotated[float, Field(gt=0)],
    split: Split = "train",
    layers: Layers = None,
    min_factor: Annotated[float, Field(gt=0)] = 1.0,
    where: Where = None,
) -> Evidence:
    r"""The last layer reaches a common level of collapse first, and the others follow inward.

    This is elastic's own operational definition of a layer that collapses first; the source does not state one. All
    layers have one level, as in papers that plot nc1 of every layer over training. The claim compares how far
    layers have collapsed, not the pace at which each falls (`propagates_inward`): a layer that ends lower passes the
    level earlier even where all layers fall in step.

    Effect: minus the least-squares slope of log `epochs_above` against depth. It is continuous, although few epochs are
    probed, and defined for a layer that never reaches the level: that layer is above it throughout training, the latest
    time that the study can show. A deeper layer that reaches the level and a shallower one that does not are evidence
    for the claim; two that do not reach it are evidence neither way. The mean effect is therefore about times up to
    the end of training: longer training may change it, as any mean of censored times. A seed in which no layer passes
    the level has no order and is left out. (Where layers fail to reach the level by chance, and not because they are
    late, slopes are skewed: with ``min_factor`` at a true factor of 1.4, 5 to 10 of 100 simulated studies were falsely
    supported; with 1, the default, at most 3.)

    Parameters
    ----------
    metric
        Variable that falls: positive, the smaller the more collapsed.
    level
        Value of the metric that each layer comes to.
    min_factor
        Bound of the geometric mean of the factor; 1 claims only that deeper layers reach the level earlier.

    Raises
    ------
    NotMeasured
        If the metric was not measured, or in fewer than two layers.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = selection.in_layers(ended(selection.read_every_layer(metric)), least=2)
    passes = ((values > level).any("epoch") & (values <= level).any("epoch")).any("layer")
    earlier = -slope(log(epochs_above(values, level)), depth_of(values), "layer").where(passes)
    quantity = f"factor by which the time of {metric} above {level:g} is shorter per layer"
    return Evidence(earlier, (math.log(min_factor), math.inf), quantity, math.exp)
