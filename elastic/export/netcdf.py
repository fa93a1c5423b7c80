"""The cube as one NetCDF-4 file, for R, Julia, MATLAB, Panoply and other programs that read HDF5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.export.writing import whole
from elastic.study import Study

FILE = "cube.nc"

#: Lossless compression at netCDF's default level 4.
COMPRESSION: Mapping[str, Any] = {"zlib": True, "complevel": 4, "shuffle": True}


def write_netcdf(study: Study, cube: xr.DataTree, folder: Path) -> Iterator[Path]:
    """Write the cube of a study as ``cube.nc`` and yield its path.

    ``xarray.open_datatree`` reads back the groups, dims, coordinates, values and attributes of the cube. Equivalent to
    ``study.cube.to_netcdf``, but compressed and written atomically.
    """
    path = folder / FILE
    encoding = {
        node.path: {str(name): dict(COMPRESSION) for name, variable in node.data_vars.items() if variable.ndim}
        for node in cube.subtree
    }
    with whole(path) as partial:
        cube.to_netcdf(partial, engine="h5netcdf", format="NETCDF4", encoding=encoding)
    yield path
