"""Line styles of the splits, the same in every figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes

from elastic.analysis.reading import select
from elastic.cube.attributes import bounds_of
from elastic.figures.contract import colour, draw_line, epoch_axis, log_ticks, over_seeds
from elastic.figures.style import DASHES, MARKERS, OKABE_ITO

#: Names of splits in legends.
SPLIT_LABELS = {"train": "training samples", "test": "test samples"}

#: Indices of the colours of train and test, which differ in lightness; other splits get the remaining ones in order.
PLACES = {"train": 0, "test": 5}

#: Largest value that counts as 0: two classes have equal norms and angles up to rounding.
ZERO = 1e-12


def split_looks(splits: Sequence[str]) -> list[dict[str, Any]]:
    """Return keyword arguments of `Axes.plot` for each split.

    >>> [look["color"] for look in split_looks(["test", "train", "held out"])]
    ['#D55E00', '#000000', '#0072B2']
    """
    known = {split: i for i, split in enumerate([*PLACES, *(split for split in splits if split not in PLACES)])}
    free = [place for place in range(len(OKABE_ITO)) if place not in PLACES.values()]
    places = [*PLACES.values(), *free]
    return [
        {
            "color": colour(places[known[split] % len(places)]),
            "marker": MARKERS[known[split] % len(MARKERS)],
            "linestyle": DASHES[known[split] % len(DASHES)],
        }
        for split in splits
    ]


def at_splits(values: xr.DataArray, splits: Sequence[str] | None) -> xr.DataArray:
    """Select splits, in the given order; all by default.

    Raises
    ------
    NotMeasured
        If a split was not measured.
    """
    if splits is None or "split" not in values.dims:
        return values
    return xr.concat([select(values, "split", split) for split in splits], "split").assign_attrs(values.attrs)


def draw_splits(axes: Axes, values: xr.DataArray, *, log: bool) -> list[xr.Dataset]:
    """Draw values [seed, epoch, split] against the epochs, one line per split; return what was drawn.

    Values that are 0 up to rounding throughout have no logarithm: a note replaces the lines.
    """
    epoch_axis(axes, values["epoch"].values)
    drawn: list[xr.Dataset] = []
    if log and float(abs(values).max()) < ZERO:
        axes.text(0.5, 0.5, "0 up to rounding", transform=axes.transAxes, ha="center", va="center", fontsize=9)
        axes.set(yticks=[], xlim=tuple(values["epoch"].values[[0, -1]]))
        return drawn
    splits = [str(split) for split in values["split"].values] if "split" in values.dims else ["train"]
    for split, look in zip(splits, split_looks(splits), strict=True):
        one = values.sel(split=split) if "split" in values.dims else values
        drawn.append(over_seeds(one, log=log, bounds=bounds_of(values.attrs)))
        draw_line(axes, values["epoch"].values, drawn[-1], label=SPLIT_LABELS.get(split, split), **look)
    if log:
        log_ticks(axes)
    return drawn


def legend_of(grid: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Return the lines of several panels and their labels, without duplicates."""
    named: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named[label] = handle  # of the last panel: lines of probed variables have markers
    return list(named.values()), list(named)
