"""Figure of collapse and locality as functions of depth, at several epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import read, select
from elastic.errors import NotMeasured
from elastic.figures.contract import (
    all_positive,
    average,
    caption,
    draw_line,
    evenly,
    figure,
    first_setting,
    ink,
    interval_words,
    is_positive,
    legend,
    letter_panels,
    line_styles,
    log_ticks,
    mark_layers,
    measured,
    panels,
    split_words,
    variable_label,
)

#: Number of epochs drawn by default, evenly spaced among the probed ones.
EPOCHS = 5


@figure()
def depth_profile(
    cube: xr.DataTree,
    *,
    metric: str = "nc1",
    split: str = "train",
    epochs: Sequence[float] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a metric of collapse, and locality, against depth: one line per epoch with intervals over the seeds.

    Parameters
    ----------
    cube
        Cube of a study.
    metric
        Variable [seed, epoch, layer, …] of the left panel; the right one, if measured, shows locality.
    split
        Split on which the metric is measured.
    epochs
        Probed epochs; −1 is the last. Five of them by default.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube has neither, or lacks the metric, split, epoch or label.
    """
    shown = panels_of(cube, metric, split=split, where=where)
    drawn, grid, _ = panels(len(shown), 3.1)
    estimates = []
    for axes, panel in zip(grid, shown, strict=True):
        values = measured(first_setting(panel)[0], "epoch", "layer")
        estimates += draw_profiles(
            axes, values, epochs if epochs is not None else evenly(values["epoch"].values, EPOCHS)
        )
    letter_panels(grid)
    legend(drawn, *grid[0].get_legend_handles_labels(), title="epoch")
    words = interval_words(*estimates, log=all_positive(shown))
    caption(drawn, split_words(shown[0]), words, first_setting(shown[0])[1])
    return drawn


def panels_of(cube: xr.DataTree, metric: str, **choice: Any) -> list[xr.DataArray]:
    """Return the metric and locality, or the one that the cube has.

    Raises
    ------
    NotMeasured
        If it has neither, or lacks a metric requested by name.
    """
    try:
        panels = [read(cube, metric, **choice)]
    except NotMeasured:
        if metric != "nc1" or "elasticity" not in cube.children:
            raise
        return [read(cube, "locality", **choice)]
    try:
        return [*panels, *([] if metric == "locality" else [read(cube, "locality", **choice)])]
    except NotMeasured:
        return panels


def draw_profiles(axes: Axes, values: xr.DataArray, epochs: Sequence[float]) -> list[xr.Dataset]:
    """Draw values [seed, epoch, layer] by layer, from early (light) to late (dark); return what was drawn."""
    drawn: list[xr.Dataset] = []
    for epoch, look in zip(epochs, line_styles(len(epochs), ordered=True), strict=True):
        chosen = select(values, "epoch", epoch)
        drawn.append(average(chosen))
        draw_line(axes, np.arange(values.sizes["layer"]), drawn[-1], label=epoch_label(chosen["epoch"]), **look)
    mark_layers(axes, values["layer"].values)
    finish(axes, values)
    return drawn


def finish(axes: Axes, values: xr.DataArray) -> None:
    """Label the y axis, make it logarithmic for positive variables, and mark the neutral value 1 of locality."""
    axes.set_ylabel(variable_label(values))
    if values.name == "locality":
        axes.axhline(1, color=ink(0.6), linewidth=0.9, linestyle=":", zorder=1)
    if is_positive(values):
        log_ticks(axes)
