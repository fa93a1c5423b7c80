"""Claims on training curves: how far collapse goes, and whether classes keep separating."""

from __future__ import annotations

import math
from typing import Annotated

import xarray as xr
from pydantic import Field

from elastic.analysis.logarithm import log
from elastic.analysis.separability import LEAST_PROBES, separability
from elastic.claims.contract import Epoch, Evidence, Layer, OneLayer, Selection, Split, Variable, Where, claim
from elastic.claims.selection import ended
from elastic.errors import NotMeasured


@claim(
    source="papyan2020prevalence",
    sentence="{metric} falls in training by a factor above {min_factor:g} in {layer} "
    "(from epoch {since}, {split}, {at_epoch}){where}",
)
def collapse_deepens_with_training(
    selection: Selection,
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
    metric
        Variable that falls: positive, the smaller the more collapsed.
    since
        Probed epoch from which the fall is measured.
    min_factor
        Bound of the geometric mean of the factor; 1 claims only that the metric falls.

    Raises
    ------
    NotMeasured
        If the metric or an epoch was not measured.
    OptionError
        If there is no such metric, layer or setting.
    """
    values = log(selection.read(metric))
    fall = selection.at_epoch(values, since) - selection.at_epoch(values)
    return Evidence(fall, (math.log(min_factor), math.inf), f"factor by which {metric} falls", math.exp)


@claim(
    source="zhang2021imitating",
    sentence="Classes become separable: from {tail:g} of all epochs on the separation rate γ of {layer} stays above 0 "
    "and falls more slowly than 1/t{where}",
)
def classes_separate(
    selection: Selection,
    *,
    layer: OneLayer = "logits",
    tail: Annotated[float, Field(gt=0, lt=1, description="Share of the epochs at which the tail begins.")] = 0.1,
    where: Where = None,
) -> Evidence:
    r"""The locally elastic dynamics separate the classes: γ(t) > 0, and γ(t) falls more slowly than 1/t.

    Two conditions, each with an effect that has to be above 0, in the tail of each seed's curve
    (`elastic.analysis.separability.separability`): the minimum of γ, and p + 1 with p the exponent of
    $\gamma \sim t^p$. The claim is supported if both are, and refuted if one is.

    Where γ is not positive throughout, no exponent exists. Such a seed has a negative effect under the first condition
    and is left out of the second, which then covers the seeds that have an exponent. Substituting a number for the
    missing exponent would be arbitrary, and three seeds with the same substitute would look certain. The two conditions
    are not combined into a yes or no a seed, because three binary outcomes carry little information. (The same holds
    where γ varies from well above to well below 0 between seeds: if half of all seeds are below, three seeds all lie
    above in 1 study of 8, which then supports the claim.)

    Time is measured in epochs. Where the learning rate changes, this differs from the time of the dynamics.

    Parameters
    ----------
    layer
        Layer by name; the theory is of logits.
    tail
        Begin of the tail, as a share of the last epoch. Earlier values, before anything is learned, are not used.

    Raises
    ------
    NotMeasured
        If elasticity was not measured, or at fewer than three epochs of the tail.
    OptionError
        If there is no such layer or setting.
    """
    rate = ended(selection.read("separation_rate"))
    since = tail * float(rate["epoch"].max())
    probes = int((rate["epoch"] >= max(since, 1)).sum())
    if probes < LEAST_PROBES:
        hint = "more epochs under `probes.at`, or a smaller `tail`"
        raise NotMeasured("the tail", f"have at least {LEAST_PROBES} probed epochs", str(probes), hint)
    rates = separability(rate, since=since)
    conditions = xr.concat([rates["least"], rates["exponent"] + 1], "condition")
    conditions = conditions.assign_coords(condition=["least γ", "exponent of γ, plus 1"])
    return Evidence(conditions, (0.0, math.inf), "what each condition has above 0")
