"""Figure of locality against collapse during training, and their rank correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elastic.analysis.epochs import epoch_label
from elastic.analysis.locality import matched, tracking
from elastic.analysis.reading import read
from elastic.figures.contract import (
    PAGE,
    asked_width,
    canvas,
    caption,
    draw_line,
    epoch_axis,
    evenly,
    figure,
    first_setting,
    ink,
    interval_words,
    layer_names,
    legend,
    letter_panels,
    line_styles,
    log_ticks,
    mark_layers,
    measured,
    over_seeds,
    split_words,
    variable_label,
)
from elastic.figures.layers import chosen_layers
from elastic.figures.page import NARROW
from elastic.figures.points import draw_points, reach

#: Layers whose paths are drawn by default, evenly spaced in depth.
LAYERS = 7


@figure()
def locality_collapse(
    cube: xr.DataTree,
    *,
    metric: str = "nc1",
    split: str = "train",
    layers: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw locality against collapse, one path per layer during training, and their rank correlation.

    Left: the mean path of each layer from its first probed epoch (open marker) to the last (filled, with intervals in
    both directions). Right: Spearman's rank correlation of the two in each seed, for a layer over its epochs and for an
    epoch over its layers; −1 means that more collapsed is always more local.

    Parameters
    ----------
    cube
        Cube of a study with the groups ``collapse`` and ``elasticity``.
    metric
        Measure of collapse, positive, [seed, epoch, layer, …].
    split
        Samples on which it is taken; locality has no split.
    layers
        Layers by name; by default all except the logits, with the paths of at most seven.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube lacks one of the two, the split or a label, or the two share no layer or no epoch.
    """
    collapse, setting = first_setting(read(cube, metric, split=split, where=where))
    locality, _ = first_setting(read(cube, "locality", where=where))
    first, second = matched(measured(collapse, "epoch", "layer"), measured(locality, "epoch", "layer"))
    shown, local = chosen_layers(first, layers), chosen_layers(second, layers)
    paths = shown["layer"].values if layers is not None else evenly(shown["layer"].values, LAYERS)
    wide = asked_width(PAGE) > NARROW
    drawn = canvas(PAGE, 3.9 if wide else 7.2)
    ratios: dict[str, Any] = {"width_ratios": [1.4, 1]} if wide else {"height_ratios": [1.8, 1, 1]}
    grid = drawn.subplot_mosaic("ab;ac" if wide else "a;b;c", **ratios)
    estimates = draw_paths(grid["a"], shown.sel(layer=paths), local.sel(layer=paths))
    letter_panels([grid[name] for name in "abc"])
    handles, labels = grid["a"].get_legend_handles_labels()
    legend(drawn, handles, labels, title="layer")
    draw_by_layer(grid["b"], tracking(local, shown, over="epoch"))
    draw_by_epoch(grid["c"], tracking(local, shown, over="layer"))
    start, end = (epoch_label(shown["epoch"][i]) for i in (0, -1))
    ends = f"open: epoch {start}, filled: epoch {end}"
    some = f"paths of {len(paths)} of {shown.sizes['layer']} layers" if len(paths) < shown.sizes["layer"] else ""
    words = interval_words(*estimates, log=True, drawn="bars")
    caption(drawn, split_words(collapse), ends, some, words, "b, c: means of the seeds' own correlations", setting)
    return drawn


def draw_paths(axes: Axes, collapse: xr.DataArray, locality: xr.DataArray) -> list[xr.Dataset]:
    """Draw locality against collapse [seed, epoch, layer], shallow (light) to deep (dark); return what was drawn."""
    across, up = over_seeds(collapse, log=True), over_seeds(locality, log=True)
    names = layer_names(collapse["layer"].values)
    for i, (name, look) in enumerate(zip(names, line_styles(len(names), ordered=True), strict=True)):
        x, y = across.isel(layer=i), up.isel(layer=i)
        hollow = {"markerfacecolor": ink(0), "markeredgecolor": look["color"], "markeredgewidth": 1}
        axes.plot(x["estimate"], y["estimate"], color=look["color"], linewidth=1.2)
        axes.plot(x["estimate"][:1], y["estimate"][:1], **look, **hollow, zorder=3)
        end = {**look, "xerr": reach(x.isel(epoch=[-1])), "elinewidth": 0.9, "markersize": 6, "label": name}
        draw_points(axes, x["estimate"][-1:], y.isel(epoch=[-1]), **end, zorder=4)
    axes.axhline(1, color=ink(0.6), linewidth=0.9, linestyle=":", zorder=1)
    axes.set(xlabel=variable_label(collapse), ylabel=variable_label(locality))
    log_ticks(axes, "x")
    log_ticks(axes, "y")
    return [across, up]


def draw_by_layer(axes: Axes, correlation: xr.DataArray) -> None:
    """Draw rank correlations [seed, layer] over the epochs, one point per layer."""
    estimates = over_seeds(correlation, bounds=(-1, 1))
    positions = np.arange(correlation.sizes["layer"])
    draw_points(axes, positions, estimates, color=ink(0.85))
    mark_layers(axes, correlation["layer"].values)
    finish(axes, correlation, "epochs")


def draw_by_epoch(axes: Axes, correlation: xr.DataArray) -> None:
    """Draw rank correlations [seed, epoch] over the layers, as a line with a band."""
    draw_line(axes, correlation["epoch"].values, over_seeds(correlation, bounds=(-1, 1)), color=ink(0.85), marker="o")
    epoch_axis(axes, correlation["epoch"].values)
    finish(axes, correlation, "layers")


def finish(axes: Axes, correlation: xr.DataArray, over: str) -> None:
    """Set range and label of the axis of rank correlations, or note that they are undefined."""
    axes.axhline(0, color=ink(0.6), linewidth=0.9, linestyle=":", zorder=1)
    axes.set(ylim=(-1.1, 1.1), yticks=(-1, 0, 1))
    axes.set_title(f"rank correlation\nover {over}", fontsize=9.5)  # one line is wider than the panel beside long names
    if not bool(correlation.notnull().any()):
        axes.text(0.5, 0.75, f"undefined: too few {over}", transform=axes.transAxes, ha="center", fontsize=9)
