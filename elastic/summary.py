"""A study's short summary for a terminal: its headline by layer, accuracy, where the cube is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from elastic.analysis.epochs import epoch_label
from elastic.analysis.persistence import lasting_from
from elastic.analysis.reading import settings_of
from elastic.cube import Status
from elastic.display.average import average
from elastic.display.headline import headline, headline_words, of_setting, wide
from elastic.display.numbers import with_interval
from elastic.study import Study

#: Letters of a line that no terminal has.
WIDEST = 1000

#: Settings shown one after the other; a study with more is to be read in a notebook.
SHOWN = 6


def findings(study: Study) -> RenderableType:
    """Return what a study found, a table for each of the first few settings of its axes."""
    cube = study.cube
    frame = headline(cube)
    tables = {tuple(setting.values()): shown for setting, shown in wide(frame, cell)}
    parts: list[RenderableType] = []
    settings = list(settings_of(cube))
    for where in settings[:SHOWN]:
        setting = ", ".join(f"{axis}={value}" for axis, value in where.items())
        if (rows := tables.get(tuple(where.values()))) is not None:
            words = headline_words(of_setting(frame, where))
            parts.append(Headline(rows, f"{setting}: {words}" if setting else words))
        parts += [accuracy(cube, where), Text("")]
    if len(settings) > SHOWN:
        parts.append(Text(f"… and {len(settings) - SHOWN} more settings: open the cube"))
    return Group(*parts)


def cell(row: Any) -> str:
    """Return a number of the headline with its interval."""
    return with_interval(row.estimate, row.lower, row.upper)


@dataclass(frozen=True)
class Headline:
    """The headline of a setting as a table, which has intervals below the numbers where a terminal is narrow.

    Attributes
    ----------
    found
        Texts, as `elastic.display.headline.wide` gives them.
    title
        Above the table.
    """

    found: pd.DataFrame
    title: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table on one line a layer where it fits, else on two."""
        table = self.table()
        fits = Measurement.get(console, options.update(max_width=WIDEST), table).maximum <= options.max_width
        yield table if fits else self.table(stacked=True)

    def table(self, *, stacked: bool = False) -> Table:
        """Return a row for each epoch and layer, a column for each variable."""
        shown = Table(
            title=Text(self.title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=0, pad_edge=False
        )
        variables = list(dict.fromkeys(variable for variable, _ in self.found.columns))
        for name in ("layer", *map(heading, variables)):
            shown.add_column(name, no_wrap=name != "layer")
        for epoch in sorted({epoch for _, epoch in self.found.columns}):
            shown.add_section()
            shown.add_row(Text(f"epoch {epoch_label(epoch)}", style="bold"))
            for layer, values in self.found.iterrows():
                cells = [str(values.get((name, epoch), "–")) for name in variables]
                if set(cells) != {"–"}:
                    shown.add_row(
                        Text(str(layer)), *(text.replace(" ", "\n", 1) if stacked else text for text in cells)
                    )
        return shown


def heading(name: str) -> str:
    r"""Return a variable's name, over two lines where it is wider than its numbers: a narrow terminal would cut it.

    >>> heading("nc1"), heading("within_between_ratio")
    ('nc1', 'within_between_\nratio')
    """
    first, underscore, last = name.rpartition("_")
    return f"{first}{underscore}\n{last}" if len(name) > 16 else name


def accuracy(cube: xr.DataTree, where: Mapping[str, Any]) -> Text:
    """Return a line with the accuracies at the last epoch, the number of diverged runs, and since when none errs."""
    training = cube["training"].dataset.sel(dict(where))
    diverged = int((training["status"] == Status.DIVERGED).any("epoch").sum())
    line = _scores(training) + (f" ({diverged} of {training.sizes['seed']} runs diverged)" if diverged else "")
    since = _fitted_since(training)
    return Text(line if since is None else f"{line}; zero training error since epoch {epoch_label(since)} in every run")


def _scores(training: xr.Dataset) -> str:
    """Return the accuracies at the last epoch; external training loops may not record them."""
    if "accuracy" not in training:
        return "accuracy is not recorded"
    last = training["accuracy"].isel(epoch=-1)
    estimates = average(last)
    scores = ", ".join(f"{split} {_score(estimates.sel(split=split))}" for split in last["split"].values)
    kind = "" if int(estimates["count"].max()) < 2 else " (mean and 95 % interval)"
    return f"accuracy at epoch {epoch_label(last['epoch'].item())}: {scores}{kind}"


def _score(estimates: xr.Dataset) -> str:
    """Return an accuracy with its interval, in four digits: the last ones are what networks differ in."""
    estimate, lower, upper = (float(estimates[name]) for name in ("estimate", "lower", "upper"))
    return with_interval(estimate, lower, upper, digits=4)


def _fitted_since(training: xr.Dataset) -> float | None:
    """Return the epoch since which no run misclassifies a training sample; None without one, or if it is not recorded.

    >>> accuracy = (("seed", "split", "epoch"), [[[0.5, 1.0, 0.9, 1.0]], [[1.0, 0.9, 1.0, 1.0]]])
    >>> _fitted_since(xr.Dataset({"accuracy": accuracy}, {"split": ["train"], "epoch": [0, 1, 2, 4]}))
    4.0
    """
    if "accuracy" not in training or "train" not in training["split"].values:
        return None
    train = training["accuracy"].sel(split="train")
    since = float(lasting_from((train == 1).all("seed"), train.notnull().any("seed"), train["epoch"], "epoch"))
    return None if math.isnan(since) else since


def next_steps(study: Study) -> str:
    """Return where the cube is and what to type next, as lines that can be copied."""
    folder = json.dumps(str(study.folder), ensure_ascii=False)  # also a text of Python
    lines = [
        f"cube:     {study.folder / 'cube.zarr'}",
        f"read it:  python -c {quote(f'import elastic; print(elastic.open_study({folder}).cube)')}",
        f"see it:   elastic plot {quote(str(study.folder))}",
    ]
    if study.facts["protocol"].get("claims"):
        lines.append(f"claims:   {study.folder / 'claims.json'} (elastic check {quote(str(study.folder))})")
    return "\n".join(lines)
