"""Claims on the course of training: how far collapse goes, and whether classes keep coming apart."""

from __future__ import annotations

import math
from typing import Annotated

import xarray as xr
from pydantic import Field

from elastic.analysis.separability import LEAST_PROBES, separability
from elastic.claims.contract import Epoch, Evidence, Layer, Split, Variable, Where, claim
from elastic.claims.selection import at_epoch, ended, in_layer, log, measured
from elastic.errors import NotMeasured


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
    source="zhang2021imitating",
    sentence="Classes become separable: from {tail:g} of all epochs on the separation rate γ of {layer} stays above 0 "
    "and falls more slowly than 1/t{where}",
)
def classes_separate(
    cube: xr.DataTree,
    *,
    layer: Annotated[str, Field(description="a layer; the theory is of logits")] = "logits",
    tail: Annotated[float, Field(gt=0, lt=1, description="share of the epochs at which the tail begins")] = 0.1,
    where: Where = None,
) -> Evidence:
    r"""The locally elastic dynamics part the classes for good: γ(t) > 0, and γ(t) falls more slowly than 1/t.

    Two conditions, each with an effect that has to be above 0, in the tail of each seed's course
    (`elastic.analysis.separability.separability`): the least γ, and p + 1 with p the exponent of $\gamma \sim t^p$.
    Both have to be supported; one that is refuted refutes the claim.

    Where γ is not positive throughout, there is no exponent. Such a seed counts against the claim with a negative
    number under the first condition, and is left out under the second, which is then about the seeds that have an
    exponent. A number in place of the missing one would be arbitrary, and three seeds that agreed on it by chance
    would look certain. Nor is one effect made of whether a seed meets both: of a yes or no, three seeds say little.
    (They say little, too, where γ jumps from well above to well below 0 between seeds: half of them below, three seeds
    all lie above in 1 study of 8, and then support the claim.)

    Time is the epoch. Where the learning rate changes, it is not that of the dynamics.

    Parameters
    ----------
    cube
        A study's.
    tail
        Where it begins, as a share of the last epoch. Before it, where nothing is learned yet, γ is not asked.

    Raises
    ------
    NotMeasured
        If elasticity was not measured, or at fewer than three epochs of the tail.
    OptionError
        If there is no such layer or setting.
    """
    rate = ended(in_layer(measured(cube, "separation_rate", where=where), layer))
    since = tail * float(rate["epoch"].max())
    probes = int((rate["epoch"] >= max(since, 1)).sum())
    if probes < LEAST_PROBES:
        hint = "more epochs under `probes.at`, or a smaller `tail`"
        raise NotMeasured("the tail", f"have at least {LEAST_PROBES} probed epochs", str(probes), hint)
    found = separability(rate, since=since)
    conditions = xr.concat([found["least"], found["exponent"] + 1], "condition")
    conditions = conditions.assign_coords(condition=["least γ", "exponent of γ, plus 1"])
    return Evidence(conditions, (0.0, math.inf), "what each condition has above 0")
