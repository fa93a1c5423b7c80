"""Conversion of cubes for all tools of xarray: strings of fixed width, attributes that netCDF and Zarr can store.

xarray neither plots strings of any length (``StringDType``, objects) nor writes them to netCDF.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from elastic.cube.attributes import storable


def portable(tree: xr.DataTree) -> xr.DataTree:
    """Return a cube of any version of elastic with current strings and attributes; reads no values.

    >>> old = xr.Dataset({"nc1": ((), 1.0, {"bounds": [0.0, "inf"]})})
    >>> portable(xr.DataTree(old))["nc1"].attrs
    {'value_bounds': ['0.0', 'inf']}
    """
    return mapped(tree, _portable)


def _portable(dataset: xr.Dataset) -> xr.Dataset:
    # Without the encoding of the file: it would hold the user's own file to this one's format and chunks.
    dataset = with_fixed_width(dataset).drop_encoding()
    dataset.attrs = storable(dataset.attrs)
    for variable in dataset.variables.values():
        variable.attrs = storable(variable.attrs)
    return dataset


def fixed_width(values: NDArray[Any]) -> NDArray[Any]:
    """Return labels as strings of fixed width or as numbers that pandas can index; a mixture stays as it is.

    >>> fixed_width(np.array(["input", "logits"], dtype=object))
    array(['input', 'logits'], dtype='<U6')
    >>> fixed_width(np.array([3, 5], dtype=object)), fixed_width(np.array([0.5], dtype=np.float16)).dtype
    (array([3, 5]), dtype('float64'))
    """
    if values.dtype.kind == "f" and values.itemsize not in (4, 8):
        return values.astype(np.float64)
    if values.dtype.kind not in "OT":
        return values
    labels = values.ravel().tolist()
    if all(isinstance(label, str) for label in labels):
        return np.array(labels, dtype=np.str_).reshape(values.shape)
    numbers = all(isinstance(label, int | float | np.number) for label in labels)
    return np.array(labels).reshape(values.shape) if numbers else values


def mapped(tree: xr.DataTree, change: Callable[[xr.Dataset], xr.Dataset]) -> xr.DataTree:
    """Return a tree with every group's own part changed, those that hold nothing but attributes among them."""
    return xr.DataTree.from_dict({node.path: change(node.to_dataset(inherit=False)) for node in tree.subtree})


def with_fixed_width(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset whose labels are of `fixed_width`; nothing else of it is read or changed.

    >>> names = np.array(["input", "logits"], dtype=np.dtypes.StringDType())
    >>> with_fixed_width(xr.Dataset(coords={"layer": names}))["layer"].dtype
    dtype('<U6')
    """
    # A new variable has no encoding: the old one would say that strings are written as they were read.
    changed = {
        name: (variable.dims, fixed_width(variable.values), variable.attrs)
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "OT"
    }
    coords = {name: variable for name, variable in changed.items() if name in dataset.coords}
    others = {name: variable for name, variable in changed.items() if name not in coords}
    return dataset.assign_coords(coords).assign(others) if changed else dataset
