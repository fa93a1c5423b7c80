"""The cube as one NetCDF-4 file, for R, Julia, MATLAB, Panoply and everybody else who reads HDF5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.export.writing import whole
from elastic.study import Study

FILE = "cube.nc"

#: Lossless; level 4 is netCDF's usual one.
COMPRESSION: Mapping[str, Any] = {"zlib": True, "complevel": 4, "shuffle": True}


def write_netcdf(study: Study, cube: xr.DataTree, folder: Path) -> Iterator[Path]:
    """Write the cube of a study as ``cube.nc`` and yield its path.

    Groups, dims, coordinates, numbers and attributes are those of the cube (``xarray.open_datatree`` gives them back):
    it is what ``study.cube.to_netcdf`` writes, compressed, and whole or not there.
    """
    path = folder / FILE
    encoding = {
        node.path: {str(name): dict(COMPRESSION) for name, variable in node.data_vars.items() if variable.ndim}
        for node in cube.subtree
    }
    with whole(path) as partial:
        cube.to_netcdf(partial, engine="h5netcdf", format="NETCDF4", encoding=encoding)
    yield path
