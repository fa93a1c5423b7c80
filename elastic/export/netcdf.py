"""The cube as one NetCDF-4 file, for R, Julia, MATLAB, Panoply and everybody else who reads HDF5."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.export.writing import whole
from elastic.study import Study

FILE = "cube.nc"

#: Attributes that mean something else in NetCDF's conventions: ``bounds`` names a variable with the cells' corners.
RENAMED: Mapping[str, str] = {"bounds": "value_bounds"}

#: Lossless; level 4 is netCDF's usual one.
COMPRESSION: Mapping[str, Any] = {"zlib": True, "complevel": 4, "shuffle": True}


def write_netcdf(study: Study, folder: Path) -> Iterator[Path]:
    """Write the cube of a study as ``cube.nc`` and yield its path.

    Groups, dims, coordinates and numbers are those of the cube (``xarray.open_datatree`` gives them back). NetCDF
    knows attributes of text and of numbers only: any other is there as JSON text. ``bounds`` is called
    ``value_bounds`` there (see `RENAMED`).
    """
    cube, path = storable(study.cube), folder / FILE
    encoding = {
        node.path: {str(name): dict(COMPRESSION) for name, variable in node.data_vars.items() if variable.ndim}
        for node in cube.subtree
    }
    with whole(path) as partial:
        cube.to_netcdf(partial, engine="h5netcdf", format="NETCDF4", encoding=encoding)
    yield path


def storable(cube: xr.DataTree) -> xr.DataTree:
    """Return the cube with strings and attributes as NetCDF can hold them.

    Examples
    --------
    >>> attrs = {"bounds": [0.0, "inf"], "seeds": [0, 1], "versions": {"numpy": "2.4"}}
    >>> storable(xr.DataTree(xr.Dataset(attrs=attrs))).attrs
    {'value_bounds': '[0.0, "inf"]', 'seeds': [0, 1], 'versions': '{"numpy": "2.4"}'}
    """
    return xr.DataTree.from_dict({node.path: _storable(node.to_dataset(inherit=False)) for node in cube.subtree})


def _storable(dataset: xr.Dataset) -> xr.Dataset:
    spelled = {
        name: (variable.dims, np.array(variable.values.tolist(), dtype=np.str_), variable.attrs)
        for name, variable in dataset.variables.items()
        if variable.dtype.kind not in "iuf"
    }
    # Only coordinates are words; every data variable of a cube is a number.
    dataset = dataset.assign_coords(spelled)
    dataset.attrs = _attributes(dataset.attrs)
    for variable in dataset.variables.values():
        variable.attrs = _attributes(variable.attrs)
    return dataset


def _attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        RENAMED.get(str(name), str(name)): value if _holds(value) else json.dumps(value, ensure_ascii=False)
        for name, value in attrs.items()
    }


def _holds(value: Any) -> bool:
    """Tell whether NetCDF holds an attribute: text, a number, a list of numbers of one kind."""
    kinds = {type(part) for part in value} if isinstance(value, list) and value else {type(value)}
    return len(kinds) == 1 and kinds <= ({int, float} if isinstance(value, list) else {str, int, float})
