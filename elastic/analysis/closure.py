r"""A closed account: class means and variances as single steps predict them, and as training moved them.

The group ``class_steps`` holds, at every probe, the Gram matrix G of the class means about their mean, the within-class
variances v, and their rates under the step on each class and under weight decay. `elastic.analysis.step_weights` sums
the rates over the steps that training took between two probes; the account sets this sum beside the change of G and v.
It is first order in a step. It closes if steps are short, rates vary little between probes and while momentum lasts,
and a batch moves the features as the mean over all train samples does. It stays open by what is missing: curvature (at
the edge of stability most of all), probes too far apart, noise of minibatches beyond first order, batch statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.reading import read, select
from elastic.analysis.step_weights import Array, step_weights
from elastic.errors import NotMeasured, OptionError

PAIR, STEPPED = ("class", "other_class"), ("stepped_class", "observed_class")
#: Parts of an account: by steps on the class itself, on the other classes, and by weight decay.
PARTS = ("own", "other", "decay")
RULE = {"momentum": "step_momentum", "nesterov": "step_nesterov", "steps_per_epoch": "steps_per_epoch"}


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
        ``between_change``, ``between_own``, ``between_other``, ``between_decay``
            Change of tr G / K, and its account by steps on the class itself, on other classes, and by decay.
        ``within_change``, ``within_own``, ``within_other``, ``within_decay``
            The same of the mean within-class variance.
        ``log_ratio_change``, ``log_ratio_own``, ``log_ratio_other``, ``log_ratio_decay``
            The same of the log of within over between: collapse itself, its rate integrated on the log scale.
        ``total_r_squared``, ``total_residual``, ``log_ratio_residual``
            Over all of training: of G, squares summed over probes; and of the log ratio,
            (Σ (change − account)² / Σ change²)^½.

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
    weights = _weights(cube, where, values["mean_gram"], _given(lr, momentum, nesterov, steps_per_epoch))
    gram = values["mean_gram"]
    rate = values["mean_gram_response"] + read(cube, "class_steps/mean_gram_decay_response", where=where)
    found = {"mean_gram_change": _change(gram), "mean_gram_account": _summed(weights, rate)}
    found |= _fit(found["mean_gram_change"], found["mean_gram_account"])
    between, within = _totals(cube, where, gram, values["class_variance"])
    for name, (level, rates) in {"between": between, "within": within}.items():
        found[f"{name}_change"] = _change(level)
        found |= {f"{name}_{part}": _summed(weights, rates[part]) for part in PARTS}
    found["log_ratio_change"] = _change(_log(within[0]) - _log(between[0]))
    for part in PARTS:
        relative = within[1][part] / within[0] - between[1][part] / between[0]
        found[f"log_ratio_{part}"] = _summed(weights, relative)
    predicted = sum((found[f"log_ratio_{part}"] for part in PARTS[1:]), found["log_ratio_own"])
    missed = ((found["log_ratio_change"] - predicted) ** 2).sum("epoch", min_count=1)
    found["log_ratio_residual"] = (missed / (found["log_ratio_change"] ** 2).sum("epoch", min_count=1)) ** 0.5
    # Arithmetic may keep the attributes of what went into it.
    account = xr.Dataset({name: (part.dims, part.values, _facts(name)) for name, part in found.items()})
    account = account.assign_coords(gram.isel(epoch=slice(1, None)).coords)
    before = {"long_name": "epoch of the probe before"}
    return account.assign_coords(since=("epoch", gram["epoch"].values[:-1], before))


def _given(lr: Any, momentum: Any, nesterov: Any, steps_per_epoch: Any) -> dict[str, float]:
    """Return the numbers that are given, checked."""
    asked = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "steps_per_epoch": steps_per_epoch}
    given = {name: float(value) for name, value in asked.items() if value is not None}
    for name in ("lr", "steps_per_epoch"):
        if name in given and not (np.isfinite(given[name]) and given[name] > 0):
            raise OptionError(f"`{name}`", "be positive and finite", repr(asked[name]), f"{name}=1")
    if "momentum" in given and not 0 <= given["momentum"] < 1:
        raise OptionError("`momentum`", "be at least 0 and below 1", repr(momentum), "momentum=0.9")
    return given


def _weights(
    cube: xr.DataTree, where: Mapping[str, Any] | None, gram: xr.DataArray, given: Mapping[str, float]
) -> xr.DataArray:
    """Return the weights […, interval, epoch] of the rates at the probes."""
    rule = {}
    for option, name in RULE.items():
        known = read(cube, f"class_steps/{name}", where=where)
        rule[option] = xr.full_like(known.max("epoch"), given[option]) if option in given else known.max("epoch")
    read_at_all = bool(gram.notnull().any())  # in the cube of a study that has not run, nothing is
    for option in ("momentum", "steps_per_epoch"):
        if read_at_all and not bool(rule[option].notnull().any()):
            expected = "be that of SGD, with or without momentum, or known" if option == "momentum" else "be known"
            hint = f"closure({option}=…), or the option {option} of the probe class_steps"
            raise NotMeasured(f"`{option}` of the training", expected, "nothing in the cube", hint)
    lr = _learning_rates(cube, where, given)
    weights_of = _weights_of_run(gram["epoch"].values.astype(float), lr["record"].values)
    pieces = xr.apply_ufunc(
        weights_of, lr, rule["steps_per_epoch"], rule["momentum"], rule["nesterov"],
        input_core_dims=[["record"], [], [], []], output_core_dims=[["interval", "at"]], vectorize=True,
    )  # fmt: skip
    weights: xr.DataArray = pieces.rename(at="epoch").assign_coords(epoch=gram["epoch"].values)
    return weights


def _weights_of_run(probed: Array, recorded: Array) -> Callable[[Array, float, float, float], Array]:
    """Return the weights of a run by its learning rates and rule; most runs of a study have the same."""
    known: dict[Any, Array] = {}

    def weights_of(lr: Array, steps: float, momentum: float, nesterov: float) -> Array:
        if not (np.isfinite(steps) and np.isfinite(momentum)):
            return np.full((len(probed) - 1, len(probed)), np.nan)
        key = lr.tobytes(), steps, momentum, nesterov
        if key not in known:
            known[key] = step_weights(probed, recorded, lr, steps, momentum, nesterov)
        return known[key]

    return weights_of


def _learning_rates(cube: xr.DataTree, where: Mapping[str, Any] | None, given: Mapping[str, float]) -> xr.DataArray:
    status = cube["training"].dataset["status"]
    if "lr" in cube["training"].dataset.data_vars:
        rates = read(cube, "training/lr", where=where)
    elif "lr" in given:
        rates = xr.full_like(status, np.nan, dtype=float)
        for dim, label in (where or {}).items():
            rates = select(rates, dim, label) if dim in rates.dims else rates
    else:
        hint = "recorder.record(epoch, lr=0.1), or closure(lr=0.1)"
        raise NotMeasured("`lr` of the training", "be recorded", "nothing in the cube", hint)
    if "lr" in given:
        rates = xr.full_like(rates, given["lr"])
    recorded = rates["epoch"].values.astype(float)
    return rates.rename(epoch="record").assign_coords(record=recorded)


def _change(values: xr.DataArray) -> xr.DataArray:
    """Return the change between each probe and the one before."""
    return values.isel(epoch=slice(1, None)) - values.shift(epoch=1).isel(epoch=slice(1, None))


def _summed(weights: xr.DataArray, rates: xr.DataArray) -> xr.DataArray:
    """Return what rates at the probes add up to between each two of them; the rate of a later probe has weight 0."""
    product = (weights * rates).where(weights != 0, 0.0)
    total = product.sum("epoch", skipna=False).rename(interval="epoch")
    dims = [str(dim) for dim in rates.dims]
    found: xr.DataArray = total.assign_coords(epoch=rates["epoch"].values[1:]).transpose(*dims)
    return found


def _log(values: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = xr.apply_ufunc(np.log, values.where(values > 0))
    return found


def _fit(change: xr.DataArray, account: xr.DataArray) -> dict[str, xr.DataArray]:
    """Return the residuals of an account of G, between two probes and over all of training."""
    missed, moved = ((change - account) ** 2).sum(PAIR, min_count=1), (change**2).sum(PAIR, min_count=1)
    share, total = missed / moved.where(moved > 0), missed.sum("epoch", min_count=1) / moved.sum("epoch", min_count=1)
    return {
        "r_squared": 1 - share,
        "residual": share**0.5,
        "total_r_squared": 1 - total,
        "total_residual": total**0.5,
    }


Account = tuple[xr.DataArray, dict[str, xr.DataArray]]


def _totals(
    cube: xr.DataTree, where: Mapping[str, Any] | None, gram: xr.DataArray, variance: xr.DataArray
) -> tuple[Account, Account]:
    """Return the mean over classes of squared distances and of variances, each with the parts of its rate."""
    share = read(cube, "class_steps/step_share", where=where)
    share = share.sel(epoch=gram["epoch"].values)
    own = xr.DataArray(np.eye(gram.sizes["class"]), dims=STEPPED)
    decays = {
        "between": _diagonal(read(cube, "class_steps/mean_gram_decay_response", where=where)).mean("class"),
        "within": read(cube, "class_steps/class_variance_decay_response", where=where).mean("class"),
    }
    levels = {"between": _diagonal(gram).mean("class"), "within": variance.mean("class")}
    found = []
    for name, variable in (("between", "between_response"), ("within", "class_variance_response")):
        rates = share * read(cube, f"class_steps/{variable}", where=where)
        dims = levels[name].dims
        total, same = rates.sum(STEPPED) / gram.sizes["class"], (rates * own).sum(STEPPED) / gram.sizes["class"]
        missing = levels[name].isnull()
        parts = {"own": same, "other": total - same, "decay": decays[name]}
        found.append((levels[name], {part: rate.where(~missing).transpose(*dims) for part, rate in parts.items()}))
    return found[0], found[1]


def _diagonal(gram: xr.DataArray) -> xr.DataArray:
    """Return the entries of a class with itself, […, class]."""
    places = xr.DataArray(np.arange(gram.sizes["class"]), dims="class")
    return gram.drop_vars(PAIR, errors="ignore").isel({"class": places, "other_class": places})


def _facts(name: str) -> dict[str, Any]:
    """Return the attributes of a variable of the account."""
    if name in ("r_squared", "total_r_squared"):
        return {"units": "1", "formula": "1 - |change - account|² / |change|²", "value_bounds": ["-inf", "1.0"]}
    if name.endswith("residual"):
        return {"units": "1", "formula": "|change - account| / |change|", "value_bounds": ["0.0", "inf"]}
    return {"units": "1" if name.startswith("log_ratio") else "squared feature"}
