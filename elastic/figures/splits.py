"""Lines of training and test samples: the same colour, marker and dashes in every figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes

from elastic.analysis.reading import select
from elastic.cube.attributes import bounds_of
from elastic.figures.contract import colour, draw_line, epoch_axis, log_ticks, over_seeds
from elastic.figures.style import DASHES, MARKERS, OKABE_ITO

#: What a legend calls a split.
SPLIT_LABELS = {"train": "training samples", "test": "test samples"}

#: Places among Okabe and Ito's colours that train and test always have; other splits get the rest in order.
PLACES = {"train": 1, "test": 5}

#: Greatest value up to which all of a panel is 0: two classes have equal norms and angles up to rounding.
ZERO = 1e-12


def split_looks(splits: Sequence[str]) -> list[dict[str, Any]]:
    """Return keywords of `Axes.plot` for a line a split.

    >>> [look["color"] for look in split_looks(["test", "train", "held out"])]
    ['#D55E00', '#0072B2', '#000000']
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
    """Return the values at splits, in the order in which they are named; all of them by default.

    Raises
    ------
    NotMeasured
        If the values were not taken on a split.
    """
    if splits is None or "split" not in values.dims:
        return values
    return xr.concat([select(values, "split", split) for split in splits], "split").assign_attrs(values.attrs)


def draw_splits(axes: Axes, values: xr.DataArray, *, log: bool) -> list[xr.Dataset]:
    """Draw values [seed, epoch, split] against the epochs, a line a split; return what was drawn.

    What is 0 up to rounding throughout has no logarithm: a word says so, and no line is drawn.
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
    """Return the lines of several panels and their names, each name once."""
    named: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named[label] = handle  # of the last panel: those of the probes have markers
    return list(named.values()), list(named)
