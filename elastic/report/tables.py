"""What a study found, in computed sentences and in its headline numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

from elastic.analysis.onset import onset_epoch
from elastic.analysis.reading import hidden_layers, read, settings_of
from elastic.display import conclusion
from elastic.display.headline import headline, wide
from elastic.display.numbers import epochs_of_seeds, with_interval
from elastic.errors import NotMeasured
from elastic.report.claims_table import in_words

#: Settings of the axes whose numbers stand in a table of their own.
SETTINGS = 6

#: Levels of nc1 beside half of a layer's own fall. The order of layers can be another one by either.
LEVELS = (0.5, 0.1)


@dataclass(frozen=True)
class Told:
    """The sentences of one setting of the axes; "" where there is only one."""

    setting: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Numbers at one setting: columns as a name and a small word below it, rows as a layer and its cells."""

    caption: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def sentences(cube: xr.DataTree) -> list[Told]:
    """Return what `elastic.display.conclusion` says of a cube, setting by setting."""
    found: list[tuple[str, list[str]]] = []
    for line in filter(None, conclusion(cube).splitlines()):
        if line.startswith("**"):
            found.append((line.strip("*"), []))
        else:
            found = found or [("", [])]
            found[-1][1].append(line.removeprefix("- "))
    return [Told(setting, tuple(told)) for setting, told in found]


def numbers(cube: xr.DataTree) -> Iterator[Table]:
    """Yield the headline of a cube for the first `SETTINGS` settings."""
    frame = headline(cube)
    if frame.empty:
        return
    seeds = int(frame["count"].max())
    over = f"geometric mean over {seeds} seeds [95 % interval]" if seeds > 1 else "one seed"
    tables = list(wide(frame, lambda row: with_interval(row.estimate, row.lower, row.upper)))
    for setting, table in tables[:SETTINGS]:
        where = f"{in_words(setting)}: " if setting else ""
        more = f"; {SETTINGS} of {len(tables)} settings" if len(tables) > SETTINGS else ""
        rows = zip(map(str, table.index), map(tuple, table.to_numpy()), strict=True)
        columns = tuple((str(name), f"epoch {epoch}") for name, epoch in table.columns)
        yield Table(f"{where}{over}, {frame['split'].iloc[0]} split{more}", columns, tuple(rows))


def onsets(cube: xr.DataTree) -> Iterator[Table]:
    """Yield the epochs from which each hidden layer has collapsed, for the first `SETTINGS` settings of a cube.

    Columns: `onset_epoch` of nc1 at half of the fall, and at each of `LEVELS`. Runs and layers without a value are
    left out; a cell is the median over seeds with their range, "never" within the training.
    """
    for where in list(settings_of(cube))[:SETTINGS]:
        try:
            nc1 = hidden_layers(read(cube, "nc1", where=where))
        except NotMeasured:
            return
        there = nc1.notnull().any("epoch")
        found = [onset_epoch(nc1, fraction=0.5), *(onset_epoch(nc1, threshold=level) for level in LEVELS)]
        columns = [("half of its fall", "of log nc1"), *((f"nc1 ≤ {level:g}", "for good") for level in LEVELS)]
        rows = [
            (layer, tuple(epochs_of_seeds(_seeds(onset, there, k)) for onset in found))
            for k, layer in enumerate(map(str, nc1["layer"].values))
            if bool(there.isel(layer=k).any())
        ]
        if rows:
            setting = ", ".join(f"{axis} = {label}" for axis, label in where.items())
            counted = f"median over {nc1.sizes['seed']} seeds [range]" if nc1.sizes["seed"] > 1 else "one seed"
            yield Table(f"{setting}: {counted}" if setting else counted, tuple(columns), tuple(rows))


def _seeds(onset: xr.DataArray, there: xr.DataArray, layer: int) -> list[float]:
    values: list[float] = onset.isel(layer=layer).values[there.isel(layer=layer).values].tolist()
    return values


@dataclass(frozen=True)
class Quantity:
    """One variable: its name, what it is, formula, units, the cite key of its source."""

    name: str
    meaning: str
    formula: str
    units: str
    source: str


def quantities(cube: xr.DataTree) -> list[Quantity]:
    """Return the variables of collapse and elasticity of a cube, in its order, without its bookkeeping.

    Examples
    --------
    >>> nc1 = xr.DataArray(0.0, attrs={"long_name": "NC1", "formula": "tr(Σ_W Σ_B⁺)/K"})
    >>> quantities(xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": nc1})}))[0].formula
    'tr(Σ_W Σ_B⁺)/K'
    """
    return [
        Quantity(str(name), *(str(values.attrs.get(fact, "")) for fact in ("long_name", "formula", "units", "source")))
        for group in cube.children.values()
        if group.name != "training"
        for name, values in group.dataset.data_vars.items()
        if "formula" in values.attrs
    ]
