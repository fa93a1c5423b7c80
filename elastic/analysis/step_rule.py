"""The rule of a study's steps as its cube knows it, or as an analysis gives it, and the weights of the probed rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.reading import read, select
from elastic.analysis.step_weights import Array, step_weights
from elastic.errors import NotMeasured, OptionError

#: Variables of the group class_steps by what they say of the rule.
RULE = {"momentum": "step_momentum", "nesterov": "step_nesterov", "steps_per_epoch": "steps_per_epoch"}


def checked_rule(lr: Any, momentum: Any, nesterov: Any, steps_per_epoch: Any) -> dict[str, float]:
    """Return the numbers that are given, checked."""
    asked = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "steps_per_epoch": steps_per_epoch}
    given = {name: float(value) for name, value in asked.items() if value is not None}
    for name in ("lr", "steps_per_epoch"):
        if name in given and not (np.isfinite(given[name]) and given[name] > 0):
            raise OptionError(f"`{name}`", "be positive and finite", repr(asked[name]), f"{name}=1")
    if "momentum" in given and not 0 <= given["momentum"] < 1:
        raise OptionError("`momentum`", "be at least 0 and below 1", repr(momentum), "momentum=0.9")
    return given


def weights_of_probes(
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
