"""Tidy tables as CSV files, and reading them back without loss."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped]
import xarray as xr

from elastic.errors import StudyError
from elastic.export.tables import codebook, framed, tables
from elastic.export.writing import whole
from elastic.study import Study

#: Files beside the tables: the codebook of all columns, and the attributes of the cube.
CODEBOOK, STUDY = "codebook.csv", "study.csv"


def write_tables(study: Study, cube: xr.DataTree, folder: Path) -> Iterator[Path]:
    """Write a study's tidy tables, their codebook and the study's facts (protocol, digest, versions); yield the files.

    Numbers are written with all their digits, NaN as an empty field.
    """
    for name, part in tables(cube).items():
        yield _write(framed(part), folder / f"{name}.csv")
    yield _write(codebook(cube), folder / CODEBOOK)
    yield _write(_facts(cube), folder / STUDY)


def _write(frame: pd.DataFrame, path: Path) -> Path:
    with whole(path) as partial:
        frame.to_csv(partial, index=False, encoding="utf-8", lineterminator="\n")
    return path


def _facts(cube: xr.DataTree) -> pd.DataFrame:
    values = [
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in cube.attrs.values()
    ]
    return pd.DataFrame({"attribute": list(cube.attrs), "value": values})


def read_tables(folder: Path | str) -> dict[str, pd.DataFrame]:
    """Read the tables that `write_tables` wrote, with the values and types of the cube.

    By default ``pandas.read_csv`` converts the labels "true" and "null" of an axis, or the class "007", to a boolean, a
    missing value and a number. The codebook holds the types, and its column ``read_with`` the call that keeps them.

    Raises
    ------
    StudyError
        If the folder has no codebook, or lacks tables that the codebook lists.
    """
    folder = Path(folder)
    try:
        book = pd.read_csv(folder / CODEBOOK, dtype=str, keep_default_na=False)
        return {str(table): _read(folder / f"{table}.csv", columns) for table, columns in book.groupby("table")}
    except (OSError, ValueError, KeyError) as error:
        hint = "a folder that `elastic export STUDY --csv` wrote"
        raise StudyError("`folder`", "hold exported tables", str(error), hint, place=str(folder)) from None


def _read(path: Path, columns: pd.DataFrame) -> pd.DataFrame:
    dtypes = dict(zip(columns["column"], columns["dtype"], strict=True))
    empty = {column: [""] for column, dtype in dtypes.items() if dtype != "str"}
    return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=empty)
