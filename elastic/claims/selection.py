"""What the options of a claim select in a cube: split, settings, layers, epoch; diverged runs are excluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from elastic.analysis.derived import measured_as
from elastic.analysis.reading import at_together, hidden_layers, read, select
from elastic.cube import Status
from elastic.errors import ElasticError, NotMeasured, OptionError
from elastic.protocol.claims import OF_ANALYSIS, OF_TRAINING
from elastic.registry import nearest, registry

#: Options of a claim that are fields of a `Selection`.
SELECTING = ("split", "layer", "layers", "epoch", "where")

#: Dims with an option of their own, and the seed, over which the verdict is formed: `where` does not name them.
NOT_IN_WHERE = ("seed", "epoch", "split", "layer")


@dataclass(frozen=True)
class Selection:
    """A cube, and the selection by the options of a claim.

    A claim whose positional parameter is ``selection`` is called with one. Its fields are those of the options
    below that the claim has; the others have the defaults of this class.

    Attributes
    ----------
    cube
        Cube of the study, with one group per probe.
    split
        Selected if a variable has splits; None keeps all.
    layer
        For `read`: a label, or a role ("penultimate", "logits") if no layer has that label; None: every hidden
        layer.
    layers
        For `in_layers`: labels or roles; None: every hidden layer.
    epoch
        For `at_epoch`: a probed epoch; a negative one counts from the last.
    where
        Labels on axes of the study (and on dims of classes), {dim: label}; dims that it does not name are kept.

    Examples
    --------
    >>> nc1 = xr.DataArray([[[9.0, 8.0], [3.0, 1.0]]], dims=("seed", "epoch", "layer"),
    ...                    coords={"epoch": [0, 10], "layer": ["hidden_1", "penultimate"]})
    >>> cube = xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": nc1})})
    >>> selection = Selection(cube, layer="penultimate")
    >>> selection.read("nc1").values.tolist()                          # [seed, epoch]
    [[8.0, 1.0]]
    >>> selection.at_epoch(selection.read("nc1")).values.tolist()      # the last one by default
    [1.0]
    """

    cube: xr.DataTree
    split: str | None = None
    layer: str | None = None
    layers: list[str] | None = None
    epoch: int = -1
    where: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, cube: xr.DataTree, options: Mapping[str, Any]) -> Selection:
        """Return the selection by a claim's options; options with other names are ignored."""
        return cls(cube, **{name: options[name] for name in SELECTING if name in options})

    def read(self, variable: str, *, layer: str | None = None) -> xr.DataArray:
        """Return a variable [*settings, seed, epoch, …] in one layer, or [*settings, seed, epoch, …, layer] in many.

        Values of diverged runs are NaN. A variable without layers is returned unchanged.

        Parameters
        ----------
        variable
            Its name, with or without its group.
        layer
            Read instead of the selected one.

        Raises
        ------
        OptionError
            If there is no such variable, axis, label or layer.
        NotMeasured
            If there is such a variable, but not in this cube, or not for the split.
        """
        return _in_layer(self.read_every_layer(variable), layer or self.layer)

    def read_every_layer(self, variable: str) -> xr.DataArray:
        """Return a variable as `read` does, in all its layers [*settings, seed, epoch, …, layer]: see `in_layers`."""
        _check_known(self.cube, variable)
        values = _without_diverged(self.cube, read(self.cube, variable, split=self.split))
        for dim, label in (self.where or {}).items():
            values = _at_label(values, dim, label, f"`where.{dim}`")
        return values

    def in_layers(self, values: xr.DataArray, *, least: int, include_input: bool = False) -> xr.DataArray:
        """Return values [layer, …] in the selected ``layers``, in the order of depth.

        Parameters
        ----------
        values
            Of `read_every_layer`.
        least
            Number of layers that the claim needs.
        include_input
            Whether the input is one of them, before the hidden ones.

        Raises
        ------
        OptionError
            If there is no such layer, a role is another layer in some runs than in others, or the input is to be
            included although ``layers`` selects layers itself.
        NotMeasured
            If the values have no layers, or too few are selected.
        """
        if "layer" not in values.dims:
            raise NotMeasured("the variable", "be measured in every layer", "one of the whole network", "nc1")
        if include_input and self.layers is not None:
            raise OptionError("`include_input`", "be left out if `layers` is given", "true", "layers: [input, …]")
        values = hidden_layers(values, include_input) if self.layers is None else _at_layers(values, self.layers)
        if values.sizes["layer"] < least:
            hint = "a deeper network, or `layers` with the input among them"
            raise NotMeasured("the study", f"have at least {least} of these layers", f"{values.sizes['layer']}", hint)
        return values

    def at_epoch(self, values: xr.DataArray, epoch: int | None = None) -> xr.DataArray:
        """Return values at the selected epoch, or at another one.

        Raises
        ------
        NotMeasured
            If the epoch was not probed.
        """
        epoch = self.epoch if epoch is None else epoch
        return select(values, "epoch", epoch).drop_vars("epoch", errors="ignore")


