"""What a study found, in computed sentences and in its headline numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

from elastic.display import conclusion
from elastic.display.headline import headline, wide
from elastic.display.numbers import with_interval
from elastic.report.claims_table import in_words

#: Settings of the axes whose numbers stand in a table of their own.
SETTINGS = 6


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
