r"""A closed account: class means and variances as single steps predict them, and as training moved them.

The group ``class_steps`` holds, at every probe, the Gram matrix G of the class means about their mean, the within-class
variances v, and their rates under the step on each class and under weight decay. `elastic.analysis.step_weights` sums
the rates over the steps that training took between two probes; the account sets this sum beside the change of G and v.
It is first order in a step. It closes if steps are short, rates vary little between probes and while momentum lasts,
and a batch moves the features as the mean over all train samples does. It stays open by what is missing: curvature (at
the edge of stability most of all), probes too far apart, noise of minibatches beyond first order, batch statistics.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import Any

import xarray as xr

from elastic.analysis.logarithm import log
from elastic.analysis.reading import read
from elastic.analysis.step_parts import PARTS, Levels, levels_and_rates
from elastic.analysis.step_rule import checked_rule, weights_of_probes
from elastic.errors import NotMeasured

PAIR = ("class", "other_class")


def closure(
    cube: xr.DataTree,
    *,
    where: Mapping[str, Any] | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    nesterov: bool | None = None,
    steps_per_epoch: float | None = None,
) -> xr.Dataset:
    """Return the account of every layer between every two probes.

    Parameters
    ----------
    cube
        With the groups ``class_steps`` and ``training``.
    where
        Labels on the study's axes, {axis: label}.
    lr, momentum, nesterov, steps_per_epoch
        Of the training, where the cube does not know them or to ask what another rule predicts. By default
        the recorded ``lr`` of each epoch and the rule that the probe recorded.

    Returns
    -------
    xarray.Dataset
        Along ``epoch`` the probes after the first; each value is about the time since the probe before, ``since``.

        ``mean_gram_change``, ``mean_gram_account`` [class × other_class]
            Change of G, and what the account predicts of it.
        ``r_squared``, ``residual``
            1 − ‖ΔG − account‖²/‖ΔG‖², and the root of that quotient. 0 and 1: as good as predicting no change.
        ``between_change``, ``between_account``
            Change of tr G / K, and what the account predicts: the sum of the parts ``between_own``, ``between_other``
            and ``between_decay``, by steps on the class itself, on other classes, and by decay.
        ``within_change``, ``within_account``, ``within_own``, ``within_other``, ``within_decay``
            The same of the mean over classes of within-class variances: of classes of one size, tr Σ_W.
        ``log_ratio_change``, ``log_ratio_account``, ``log_ratio_own``, ``log_ratio_other``, ``log_ratio_decay``
            The same of the log of within over between: collapse itself, its rate integrated on the log scale.
        ``total_r_squared``, ``total_residual``, ``log_ratio_residual``
            Over all of training: of G, squares summed over probes; and of the log ratio,
            (Σ (change − account)² / Σ change²)^½. NaN where the account of some movement is not known.

    Raises
    ------
    NotMeasured
        If the cube lacks the group, has fewer than two probes, or does not know how training stepped.
    OptionError
        For an option that makes no sense.
    """
    values = {
        name: read(cube, f"class_steps/{name}", where=where)
        for name in ("mean_gram", "mean_gram_response", "class_variance")
    }
    if values["mean_gram"].sizes["epoch"] < 2:
        raise NotMeasured("the study", "have at least two probed epochs", "one", "more epochs under `probes.at`")
    weights = weights_of_probes(cube, where, values["mean_gram"], checked_rule(lr, momentum, nesterov, steps_per_epoch))
    gram = values["mean_gram"]
    rate = values["mean_gram_response"] + read(cube, "class_steps/mean_gram_decay_response", where=where)
    parts = {"mean_gram_change": _change(gram), "mean_gram_account": _summed(weights, rate)}
    parts |= _fit(parts["mean_gram_change"], parts["mean_gram_account"])
    parts |= _parts(weights, *levels_and_rates(cube, where, gram, values["class_variance"]))
    change, account = parts["log_ratio_change"], parts["log_ratio_account"]
    parts["log_ratio_residual"] = share_missed((change - account) ** 2, change**2) ** 0.5
    # Arithmetic may keep the attributes of what went into it.
    dataset = xr.Dataset({name: (part.dims, part.values, _facts(name)) for name, part in parts.items()})
    dataset = dataset.assign_coords(gram.isel(epoch=slice(1, None)).coords)
    before = {"long_name": "epoch of the probe before"}
    return dataset.assign_coords(since=("epoch", gram["epoch"].values[:-1], before))


def _change(values: xr.DataArray) -> xr.DataArray:
    """Return the change between each probe and the one before."""
    return values.isel(epoch=slice(1, None)) - values.shift(epoch=1).isel(epoch=slice(1, None))


def _summed(weights: xr.DataArray, rates: xr.DataArray) -> xr.DataArray:
    """Return what rates at the probes add up to between each two of them; the rate of a later probe has weight 0."""
    product = (weights * rates).where(weights != 0, 0.0)
    total = product.sum("epoch", skipna=False).rename(interval="epoch")
    dims = [str(dim) for dim in rates.dims]
    account: xr.DataArray = total.assign_coords(epoch=rates["epoch"].values[1:]).transpose(*dims)
    return account


def _parts(weights: xr.DataArray, between: Levels, within: Levels) -> dict[str, xr.DataArray]:
    """Return changes, parts of their accounts, and the sums of the parts, which are the accounts."""
    relative = {part: within[1][part] / within[0] - between[1][part] / between[0] for part in PARTS}
    ratio = log(within[0]) - log(between[0]), relative
    parts_of_ratio: dict[str, xr.DataArray] = {}
    for name, (level, rates) in {"between": between, "within": within, "log_ratio": ratio}.items():
        parts = {f"{name}_{part}": _summed(weights, rates[part]) for part in PARTS}
        account = functools.reduce(operator.add, parts.values())
        parts_of_ratio |= {f"{name}_change": _change(level), f"{name}_account": account, **parts}
    return parts_of_ratio


def _fit(change: xr.DataArray, account: xr.DataArray) -> dict[str, xr.DataArray]:
    """Return the residuals of an account of G, between two probes and over all of training."""
    missed, moved = ((change - account) ** 2).sum(PAIR, min_count=1), (change**2).sum(PAIR, min_count=1)
    share, total = missed / moved.where(moved > 0), share_missed(missed, moved)
    return {
        "r_squared": 1 - share,
        "residual": share**0.5,
        "total_r_squared": 1 - total,
        "total_residual": total**0.5,
    }


def share_missed(missed: xr.DataArray, moved: xr.DataArray) -> xr.DataArray:
    """Return the sum of squares that an account missed over that of the movement, along all epochs.

    An account of which a part is not known does not close over the rest of training.

    >>> moved = xr.DataArray([3.0, 1.0], dims="epoch")
    >>> float(share_missed(moved / 4, moved)), float(share_missed(moved.where([True, False]) / 4, moved))
    (0.25, nan)
    """
    known = (missed.notnull() | moved.isnull()).all("epoch")
    share: xr.DataArray = (missed.sum("epoch") / moved.sum("epoch", min_count=1)).where(known)
    return share


def _facts(name: str) -> dict[str, Any]:
    """Return the attributes of a variable of the account."""
    if name in ("r_squared", "total_r_squared"):
        return {"units": "1", "formula": "1 - |change - account|² / |change|²", "value_bounds": ["-inf", "1.0"]}
    if name.endswith("residual"):
        return {"units": "1", "formula": "|change - account| / |change|", "value_bounds": ["0.0", "inf"]}
    return {"units": "1" if name.startswith("log_ratio") else "squared feature"}
