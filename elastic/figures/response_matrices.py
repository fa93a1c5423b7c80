"""Figure of update responses between classes: a class × class matrix for each layer, early and late."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import read, select
from elastic.cube.attributes import bounds_of
from elastic.display.average import average_words
from elastic.display.layer_names import short_names
from elastic.figures.contract import (
    COLUMN,
    PAGE,
    SEQUENTIAL,
    asked_width,
    canvas,
    caption,
    evenly,
    figure,
    first_setting,
    is_positive,
    layer_names,
    literal,
    measured,
    over_seeds,
    variable_name,
)
from elastic.figures.page import settle
from elastic.figures.style import PaperFigure, as_pixels

#: Layers drawn by default: fewer where the names of classes need room.
LAYERS, LAYERS_OF_NAMED = 6, 3

#: Longest names of classes that are not rotated; height of a line and width of a character in points.
SHORT, LINE, LETTER = 2, 8.5, 5.8

#: In inches: margin beside the matrices, smallest side of a matrix, and side with space for two lines of text.
REST, SIDE, HIGH = 1.6, 0.55, 0.8

#: Steps between labelled classes.
STEPS = [1, 2, *(step * 10**power for power in range(6) for step in (5, 10, 20, 25))]


@figure()
def response_matrices(
    cube: xr.DataTree,
    *,
    variable: str = "relative_similarity",
    epochs: Sequence[float] | None = None,
    layers: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw how far a step on each class moves every class, by layer, at the first and the last epoch.

    Parameters
    ----------
    cube
        Cube of a study with the group ``elasticity``.
    variable
        Variable [seed, epoch, layer, stepped_class, observed_class].
    epochs
        Probed epochs, one row each; −1 is the last. The first and the last by default.
    layers
        Layers by name, one column each; by default at most six, evenly spaced in depth.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube lacks the variable, epoch, layer or label.
    """
    values, setting = first_setting(read(cube, variable, where=where))
    values = measured(values, "epoch", "layer", "stepped_class", "observed_class")
    rows = epochs if epochs is not None else evenly(values["epoch"].values, 2)
    most = LAYERS if is_short(values) else LAYERS_OF_NAMED
    most = min(most, max(1, int((asked_width(PAGE) - REST - label_space(values)) / SIDE)))
    columns = layers if layers is not None else evenly(values["layer"].values, most)
    chosen = [[select(select(values, "epoch", epoch), "layer", layer) for layer in columns] for epoch in rows]
    drawn = draw_grid(means(chosen, values), variable_name(values))
    seeds = int(values.notnull().any([dim for dim in values.dims if dim != "seed"]).sum())
    some = f"{len(columns)} of {values.sizes['layer']} layers" if len(columns) < values.sizes["layer"] else ""
    caption(drawn, average_words([seeds], log=is_positive(values)), some, setting)
    settle(drawn)
    return drawn


def means(chosen: Sequence[Sequence[xr.DataArray]], values: xr.DataArray) -> list[list[xr.DataArray]]:
    """Average the chosen matrices over the seeds, as their variable is averaged: all at once, and no others."""
    panels = [one.reset_coords(drop=True) for row in chosen for one in row]
    mean = over_seeds(xr.concat(panels, "panel"), log=is_positive(values), bounds=bounds_of(values.attrs))["estimate"]
    each = iter(mean.transpose("panel", "stepped_class", "observed_class"))
    return [[next(each).assign_coords({at: one[at] for at in ("epoch", "layer")}) for one in row] for row in chosen]


def is_short(values: xr.DataArray) -> bool:
    """Return whether the names of the classes are short."""
    return longest(values) <= SHORT


def longest(values: xr.DataArray) -> int:
    """Return the length of the longest name of a class."""
    return max(len(str(label)) for label in values["observed_class"].values)


def label_space(values: xr.DataArray) -> float:
    """Return the space for the names of the classes in inches, at most a third of the figure."""
    return 0.0 if is_short(values) else min(0.062 * longest(values), asked_width(PAGE) / 3)


def draw_grid(chosen: Sequence[Sequence[xr.DataArray]], label: str) -> Figure:
    """Draw a grid of matrices [stepped_class, observed_class] with a common colour range."""
    stacked = np.concatenate([np.ravel(one) for row in chosen for one in row])
    low, high = min(0.0, float(np.nanmin(stacked))), float(np.nanmax(stacked))
    signed = {"cmap": "RdBu_r", "vmin": -max(-low, high), "vmax": max(-low, high)}
    look = signed if low < 0 else {"cmap": SEQUENTIAL, "vmin": 0.0, "vmax": high}
    rows, columns = len(chosen), len(chosen[0])
    space = label_space(chosen[0][0])
    width = asked_width(PAGE if columns > 2 or space else COLUMN)
    side = min((width - REST - space) / columns, 2.0)
    drawn = canvas(width, rows * (side + 0.08) + 1.0 + space)
    if isinstance(drawn, PaperFigure):
        drawn.set_layout_engine("compressed", w_pad=0.03, h_pad=0.03)  # cells are square
    grid = drawn.subplots(rows, columns, squeeze=False)
    for (row, column), axes in np.ndenumerate(grid):
        shown = chosen[row][column]
        axes.imshow(shown, interpolation="none", **look)
        axes.grid(visible=False)
        mark_classes(axes, shown, side, bottom=row == rows - 1, left=column == 0)
        if row == 0:
            axes.set_title(broken(layer_names([shown["layer"].item()])[0], int(72 * side / LETTER)))
        if column == 0:
            below = "\nstepped class" if side > HIGH else ""
            axes.set_ylabel(f"epoch {epoch_label(shown['epoch'])}{below}", fontsize=9)
    grid[-1, (columns - 1) // 2].set_xlabel("observed class", x=0.5 if columns % 2 else 1.04)
    if side <= HIGH and isinstance(drawn, PaperFigure):
        drawn.supylabel("stepped class", fontsize=9)
    bar = drawn.colorbar(grid[0, 0].images[0], ax=grid, shrink=0.9, pad=0.015, aspect=28)
    bar.set_label(label)
    as_pixels(bar)
    return drawn


def broken(name: str, width: int) -> str:
    r"""Wrap a layer's name after dots and underscores.

    >>> broken("block1.0.conv", 10)
    'block1.0.\nconv'
    """
    lines = [""]
    for part in re.findall(r"[^._]+[._]?|[._]", name):
        lines = [*lines[:-1], lines[-1] + part] if len(lines[-1] + part) <= width else [*lines, part]
    return "\n".join(line for line in lines if line)


def mark_classes(axes: Axes, values: xr.DataArray, side: float, *, bottom: bool, left: bool) -> None:
    """Label the classes at the outer edges, as many as fit a matrix with this side in inches."""
    labels = [str(label) for label in values["observed_class"].values]
    letters = SHORT if is_short(values) else max(4, int(asked_width(PAGE) / 3 / 0.062))
    short = short_names(labels, letters)
    names = [literal(name) for name in short]
    turned: dict[str, Any] = {} if is_short(values) else {"rotation": 90}
    pitch = LINE if turned else max(LINE, LETTER * max(map(len, short)) + 3)
    least = len(names) * pitch / (72 * side)
    step = next(step for step in STEPS if step >= least or step >= len(names))
    shown = range(0, len(names), step)
    axes.tick_params(length=2, labelsize=9)
    axes.set_xticks(shown, [names[i] for i in shown] if bottom else [""] * len(shown), **turned)
    axes.set_yticks(shown, [names[i] for i in shown] if left else [""] * len(shown))
