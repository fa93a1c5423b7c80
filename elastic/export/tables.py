"""The cube as tidy tables (one row per grid point, one column per variable) and a codebook of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import xarray as xr

#: Attributes of a variable in the codebook.
FACTS = ("long_name", "units", "source", "formula", "convention")


def tables(cube: xr.DataTree) -> dict[str, xr.Dataset]:
    """Split the cube into datasets ready for ``to_dataframe()``: all variables of one have the same dims.

    Parameters
    ----------
    cube
        Cube as returned by `elastic.open_study(…).cube`.

    Returns
    -------
    dict
        By name: the group and the dims other than axes and epoch, such as ``collapse-split-layer-class``.
        Coordinates such as ``depth`` are included wherever their dims are.

    Examples
    --------
    >>> loss = xr.DataArray([[[0.5]]], dims=("seed", "epoch", "split"))
    >>> group = xr.Dataset({"loss": loss, "lr": loss.isel(split=0)})
    >>> [(name, list(part)) for name, part in tables(xr.DataTree.from_dict({"/training": group})).items()]
    [('training-split', ['loss']), ('training', ['lr'])]
    """
    parts: dict[str, dict[str, list[str]]] = {}
    for group, node in cube.children.items():
        for name, variable in node.dataset.data_vars.items():
            dims = [str(dim) for dim in variable.dims]
            own = dims[dims.index("epoch") + 1 :]  # a variable has the study's axes, then epoch, then its own dims
            parts.setdefault(group, {}).setdefault("-".join([group, *own]), []).append(str(name))
    return {
        table: cube[group].to_dataset()[names] for group, of_group in parts.items() for table, names in of_group.items()
    }


def tidy(cube: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Return the cube as tidy tables, with the names of `tables`.

    Returns
    -------
    dict
        Each table begins with one column per dim, outermost first, followed by variables and coordinates. Values
        not computed are NaN; ``status`` in ``training`` says why: 0 missing, 1 done, 2 diverged.

    Examples
    --------
    >>> loss = xr.DataArray([[0.5, 0.25]], dims=("seed", "epoch"), coords={"seed": [7], "epoch": [0, 1]})
    >>> tidy(xr.DataTree.from_dict({"/training": xr.Dataset({"loss": loss})}))["training"]
       seed  epoch  loss
    0     7      0  0.50
    1     7      1  0.25
    """
    return {name: framed(part) for name, part in tables(cube).items()}


def framed(part: xr.Dataset) -> pd.DataFrame:
    """Convert one of the `tables` to a frame with the column types that a CSV file can hold."""
    dims = next(iter(part.data_vars.values())).dims
    frame = part.to_dataframe(dim_order=list(dims)).reset_index()
    return frame.astype({name: dtype for name, dtype in _dtypes(part).items() if dtype != "str"})


def _dtypes(part: xr.Dataset) -> dict[str, str]:
    """Return int64, float64 or str for every column."""
    kinds = {"i": "int64", "u": "int64", "f": "float64"}
    return {str(name): kinds.get(variable.dtype.kind, "str") for name, variable in part.variables.items()}


def codebook(cube: xr.DataTree) -> pd.DataFrame:
    """Describe every column of every table.

    Returns
    -------
    pandas.DataFrame
        One row per column: ``table``, ``column``, ``role`` (dim, coordinate or variable), ``dtype``, `FACTS`, and
        ``read_with``: the line of Python that reads the table without converting labels.
    """
    rows = [
        {"table": table, "column": str(name), **_described(part, str(name)), "read_with": reading(table, part)}
        for table, part in tables(cube).items()
        for name in framed(part.isel({dim: slice(0, 1) for dim in part.dims})).columns
    ]
    return pd.DataFrame(rows, columns=["table", "column", "role", "dtype", *FACTS, "read_with"])


def reading(table: str, part: xr.Dataset) -> str:
    """Return the line of Python that reads a table without converting labels.

    By default pandas reads the labels "NA", "None" and "" as missing, "True" as a boolean, "1e5" as a number.

    >>> part = xr.Dataset({"loss": ("class", [0.5, 0.25])}, coords={"class": ["NA", "1e5"]})
    >>> print(reading("training-class", part))
    pandas.read_csv('training-class.csv', dtype={'class': str}, keep_default_na=False, na_values={'loss': ['']})
    """
    dtypes = _dtypes(part)
    words = ", ".join(f"{name!r}: str" for name, dtype in dtypes.items() if dtype == "str")
    missing = ", ".join(f"{name!r}: ['']" for name, dtype in dtypes.items() if dtype == "float64")
    options = f"dtype={{{words}}}, keep_default_na=False, na_values={{{missing}}}"
    return f"pandas.read_csv({f'{table}.csv'!r}, {options})"


def _described(part: xr.Dataset, name: str) -> dict[str, str]:
    column, dtype = part[name], _dtypes(part)[name]
    role = "dim" if name in part.dims else "coordinate" if name in part.coords else "variable"
    return {"role": role, "dtype": dtype, **{fact: _fact_text(fact, column.attrs) for fact in FACTS}}


def _fact_text(fact: str, attrs: Mapping[str, Any]) -> str:
    if fact == "convention" and "flag_values" in attrs:
        meanings = str(attrs["flag_meanings"]).split()
        return ", ".join(f"{value}: {what}" for value, what in zip(attrs["flag_values"], meanings, strict=True))
    return str(attrs.get(fact, ""))
