"""A study's short summary for a terminal: collapse and locality by layer, accuracy, where the cube is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import settings_of
from elastic.cube import Status
from elastic.display.average import seeds_in_words
from elastic.study import Study

#: Variables of the table. nc1 weighs weak directions of the class means in full, within_between_ratio hardly sees them.
SHOWN_VARIABLES = (("collapse", "nc1"), ("collapse", "within_between_ratio"), ("elasticity", "locality"))

#: Settings shown one after the other; a study with more is to be read in a notebook.
SHOWN = 6


def findings(study: Study) -> RenderableType:
    """Return what a study found, a table for each of the first few settings of its axes."""
    cube = study.cube
    parts: list[RenderableType] = []
    settings = list(settings_of(cube))
    for where in settings[:SHOWN]:
        parts += [table(cube, where), accuracy(cube, where), Text("")]
    if len(settings) > SHOWN:
        parts.append(Text(f"… and {len(settings) - SHOWN} more settings: open the cube"))
    return Group(*parts)


def table(cube: xr.DataTree, where: Mapping[str, Any]) -> Table:
    """Return nc1, within_between_ratio and locality of each layer, first and last probed, means over the seeds."""
    shown = Table(title=Text(caption(cube, where)), title_justify="left", title_style="bold")
    shown.add_column("epoch", justify="right")
    shown.add_column("layer")
    columns = dict(columns_of(cube, where))
    for name in columns:
        shown.add_column(heading(name), justify="right")
    for epoch in dict.fromkeys(epoch for values in columns.values() for epoch in values["epoch"].values.tolist()):
        shown.add_section()
        there = [values.sel(epoch=[epoch]) for values in columns.values() if epoch in values["epoch"].values]
        layers = dict.fromkeys(str(layer) for values in there for layer in values["layer"].values)
        for row, layer in enumerate(layers):
            cells = [cell(values, layer, epoch) for values in columns.values()]
            shown.add_row("" if row else epoch_label(epoch), Text(layer), *cells)
    return shown


def columns_of(cube: xr.DataTree, where: Mapping[str, Any]) -> Iterator[tuple[str, xr.DataArray]]:
    """Yield the headings and the values [seed, epoch, layer] of the table, at the first and the last probed epoch."""
    for group, variable in SHOWN_VARIABLES:
        if group not in cube.children or variable not in cube[group].dataset:
            continue
        values = cube[group].dataset[variable].sel(dict(where))
        if "split" in values.dims:
            values = values.sel(split=shown_split(values["split"].values.tolist()))
        yield variable, values.sel(epoch=list(dict.fromkeys(values["epoch"].values[[0, -1]].tolist())))


def heading(name: str) -> str:
    r"""Return a variable's name, over two lines where it is wider than its numbers: a narrow terminal would cut it.

    >>> heading("nc1"), heading("within_between_ratio")
    ('nc1', 'within_between_\nratio')
    """
    first, underscore, last = name.rpartition("_")
    return f"{first}{underscore}\n{last}" if len(name) > 16 else name


def cell(values: xr.DataArray, layer: str, epoch: float) -> str:
    """Return the mean over seeds of one layer's values, with their standard deviation if there are several."""
    if layer not in values["layer"].values or epoch not in values["epoch"].values:
        return "–"
    found = values.sel(layer=layer, epoch=epoch).values
    found = found[np.isfinite(found)]
    if found.size == 0:
        return "–"
    mean = found.mean()
    if found.size == 1:
        return in_digits(mean, 3)
    spread = found.std(ddof=1)
    # What lies below the rounding of the mean is none: the input, for one, is the same for every seed.
    return f"{in_digits(mean, 3)} ± {in_digits(0 if spread < 1e-12 * abs(mean) else spread, 2)}"


def in_digits(value: float, digits: int) -> str:
    """Return a number with so many significant digits, without an exponent where that is short.

    >>> in_digits(23.91, 2), in_digits(0.000123, 2)
    ('24', '0.00012')
    """
    return f"{value:.{digits}g}" if value == 0 or 1e-4 <= abs(value) < 10**digits else f"{value:.{digits - 1}e}"


def caption(cube: xr.DataTree, where: Mapping[str, Any]) -> str:
    """Return the table's heading: the setting, the number of seeds, and the split."""
    status = cube["training"].dataset["status"].sel(where)
    seeds = seeds_in_words([int((status == Status.DONE).any("epoch").sum())])
    probed = [group.dataset for name, group in cube.children.items() if name != "training"]
    splits = next((group["split"].values.tolist() for group in probed if "split" in group.coords), ["train"])
    setting = ", ".join(f"{axis}={value}" for axis, value in where.items())
    what = seeds if seeds == "one seed" else f"mean ± standard deviation over {seeds}"
    return f"{setting + ': ' if setting else ''}{what}, {shown_split(splits)} split"


def shown_split(splits: Sequence[str]) -> str:
    """Return the split that is shown: "train" where there is one, else the first.

    >>> shown_split(["test", "train"]), shown_split(["held out"])
    ('train', 'held out')
    """
    return "train" if "train" in splits else splits[0]


def accuracy(cube: xr.DataTree, where: Mapping[str, Any]) -> Text:
    """Return a line with the accuracies at the last epoch, the number of diverged runs, and the first without error."""
    training = cube["training"].dataset.sel(dict(where))
    diverged = int((training["status"] == Status.DIVERGED).any("epoch").sum())
    line = _scores(training) + (f" ({diverged} of {training.sizes['seed']} runs diverged)" if diverged else "")
    zero_error = _fitted(training)
    if zero_error is not None and bool(zero_error.any("epoch").all()):
        since = epoch_label(zero_error.all("seed").idxmax("epoch").item())
        line += f"; zero training error since epoch {since} in every run"
    return Text(line)


def _scores(training: xr.Dataset) -> str:
    """Return the accuracies at the last epoch; a training loop of one's own may not record them."""
    if "accuracy" not in training:
        return "accuracy is not recorded"
    last = training["accuracy"].isel(epoch=-1)
    scores = ", ".join(f"{split} {float(last.sel(split=split).mean()):.4f}" for split in last["split"].values)
    return f"accuracy at epoch {epoch_label(last['epoch'].item())}: {scores}"


def _fitted(training: xr.Dataset) -> xr.DataArray | None:
    """Return where no training sample is misclassified; None where that is not recorded."""
    if "accuracy" not in training or "train" not in training["split"].values:
        return None
    return training["accuracy"].sel(split="train") == 1


def next_steps(study: Study) -> str:
    """Return where the cube is and what to type next, as lines that can be copied."""
    lines = [
        f"cube:     {study.folder / 'cube.zarr'}",
        f"read it:  python -c \"import elastic; print(elastic.open_study('{study.folder}').cube)\"",
        f"see it:   elastic plot {quote(str(study.folder))}",
    ]
    if study.facts["protocol"].get("claims"):
        lines.append(f"claims:   {study.folder / 'claims.json'} (elastic check {quote(str(study.folder))})")
    return "\n".join(lines)