def label_on(values: xr.DataArray, axis: str, label: Any) -> xr.DataArray:
    """Return the values at a label of an axis of the study.

    Raises
    ------
    OptionError
        If there is no such axis or label.
    """
    return _at_label(values, axis, label, f"`{axis}`")


def axis_of(values: xr.DataArray, axis: str) -> xr.DataArray:
    """Return the labels of an axis of the study along which the values lie.

    Raises
    ------
    OptionError
        If there is no such axis.
    """
    _check_axis(values, axis, "`axis`")
    return values[axis]


def ended(values: xr.DataArray) -> xr.DataArray:
    """Return curves [epoch, …] of the runs that reached their last epoch; NaN at every epoch for the others.

    The curve of a run that diverged or is still in progress is cut off, and not comparable with a complete one.
    """
    return values.where(values.isel(epoch=-1).notnull())


def _in_layer(values: xr.DataArray, layer: str | None) -> xr.DataArray:
    if "layer" not in values.dims:
        return values
    if layer is None:
        return hidden_layers(values)
    of_layers = [name for name, coordinate in values.coords.items() if "layer" in coordinate.dims]
    return _labelled(values, "layer", layer, "`layer`").drop_vars(of_layers)


def _at_layers(values: xr.DataArray, layers: list[str]) -> xr.DataArray:
    # A role ("penultimate") is not a label: the selection has the label for which it stands.
    labels = {_labelled(values, "layer", layer, "`layers`")["layer"].item() for layer in layers}
    if various := sorted(labels.difference(values["layer"].values.tolist())):
        found, hint = (
            f"{various[0]!r}, which is not the same layer in all runs",
            "layers by their own names, or `where`",
        )
        raise OptionError("`layers`", "be layers of all runs", found, hint)
    return values.isel(layer=[i for i, name in enumerate(values["layer"].values) if name in labels])


def _check_known(cube: xr.DataTree, variable: str) -> None:
    group, _, name = variable.rpartition("/")
    held = {child.name: [str(one) for one in child.dataset.data_vars] for child in cube.children.values()}
    everything = [one for of_group in held.values() for one in of_group]
    if name in (*everything, *OF_TRAINING, *OF_ANALYSIS):
        if group and name in everything and name not in held.get(group, []):
            home = next(one for one, of_group in held.items() if name in of_group)
            raise OptionError(f"`{variable}`", "be a variable of its group", repr(variable), f"'{home}/{name}'")
        return
    try:
        metrics = registry("metrics")
        known = metrics.names()
    except ImportError:  # metrics need torch, which readers of cubes need not have installed
        return
    if name not in known:
        hint = nearest(name, [*everything, *known], fallback="one of `elastic list metrics`")
        raise OptionError(f"`{variable}`", "be a variable of the cube", repr(variable), hint)
    needed = metrics.get(name).facts.group
    of_probe, of_metric = f"a probe that measures it (probes.{needed})", f"elastic show {name}, for what it needs"
    hint = of_metric if needed in held else of_probe
    raise NotMeasured(f"`{variable}`", "be measured in the study", repr(variable), hint)


def _at_label(values: xr.DataArray, dim: str, label: Any, option: str) -> xr.DataArray:
    try:
        together = at_together(values, dim, label)
    except ElasticError as error:
        raise OptionError(option, f"be a label on {dim}", error.found, error.hint) from None
    if together is not None:
        return together.drop_vars([name for name, along in together.coords.items() if name == dim or not along.dims])
    _check_axis(values, dim, option)
    beside = [name for name, along in values.coords.items() if along.dims == (dim,)]  # axes that vary together
    return _labelled(values, dim, label, option).drop_vars([dim, *beside], errors="ignore")


def _check_axis(values: xr.DataArray, dim: str, option: str) -> None:
    known = [str(d) for d in values.dims if d not in NOT_IN_WHERE]
    if dim not in known:
        hint = nearest(dim, known, fallback=f"one of {', '.join(known)}" if known else "leaving it out")
        raise OptionError(option, f"be an axis of the study, or a dim of {values.name}", repr(dim), hint)


def _labelled(values: xr.DataArray, dim: str, label: Any, option: str) -> xr.DataArray:
    try:
        return select(values, dim, label)
    except ElasticError as error:
        expected = "be a layer of the network" if dim == "layer" else f"be a label on {dim}"
        raise OptionError(option, expected, error.found, error.hint) from None


def _without_diverged(cube: xr.DataTree, values: xr.DataArray) -> xr.DataArray:
    """Mask diverged runs with NaN: their numbers are not results of training."""
    name = measured_as(str(values.name))
    for group in cube.children.values():
        if name in group.dataset.data_vars and "status" in group.dataset:
            return values.where(group.dataset["status"] == Status.DONE).transpose(*values.dims)
    return values
