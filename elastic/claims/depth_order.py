"""The claim that layers are in the reverse order of collapse early in training, and cross into theirs."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from elastic.analysis.depth_order import depth_slope, order_crossover
from elastic.claims.contract import Evidence, Layers, Selection, Split, Variable, Where, claim
from elastic.claims.selection import ended
from elastic.errors import OptionError


@claim(
    source="tirer2022extended",
    own="The source states that within-class variability falls across depth in a trained network, and nothing on when "
    "it comes to do so: the crossover epoch is elastic's own definition.",
    sentence="{metric} rises with depth early in training and falls with depth at its end; the order of layers crosses "
    "at an epoch {between} ({split}){where}",
)
def depth_order_crosses(
    selection: Selection,
    *,
    metric: Variable = "nc1",
    split: Split = "train",
    layers: Layers = None,
    least: Annotated[float, Field(ge=0)] = 0.0,
    most: Annotated[float | None, Field(gt=0)] = None,
    where: Where = None,
) -> Evidence:
    r"""The order of layers by collapse is reversed early in training, and crosses into that of a trained network.

    The slope of the log metric against depth is above 0 before the crossover epoch (the metric rises from layer to
    layer) and below 0 from then on. The definition is elastic's own (`elastic.analysis.depth_order.order_crossover`).

    Effect: log(1 + crossover epoch), shown as the epoch. A seed whose order is never reversed crosses at the first
    probed epoch, one whose order is reversed to the end at the last one, the latest that the study can show: its mean
    is one of times up to the end of training.

    Parameters
    ----------
    metric
        Variable whose order over layers is asked for: positive, the smaller the more collapsed.
    least
        Lower bound of the typical crossover epoch; 0 claims that the order is reversed at all.
    most
        Upper bound of the typical crossover epoch; null: the last probed epoch.

    Raises
    ------
    NotMeasured
        If the metric was not measured, or in fewer than two layers.
    OptionError
        If there is no such metric, layer or setting, or ``least`` is not below ``most`` and the last epoch.
    """
    values = selection.in_layers(ended(selection.read_every_layer(metric)), least=2)
    slopes, last = depth_slope(values), float(values["epoch"].values[-1])
    if least >= (last if most is None else most):
        limit = "the last probed epoch" if most is None else "`most`"
        raise OptionError("`least`", f"be below {limit}, {last if most is None else most:g}", f"{least:g}", "0")
    crossover = order_crossover(slopes)["crossover"].where(slopes.isel(epoch=-1, drop=True) <= 0, last)
    time: xr.DataArray = xr.apply_ufunc(np.log1p, crossover.where(slopes.notnull().all("epoch")))
    region = (math.log1p(least), math.log1p(last if most is None else most))
    return Evidence(time, region, f"epoch from which {metric} falls with depth", _epoch)


def _epoch(time: float) -> float:
    """Return the epoch of a time log(1 + epoch); intervals are cut at epoch 0."""
    return max(math.expm1(time), 0.0)
