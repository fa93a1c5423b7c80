"""Combining several cubes along a new dim, or along a common axis.

Every combined array is allocated once and filled cube by cube. (`xarray.concat` sorts the labels of a dim in which
cubes differ, so that layers would be in alphabetical order, and converts the integer ``status`` to floats.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.combined_coordinates import coordinates_of
from elastic.cube.coordinates import Label, indices, labelled
from elastic.cube.label_order import merged_labels, merged_layers
from elastic.cube.names import ALONG_DIMS, RESERVED, STATUS, TRAINING, Status
from elastic.errors import StudyError

#: Attributes that describe a variable in words; its ``formula`` defines it (`elastic.cube.renamed_variables`).
DESCRIPTIONS = ("long_name", "convention")


@dataclass(frozen=True)
class Part:
    """One of the cubes.

    Attributes
    ----------
    name
        By which messages call it.
    cube
        With the group ``training``.
    labels
        Its labels along the dim along which cubes are combined.
    """

    name: str
    cube: xr.DataTree
    labels: Sequence[Label]


def axes_of(cube: xr.DataTree) -> dict[str, list[Label]]:
    """Return the axes of a cube, the seed among them, with their labels."""
    status = cube[TRAINING].dataset[STATUS]
    return {str(dim): status[dim].values.tolist() for dim in status.dims if dim != "epoch"}


def combined(parts: Sequence[Part], dim: str) -> xr.DataTree:
    """Combine several cubes; missing values are NaN, with ``status`` 0 (missing).

    Parameters
    ----------
    parts
        Two cubes or more.
    dim
        A new axis, which becomes the first dim, or one that every cube has.

    Raises
    ------
    StudyError
        If the cubes differ in their axes, or in the dims or units of a variable, or two of them have the same label
        along ``dim``.
    """
    axes = _common_axes(parts, dim)
    names = dict.fromkeys(name for part in parts for name in part.cube.children)
    if clash := sorted({dim} & ((RESERVED - ALONG_DIMS.keys()) | names.keys() | _inside(parts))):
        raise StudyError("`dim`", "be a new name, or an axis of every study", repr(clash[0]), '"study"')
    groups = {name: _group(name, parts, dim, axes) for name in names}
    return xr.DataTree.from_dict({"/": xr.Dataset(), **groups})


def _common_axes(parts: Sequence[Part], dim: str) -> dict[str, list[Label]]:
    """Return the axes of the whole with all their labels, ``dim`` among them."""
    first, *others = (axes_of(part.cube) for part in parts)
    for part, axes in zip(parts[1:], others, strict=True):
        if differing := sorted((first.keys() ^ axes.keys()) - {dim}):
            has, lacks = (parts[0].name, part.name) if differing[0] in first else (part.name, parts[0].name)
            hint = f"one value of it: the cube of {has!r} .isel({differing[0]}=0)"
            raise StudyError(
                f"the axis `{differing[0]}`", "be in every study", f"it in {has!r}, not in {lacks!r}", hint
            )
    labels = [label for part in parts for label in part.labels]
    if twice := sorted({str(label) for label in labels if labels.count(label) > 1}):
        hint = f"cubes that differ there: cube.sel({dim}=[…])" if dim in first else "labels=[…] of your own"
        raise StudyError(f"the labels of `{dim}`", "be different", f"{twice[0]} in two studies", hint)
    common = {} if dim in first else {dim: labels}
    for axis in first:
        along = [axes[axis] for axes in (first, *others)]
        if len({isinstance(label, str) for part in along for label in part}) > 1:
            hint = "studies whose protocols label it alike"
            raise StudyError(f"the axis `{axis}`", "be of numbers, or of texts, in every study", "both", hint)
        common[axis] = labels if axis == dim else merged_labels(along)
    return common


def _inside(parts: Sequence[Part]) -> set[str]:
    """Return the names of all variables and of all dims that are no axes."""
    datasets = [group.dataset for part in parts for group in part.cube.children.values()]
    axes = {axis for part in parts for axis in axes_of(part.cube)}
    return {str(name) for dataset in datasets for name in (*dataset.data_vars, *dataset.dims)} - axes


def _group(name: str, parts: Sequence[Part], dim: str, axes: Mapping[str, list[Label]]) -> xr.Dataset:
    """Return one group of the whole."""
    measured = [(part, _renamed(part.cube[name].to_dataset(), dim)) for part in parts if name in part.cube.children]
    labels = {**axes, **_labels([dataset for _, dataset in measured], axes)}
    places = [
        {dim: indices(labels[dim], part.labels)}
        | {str(d): indices(labels[str(d)], dataset[d].values.tolist()) for d in dataset.dims if d != dim}
        for part, dataset in measured
    ]
    datasets = [dataset for _, dataset in measured]
    owners = [part.name for part, _ in measured]
    variables = dict.fromkeys(str(v) for dataset in datasets for v in dataset.data_vars)
    data = {v: _variable(f"{name}/{v}", v, datasets, owners, places, labels, dim) for v in sorted(variables)}
    coords: dict[str, Any] = {}
    for along, values in labels.items():
        attrs = next((dataset[along].attrs for dataset in datasets if along in dataset.coords), None)
        dims, array, described = labelled(along, values)
        coords[along] = (dims, array, dict(attrs) if attrs else described)
    return xr.Dataset(data, coords | coordinates_of(datasets, places, labels, dim))


def _renamed(dataset: xr.Dataset, dim: str) -> xr.Dataset:
    """Return a group whose coordinates along layers leave their name to an axis of this name, as in any cube."""
    is_taken = dim in ALONG_DIMS and dim in dataset.coords and dim not in dataset.dims
    return dataset.rename({dim: ALONG_DIMS[dim]}) if is_taken else dataset


def _labels(datasets: Sequence[xr.Dataset], axes: Mapping[str, Any]) -> dict[str, list[Label]]:
    """Return the labels along the dims of a group that are no axes: the epochs first, then as variables have them."""
    variables = [variable for dataset in datasets for variable in dataset.data_vars.values()]
    dims = dict.fromkeys(str(dim) for holder in (*variables, *datasets) for dim in holder.dims)
    labels: dict[str, list[Label]] = {}
    for dim in ("epoch", *(dim for dim in dims if dim not in axes and dim != "epoch")):
        along = [dataset[dim].values.tolist() for dataset in datasets if dim in dataset.dims]
        labels[dim] = [*merged_layers(_depths(datasets))] if dim == "layer" else merged_labels(along)
    return labels


def _depths(datasets: Sequence[xr.Dataset]) -> list[dict[str, float]]:
    """Return the depth of each layer, by name, of each dataset that has layers: the greatest of its runs."""
    deepest_by_name = []
    for dataset in datasets:
        if "layer" in dataset.dims:
            names = [str(name) for name in dataset["layer"].values]
            depths = [dataset[name] for name in ("depth", "layer_depth") if name in dataset.coords]
            depth = next(
                (along for along in depths if "layer" in along.dims), xr.DataArray(range(len(names)), dims="layer")
            )
            deepest = depth.max([d for d in depth.dims if d != "layer"]).values
            deepest_by_name.append(dict(zip(names, map(float, deepest), strict=True)))
    return deepest_by_name


def _variable(
    path: str,
    name: str,
    datasets: Sequence[xr.Dataset],
    owners: Sequence[str],
    places: Sequence[Mapping[str, Any]],
    labels: Mapping[str, list[Label]],
    dim: str,
) -> tuple[tuple[str, ...], Any, dict[str, Any]]:
    """Return one variable of the whole as xarray takes it."""
    held = [(d, owner, at) for d, owner, at in zip(datasets, owners, places, strict=True) if name in d.data_vars]
    variables = [dataset[name] for dataset, _, _ in held]
    for fact, of in (("dims", lambda v: tuple(sorted(map(str, v.dims)))), ("units", lambda v: v.attrs.get("units"))):
        for variable, (_, owner, _) in zip(variables, held, strict=True):
            if of(variable) != of(variables[0]):
                found = f"{of(variables[0])} in {held[0][1]!r}, {of(variable)} in {owner!r}"
                hint = "recording them with one version of elastic"
                raise StudyError(f"`{path}`", f"have the same {fact} in every study", found, hint)
    dims = [d for d in labels if d == dim or d in variables[0].dims]
    kinds = {variable.dtype.kind for variable in variables}
    fill: Any = np.nan
    dtype = np.result_type(np.float32, *(variable.dtype for variable in variables)) if kinds <= set("fiub") else object
    if name == STATUS:
        fill, dtype = Status.MISSING, np.result_type(*(variable.dtype for variable in variables))
    whole = np.full([len(labels[d]) for d in dims], fill, dtype=dtype)
    for variable, (_, _, at) in zip(variables, held, strict=True):
        values = variable if dim in variable.dims else variable.expand_dims(dim)
        whole[np.ix_(*(at[d] for d in dims))] = values.transpose(*dims).values
    return tuple(dims), whole, _agreed([variable.attrs for variable in variables])


def _agreed(attrs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attributes in which all agree, and the description of the first if their formulas agree.

    Releases may describe one definition in different words.

    >>> _agreed([{"units": "1", "since": "0.1"}, {"units": "1", "since": "0.2"}])
    {'units': '1'}
    >>> _agreed([{"formula": "Σx/n", "long_name": "mean of x"}, {"formula": "Σx/n", "long_name": "average of x"}])
    {'formula': 'Σx/n', 'long_name': 'mean of x'}
    """
    first, *others = attrs
    agreed = {k: v for k, v in first.items() if all(k in other and np.array_equal(other[k], v) for other in others)}
    kept = DESCRIPTIONS if "formula" in agreed else ()
    return {k: v for k, v in first.items() if k in agreed or k in kept}
