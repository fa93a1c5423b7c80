"""The claim that a step moves samples the less, the further away they are along the curve on which the data lie."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from elastic.claims.contract import Epoch, Evidence, OneLayer, Selection, Where, claim
from elastic.claims.scales import fisher_z


@claim(
    source="he2020local",
    own="The source shows the scatter with its correlation and states no threshold: min_r is elastic's.",
    sentence="Relative similarity falls with geodesic distance: −r is above {min_r:g} in {layer} ({at_epoch}){where}",
)
def similarity_follows_geodesic(
    selection: Selection,
    *,
    layer: OneLayer = "logits",
    epoch: Epoch = -1,
    min_r: Annotated[float, Field(gt=-1, lt=1)],
    where: Where = None,
) -> Evidence:
    """Relative similarity within a class falls with geodesic distance along the data's curve.

    Effect: Fisher's z = artanh(−r) of Pearson's r between relative similarity and geodesic distance
    (geodesic_correlation), shown as −r, one for each class that is stepped on.

    Parameters
    ----------
    min_r
        Bound of the mean of −r. The source states none: it is elastic's.

    Raises
    ------
    NotMeasured
        If the correlation was not measured, as for data without a geodesic coordinate, or not at the epoch.
    OptionError
        If there is no such layer or setting.
    """
    values = selection.at_epoch(selection.read("geodesic_correlation"))
    quantity = "correlation −r of relative similarity and geodesic distance"
    return Evidence(fisher_z(-values), (math.atanh(min_r), math.inf), quantity, math.tanh)
