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

#: Files beside the tables: what each column means, and where all this comes from (the cube's own attributes).
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
    told = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in cube.attrs.values()]
    return pd.DataFrame({"attribute": list(cube.attrs), "value": told})


def read_tables(folder: Path | str) -> dict[str, pd.DataFrame]:
    """Return the tables of a folder that `write_tables` wrote, every value and type as they were in the cube.

    ``pandas.read_csv`` reads any one of them as well. But it takes the labels "true" and "null" of an axis, or the
    class "007", for a truth value, nothing and a number; the codebook knows that they are words, and its column
    ``read_with`` holds the call that reads them so.

    Raises
    ------
    StudyError
        If the folder has no codebook, or not the tables that it tells of.
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
