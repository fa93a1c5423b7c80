"""What a claim reads of a cube: a variable at an epoch, in some layers, of the runs that did not diverge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.derived import measured_as
from elastic.analysis.reading import hidden_layers, read, select
from elastic.cube import Status
from elastic.cube.attributes import bounds_of
from elastic.errors import ElasticError, NotMeasured, OptionError
from elastic.protocol.claims import OF_ANALYSIS, OF_TRAINING
from elastic.registry import nearest, registry

#: Dims that have an option of their own, and the seed, over which the verdict is formed.
NOT_CHOSEN_BY_WHERE = ("seed", "epoch", "split", "layer")


def measured(
    cube: xr.DataTree, variable: str, *, split: str | None = None, where: Mapping[str, Any] | None = None
) -> xr.DataArray:
    """Return a variable [*settings, seed, epoch, …] of a cube, NaN wherever a run has diverged.

    Parameters
    ----------
    cube
        A study's.
    variable
        Its name, with or without its group.
    split
        Taken where the variable has splits.
    where
        Labels on axes (and on dims of classes) that are taken.

    Raises
    ------
    OptionError
        If there is no such variable, axis or label.
    NotMeasured
        If there is such a variable, and this cube does not have it, or not for the split.
    """
    _check_known(cube, variable)
    values = _of_sound_runs(cube, read(cube, variable, split=split))
    for dim, label in (where or {}).items():
        values = _chosen(values, dim, label, f"`where.{dim}`")
    return values


def at_epoch(values: xr.DataArray, epoch: int) -> xr.DataArray:
    """Return the values at a probed epoch; a negative one counts from the last.

    Raises
    ------
    NotMeasured
        If it was not probed.
    """
    return select(values, "epoch", epoch).drop_vars("epoch", errors="ignore")


def in_layer(values: xr.DataArray, layer: str | None) -> xr.DataArray:
    """Return the values in one layer, or in every hidden one; what has no layers is returned as it is.

    Raises
    ------
    OptionError
        If there is no such layer.
    """
    if "layer" not in values.dims:
        return values
    if layer is None:
        return hidden_layers(values)
    return _labelled(values, "layer", layer, "`layer`").drop_vars(["layer", "depth", "width", "role"], errors="ignore")


def in_layers(values: xr.DataArray, layers: list[str] | None, *, least: int) -> xr.DataArray:
    """Return the values in the named layers, by default the hidden ones, in the order of depth.

    Raises
    ------
    OptionError
        If one is not there.
    NotMeasured
        If the variable has fewer than the least number of layers.
    """
    if "layer" not in values.dims:
        raise NotMeasured("the variable", "be measured in every layer", "one of the whole network", "nc1")
    if layers is None:
        values = hidden_layers(values)
    else:
        chosen = [_labelled(values, "layer", layer, "`layers`")["layer"].item() for layer in layers]
        values = values.isel(layer=[i for i, name in enumerate(values["layer"].values) if name in chosen])
    if values.sizes["layer"] < least:
        hint = "a deeper network, or `layers` with the input among them"
        raise NotMeasured("the study", f"have at least {least} of these layers", f"{values.sizes['layer']}", hint)
    return values


def label_on(values: xr.DataArray, axis: str, label: Any) -> xr.DataArray:
    """Return the values at a label of an axis.

    Raises
    ------
    OptionError
        If there is no such axis or label.
    """
    return _chosen(values, axis, label, f"`{axis}`")


def axis_of(values: xr.DataArray, axis: str) -> xr.DataArray:
    """Return the labels of an axis of the study, along which values lie.

    Raises
    ------
    OptionError
        If there is no such axis.
    """
    _check_axis(values, axis, "`axis`")
    return values[axis]


def ended(values: xr.DataArray) -> xr.DataArray:
    """Return courses [epoch, …] of the runs that got to their last epoch; NaN all along for the others.

    A run that diverged or is still to end has a course up to there, which is another one than that of a whole run.
    """
    return values.where(values.isel(epoch=-1).notnull())


def is_ratio(values: xr.DataArray) -> bool:
    """Return whether a variable has no sign and no upper bound, as its attributes say.

    Such values (nc1, locality, a norm) vary by factors from seed to seed: their logs are nearer to normal.

    >>> is_ratio(xr.DataArray(1.0, attrs={"value_bounds": ["0.0", "inf"]})), is_ratio(xr.DataArray(1.0))
    (True, False)
    """
    low, high = bounds_of(values.attrs) or (-np.inf, np.inf)
    return low >= 0 and high == np.inf


def log(values: xr.DataArray) -> xr.DataArray:
    """Return natural logs; NaN for what has none (0 and below)."""
    logs: xr.DataArray = xr.apply_ufunc(np.log, values.where(values > 0))
    return logs


def _check_known(cube: xr.DataTree, variable: str) -> None:
    name = variable.rpartition("/")[2]
    held = [str(known) for group in cube.children.values() for known in group.dataset.data_vars]
    if name in (*held, *OF_TRAINING, *OF_ANALYSIS):
        return
    try:
        known = registry("metrics").names()
    except ImportError:  # metrics are written in torch, which need not be there to read a cube
        return
    if name not in known:
        hint = nearest(name, [*held, *known], fallback="one of `elastic list metrics`")
        raise OptionError(f"`{variable}`", "be a variable of the cube", repr(variable), hint)


def _chosen(values: xr.DataArray, dim: str, label: Any, option: str) -> xr.DataArray:
    _check_axis(values, dim, option)
    return _labelled(values, dim, label, option).drop_vars(dim, errors="ignore")


def _check_axis(values: xr.DataArray, dim: str, option: str) -> None:
    known = [str(d) for d in values.dims if d not in NOT_CHOSEN_BY_WHERE]
    if dim not in known:
        hint = nearest(dim, known, fallback=f"one of {', '.join(known)}" if known else "leaving it out")
        raise OptionError(option, "be an axis of the study", repr(dim), hint)


def _labelled(values: xr.DataArray, dim: str, label: Any, option: str) -> xr.DataArray:
    try:
        return select(values, dim, label)
    except ElasticError as error:
        raise OptionError(option, f"be a label on {dim}", error.found, error.hint) from None


def _of_sound_runs(cube: xr.DataTree, values: xr.DataArray) -> xr.DataArray:
    """Return the values where the runs were well: a number of one that diverged says nothing of training."""
    name = measured_as(str(values.name))
    for group in cube.children.values():
        if name in group.dataset.data_vars and "status" in group.dataset:
            return values.where(group.dataset["status"] == Status.DONE).transpose(*values.dims)
    return values
