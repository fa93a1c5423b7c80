"""Results of a study as sentences and tables: conclusion, headline, onsets, and definitions of its variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import xarray as xr

from elastic.analysis.epochs import epoch_label
from elastic.analysis.onset import onset_epoch
from elastic.analysis.reading import hidden_layers, read
from elastic.display import conclusion
from elastic.display.average import seeds_in_words
from elastic.display.formulas import formula_html, text_html
from elastic.display.headline import headline_words, of_setting, wide
from elastic.display.numbers import epochs_of_seeds, typeset, with_interval
from elastic.errors import NotMeasured
from elastic.report.claims_table import in_words
from elastic.report.context import Context

#: Most settings of the axes that get a table.
SETTINGS = 6

#: Fixed levels of nc1 for the onset, besides half of a layer's fall; the order of layers may depend on the choice.
LEVELS = (0.5, 0.1)


@dataclass(frozen=True)
class Sentences:
    """The sentences of one setting of the axes; "" if there is only one."""

    setting: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Values at one setting: columns have a name and a subtitle, rows a layer and its cells."""

    caption: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def sentences(context: Context) -> list[Sentences]:
    """Return the sentences of `elastic.display.conclusion` for each setting."""
    groups: list[tuple[str, list[str]]] = []
    for line in filter(None, conclusion(context.cube, _one_line).splitlines()):
        if line.startswith("**"):
            groups.append((line.strip("*"), []))
        else:
            groups = groups or [("", [])]
            groups[-1][1].append(line.removeprefix("- "))
    return [Sentences(setting, tuple(lines)) for setting, lines in groups]


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def numbers(context: Context) -> list[Table]:
    """Return the headline for the first `SETTINGS` settings."""
    return list(_numbers(context.headline))


def _numbers(frame: pd.DataFrame) -> Iterator[Table]:
    if frame.empty:
        return
    tables = list(wide(frame, lambda row: typeset(with_interval(row.estimate, row.lower, row.upper))))
    for setting, table in tables[:SETTINGS]:
        where = f"{in_words(setting)}: " if setting else ""
        more = f"; {SETTINGS} of {len(tables)} settings" if len(tables) > SETTINGS else ""
        rows = zip(map(str, table.index), map(tuple, table.to_numpy()), strict=True)
        columns = tuple((str(name), f"epoch {epoch_label(epoch)}") for name, epoch in table.columns)
        yield Table(f"{where}{headline_words(of_setting(frame, setting))}{more}", columns, tuple(rows))


def onsets(context: Context) -> list[Table]:
    """Return the onset of collapse of each hidden layer, for the first `SETTINGS` settings.

    Columns: `onset_epoch` of nc1 at half of the fall, and at each of `LEVELS`. Runs and layers without a value are
    left out; a cell is the median over seeds with their range, or "never".
    """
    return [table for where in context.settings[:SETTINGS] for table in _onsets(context.cube, where)]


def _onsets(cube: xr.DataTree, where: Mapping[str, Any]) -> Iterator[Table]:
    try:
        nc1 = hidden_layers(read(cube, "nc1", where=where))
    except NotMeasured:
        return
    there = nc1.notnull().any("epoch")
    onsets = [onset_epoch(nc1, fraction=0.5), *(onset_epoch(nc1, threshold=level) for level in LEVELS)]
    columns = [("half of its fall", "of log nc1"), *((f"nc1 ≤ {level:g}", "to the end") for level in LEVELS)]
    rows = [
        (layer, tuple(epochs_of_seeds(_seeds(onset, there, k)) for onset in onsets))
        for k, layer in enumerate(map(str, nc1["layer"].values))
        if bool(there.isel(layer=k).any())
    ]
    if rows:
        setting = in_words(where)
        seeds = seeds_in_words(there.sum("seed").values.ravel())
        counted = seeds if seeds == "one seed" else f"median over {seeds} [range]"
        yield Table(f"{setting}: {counted}" if setting else counted, tuple(columns), tuple(rows))


def _seeds(onset: xr.DataArray, there: xr.DataArray, layer: int) -> list[float]:
    values: list[float] = onset.isel(layer=layer).values[there.isel(layer=layer).values].tolist()
    return values


@dataclass(frozen=True)
class Quantity:
    """One variable: name, meaning and formula as HTML, units and cite key of its source."""

    name: str
    meaning: str
    formula: str
    units: str
    source: str


def quantities(context: Context) -> list[Quantity]:
    """Return the variables of the cube with a formula, in its order, without those of training."""
    variables = {
        str(name): values.attrs
        for group in context.cube.children.values()
        if group.name != "training"
        for name, values in group.dataset.data_vars.items()
        if "formula" in values.attrs
    }
    return [
        Quantity(
            name,
            text_html(str(attrs.get("long_name", ""))),
            formula_html(str(attrs["formula"]), variables),
            str(attrs.get("units", "")),
            str(attrs.get("source", "")),
        )
        for name, attrs in variables.items()
    ]
