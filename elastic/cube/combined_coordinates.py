"""Non-index coordinates of combined cubes: depth, width and role of layers, numbers of samples, coupled axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.coordinates import Label
from elastic.cube.record import Array
from elastic.errors import StudyError

#: The role of a layer has the dim ``layer`` alone: what is the output of some networks only is hidden in the whole.
ROLES, HIDDEN = ("role", "layer_role"), "hidden"


def coordinates_of(
    datasets: Sequence[xr.Dataset], places: Sequence[Mapping[str, Any]], labels: Mapping[str, list[Label]], dim: str
) -> dict[str, tuple[tuple[str, ...], Array, dict[str, Any]]]:
    """Return the coordinates of a combined group, without those of the dims themselves, as xarray takes them.

    A coordinate in which all cubes agree keeps its dims; any other has ``dim`` too, and NaN where a cube has none.

    Parameters
    ----------
    datasets
        The group in each cube that has it.
    places
        Of each dataset, where its labels along each dim stand in the whole.
    labels
        Of the whole, in the order of its dims.
    dim
        Along which the cubes are combined.
    """
    names = dict.fromkeys(str(name) for dataset in datasets for name in dataset.coords if name not in dataset.dims)
    coordinates: dict[str, tuple[tuple[str, ...], Array, dict[str, Any]]] = {}
    for name in names:
        if name in labels:
            continue
        held = [(dataset[name], at) for dataset, at in zip(datasets, places, strict=True) if name in dataset.coords]
        of_one = {tuple(map(str, values.dims)) for values, _ in held}
        dims: tuple[str, ...]
        if name in ROLES and of_one == {("layer",)}:
            dims, whole = _roles(held, labels)
        elif len(of_one) == 1 and len(next(iter(of_one))) == 1 and _is_axis(next(iter(of_one))[0], datasets, dim):
            dims, whole = _along_axis(name, held, labels)
        else:
            dims, whole = _padded(held, labels, dim, in_all=len(held) == len(datasets))
        coordinates[name] = (dims, whole, dict(held[0][0].attrs))
    return coordinates


def _is_axis(along: str, datasets: Sequence[xr.Dataset], dim: str) -> bool:
    """Return whether a dim is one of the axes: every variable has it, as ``status`` has."""
    return along not in (dim, "epoch") and all(along in dataset["status"].dims for dataset in datasets)


def _roles(
    held: Sequence[tuple[xr.DataArray, Any]], labels: Mapping[str, list[Label]]
) -> tuple[tuple[str, ...], Array]:
    roles: dict[str, str] = {}
    for values, _ in held:
        for layer, role in zip(values["layer"].values.tolist(), values.values.tolist(), strict=True):
            roles[layer] = role if roles.get(layer, role) == role else HIDDEN
    return ("layer",), np.array([roles.get(str(layer), HIDDEN) for layer in labels["layer"]], dtype=np.str_)


def _along_axis(
    name: str, held: Sequence[tuple[xr.DataArray, Any]], labels: Mapping[str, list[Label]]
) -> tuple[tuple[str, ...], Array]:
    """Return an axis that varies together with another: each label of that one has one of its own."""
    (along,) = held[0][0].dims
    known: dict[Label, Any] = {}
    for values, _ in held:
        for label, value in zip(values[along].values.tolist(), values.values.tolist(), strict=True):
            if not _same(known.setdefault(label, value), value):
                found = f"{known[label]} and {value} at {along}={label}"
                hint = f"leaving it out: cube.drop_vars({name!r}), or studies that agree"
                raise StudyError(f"the coordinate `{name}`", f"be the same for one {along}", found, hint)
    is_text = any(isinstance(value, str) for value in known.values())
    whole = [known.get(label, "" if is_text else np.nan) for label in labels[str(along)]]
    return (str(along),), np.array(whole)


def _padded(
    held: Sequence[tuple[xr.DataArray, Mapping[str, Any]]], labels: Mapping[str, list[Label]], dim: str, *, in_all: bool
) -> tuple[tuple[str, ...], Array]:
    """Return numbers (texts) of the cubes, NaN ("") elsewhere; without ``dim`` if all cubes have the same.

    A value on an axis of which one was taken, ``cube.isel(rate=0)``, is a number of that cube only.
    """
    of_any = {str(d) for values, _ in held for d in values.dims}
    dims = [dim, *(d for d in labels if d in of_any and d != dim)]
    is_text = any(values.dtype.kind not in "fiub" for values, _ in held)
    whole = np.full([len(labels[d]) for d in dims], "" if is_text else np.nan, dtype=object if is_text else float)
    begun = []
    for values, at in held:
        values = values.drop_vars(list(values.coords))
        values = values.expand_dims({d: len(at[d]) for d in dims if d not in values.dims})
        whole[np.ix_(*(at[d] for d in dims))] = values.transpose(*dims).values
        begun += list(at[dim])
    whole = np.array(whole.tolist(), dtype=np.str_).reshape(whole.shape) if is_text else whole
    first = whole[begun[0]]
    if in_all and dim not in of_any and all(_same(first, whole[place]) for place in begun):
        return tuple(dims[1:]), first
    return tuple(dims), whole


def _same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")
