"""Claims on the account of training by single steps: whether it closes, and which steps collapse a layer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field

from elastic.analysis.closure import closure
from elastic.analysis.logarithm import log
from elastic.analysis.reading import select
from elastic.claims.contract import Epoch, Evidence, Layer, Selection, Where, claim
from elastic.claims.selection import ended

Until = Annotated[Epoch, Field(description="Probed epoch up to which the account runs; -1: the last.")]
Of = Annotated[
    Literal["class_means", "collapse"],
    Field(description="The Gram matrix of class means, or the log of within- over between-class variance."),
]
Part = Annotated[
    Literal["own", "other", "decay"],
    Field(description="Steps on a class itself, on the other classes, or weight decay."),
]


@claim(
    source="zhang2021imitating",
    sentence="Single steps account for the movement of {of_words}{in_layer} {until_epoch}: the residual of the sum is "
    "below {max_residual:g} of the movement{where}",
    own="The account and its residual.",
    follows_steps=True,
)
def account_closes(
    selection: Selection,
    *,
    of: Of = "class_means",
    max_residual: Annotated[float, Field(gt=0)] = 0.5,
    until: Until = -1,
    layer: Layer = None,
    where: Where = None,
) -> Evidence:
    """The rates of single steps, summed over the steps of training, give the measured movement.

    Effect: log of (Σ ‖change − account‖² / Σ ‖change‖²)^½ over the times between probes (`elastic.analysis.closure`).
    0.5 is R² = 0.75; at 1 the account predicts no better than that nothing moves.

    Parameters
    ----------
    max_residual
        Bound of the geometric mean of the residual.

    Raises
    ------
    NotMeasured
        If the study has no class_steps, or does not know how training stepped.
    OptionError
        If there is no such epoch, layer or setting.
    """
    account = _account(selection)
    name = "mean_gram" if of == "class_means" else "log_ratio"
    change, predicted = account.read(f"{name}_change"), account.read(f"{name}_account")
    classes = [dim for dim in ("class", "other_class") if dim in change.dims]
    pair = [(values**2).sum(classes, skipna=False) for values in (change - predicted, change)]
    squares = [_total(values, until) for values in pair]
    share = squares[0] / squares[1].where(squares[1] > 0)
    quantity = "residual of the account as a share of the movement"
    return Evidence(log(share) / 2, (-math.inf, math.log(max_residual)), quantity, math.exp)


@claim(
    source="zhang2021imitating",
    sentence="By the account {until_epoch}, {part} steps {way} the log of within- over between-class variance"
    "{in_layer} by more than {least:g}{where}",
    own="The account by classes.",
    follows_steps=True,
)
def steps_move_collapse(
    selection: Selection,
    *,
    part: Part = "own",
    way: Literal["lower", "raise"] = "lower",
    least: Annotated[float, Field(ge=0)] = 0.0,
    until: Until = -1,
    layer: Layer = None,
    where: Where = None,
) -> Evidence:
    """Steps of one kind collapse a layer, or undo its collapse, by the account of single steps.

    Effect: the change of log (tr Σ_W / tr Σ_B) that the account gives to the steps on a class itself (own), to those on
    the other classes (other), or to weight decay. It says what these steps add up to; where the account does not
    close (`account_closes`) that is not what happened.

    Parameters
    ----------
    part
        Which steps.
    way
        Whether they lower the log ratio, which is collapse, or raise it.
    least
        Bound of the mean change, on the scale of natural logs.

    Raises
    ------
    NotMeasured
        If the study has no class_steps, or does not know how training stepped.
    OptionError
        If there is no such epoch, layer or setting.
    """
    moved = _total(_account(selection).read(f"log_ratio_{part}"), until)
    region = (-math.inf, -least) if way == "lower" else (least, math.inf)
    return Evidence(moved, region, f"change of the log ratio by {part} steps")


def _account(selection: Selection) -> Selection:
    """Return the same selection in the account instead of the cube."""
    return replace(selection, cube=xr.DataTree.from_dict({"/account": closure(selection.cube)}))


def _total(values: xr.DataArray, until: int) -> xr.DataArray:
    """Return the sum over the epochs up to a probed one, NaN for runs that did not reach it or lack a part of it."""
    last = select(values, "epoch", until)["epoch"].item()
    return ended(values.isel(epoch=values["epoch"].values <= last)).sum("epoch", skipna=False)
