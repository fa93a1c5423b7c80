"""The headline of a study: collapse and locality of every layer at the first and the last probed epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import xarray as xr

from elastic.analysis.reading import read, settings_axes
from elastic.display.average import LEVEL, average, average_words
from elastic.errors import NotMeasured

#: Variables of the headline. nc1 weights weak directions of the class means fully, within_between_ratio hardly.
QUANTITIES = ("collapse/nc1", "collapse/within_between_ratio", "elasticity/locality")

#: Columns after those of the study's axes.
COLUMNS = ("layer", "variable", "split", "epoch", "estimate", "lower", "upper", "count")

#: Formats one row of the headline as the text of a cell.
CellText = Callable[[Any], str]


def headline(cube: xr.DataTree, *, level: float = LEVEL) -> pd.DataFrame:
    """Return nc1, within_between_ratio and locality of every layer, first and last, with intervals over the seeds.

    Parameters
    ----------
    cube
        Cube as returned by `elastic.open_study(…).cube`; runs may be unfinished.
    level
        Confidence level.

    Returns
    -------
    pandas.DataFrame
        One row for each setting of the axes, variable, epoch and layer; columns are the axes, then `COLUMNS`. The
        split is "train" if that was probed. ``count`` is the number of seeds; rows without seeds and unmeasured
        variables are left out.
    """
    parts = [part for variable in QUANTITIES if (part := _first_and_last(cube, variable, level)) is not None]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def _first_and_last(cube: xr.DataTree, variable: str, level: float) -> pd.DataFrame | None:
    try:
        values = read(cube, variable, split=None)
    except NotMeasured:
        return None
    split = "train"
    if "split" in values.dims:
        split = next((s for s in values["split"].values.tolist() if s == "train"), str(values["split"].values[0]))
        values = values.sel(split=split, drop=True)
    measured = measured_epochs(values)
    if not measured:
        return None
    ends = list(dict.fromkeys((measured[0], measured[-1])))
    estimates = average(values.sel(epoch=ends), level=level).reset_coords(drop=True)
    axes = settings_axes(values)
    frame = estimates.to_dataframe([*axes, "epoch", "layer"]).reset_index()
    frame = frame.assign(variable=variable.rpartition("/")[2], split=split)
    return frame.loc[frame["count"] > 0, [*axes, *COLUMNS]]


def measured_epochs(values: xr.DataArray) -> list[float]:
    """Return the epochs with a finite value; unfinished runs lack the last ones.

    >>> course = xr.DataArray([2.0, 1.0, float("nan")], dims="epoch", coords={"epoch": [0, 1, 5]})
    >>> measured_epochs(course)
    [0, 1]
    """
    there = values.notnull().any([dim for dim in values.dims if dim != "epoch"])
    epochs: list[float] = values["epoch"].values[there.values].tolist()
    return epochs


def wide(frame: pd.DataFrame, cell: CellText) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield a pivot table of the headline for each setting of the axes: rows are layers, columns variable and epoch.

    Parameters
    ----------
    frame
        Returned by `headline`.
    cell
        Formats a row, whose attributes are the columns of the headline.

    Yields
    ------
    setting
        Value on each axis; empty without axes.
    table
        Texts, indexed by layer, with columns (variable, epoch); "–" for missing values.
    """
    axes = [column for column in frame.columns if column not in COLUMNS]
    columns = pd.MultiIndex.from_frame(frame[["variable", "epoch"]].drop_duplicates())
    for setting, rows in _by_setting(frame, axes):
        layers = rows["layer"].drop_duplicates()
        table = pd.DataFrame("–", index=pd.Index(layers, name="layer"), columns=columns, dtype=object)
        for row in rows.itertuples(index=False):
            table.loc[row.layer, (row.variable, row.epoch)] = cell(row)
        yield dict(setting), table


def of_setting(frame: pd.DataFrame, setting: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of a headline at one setting of the axes."""
    chosen = frame
    for axis, value in setting.items():
        chosen = chosen[chosen[axis] == value]
    return chosen


def headline_words(frame: pd.DataFrame) -> str:
    """Describe the numbers of a headline: which mean, over how many seeds, on which split.

    Parameters
    ----------
    frame
        Returned by `headline`, or the rows of one setting.

    >>> headline_words(pd.DataFrame({"count": [3, 2], "split": ["train", "train"]}))
    'geometric mean over 2 to 3 seeds and 95 % interval, train split'
    """
    words = average_words(frame["count"], log=True)
    interval = "" if words == "one seed" else f" and {LEVEL:.0%} interval".replace("%", " %")
    return f"{words}{interval}, {frame['split'].iloc[0]} split"


def _by_setting(frame: pd.DataFrame, axes: list[str]) -> Iterator[tuple[Mapping[str, Any], pd.DataFrame]]:
    if not axes:
        if len(frame):
            yield {}, frame
        return
    for labels, rows in frame.groupby(axes, sort=False):
        yield dict(zip(axes, labels, strict=True)), rows
