"""When each layer collapses: a map of epochs and layers with the line of onset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from elastic.analysis.onset import onset_epoch
from elastic.analysis.reading import read
from elastic.figures.contract import (
    COLUMN,
    PAGE,
    canvas,
    caption,
    epoch_axis,
    figure,
    first_setting,
    is_positive,
    layer_names,
    log_numbers,
    mark_layers,
    measured,
    over_seeds,
    split_words,
    variable_label,
)
from elastic.figures.layers import chosen_layers

#: Inches of height that a layer takes, and that all else takes; letters of a layer's name that one column has room for.
ROW, REST, LONG = 0.24, 1.6, 8


@figure()
def onset_map(
    cube: xr.DataTree,
    *,
    metric: str = "nc1",
    split: str = "train",
    fraction: float = 0.5,
    threshold: float | None = None,
    layers: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a metric over epochs and layers, and from which epoch each layer has fallen for good.

    A cell is a probed epoch: it reaches half way to the next one on the axis, which is logarithmic from epoch 1 on.
    Over the cells stands the onset of each layer, `elastic.analysis.onset.onset_epoch`: the median over the seeds
    with their range. A layer that in half of the seeds or more has no onset has no point.

    Parameters
    ----------
    cube
        Of a study.
    metric
        Variable [seed, epoch, layer, …] that falls.
    split
        Samples on which it is taken.
    fraction
        Of its own fall on a log scale that a layer has made at its onset.
    threshold
        Value at the onset, one for all layers, instead of a fraction.
    layers
        Layers by name; those between input and logits by default.
    where
        Labels on the study's axes, {axis: label}; the first of every axis left open.

    Raises
    ------
    NotMeasured
        If the cube does not hold the metric, split, layer or label.
    OptionError
        If the fraction or the threshold is out of range.
    """
    values, setting = first_setting(read(cube, metric, split=split, where=where))
    values = measured(chosen_layers(values, layers), "epoch", "layer")
    wide = max(map(len, layer_names(values["layer"].values))) > LONG
    drawn = canvas(PAGE if wide else COLUMN, REST + ROW * max(6, values.sizes["layer"]))
    axes = drawn.subplots()
    draw_map(drawn, axes, values)
    onsets = onset_epoch(values, fraction=fraction if threshold is None else None, threshold=threshold)
    draw_onsets(axes, onsets)
    there = (
        f"has made {100 * fraction:g} % of its fall on the log scale"
        if threshold is None
        else f"is at most {threshold:g}"
    )
    seeds = onsets.sizes["seed"]
    spread = f"median and range of {seeds} seeds; colours: mean over seeds" if seeds > 1 else "one seed"
    caption(drawn, split_words(values), f"line: epoch from which a layer {there} for good, {spread}", setting)
    return drawn


def draw_map(drawn: Figure, axes: Axes, values: xr.DataArray) -> None:
    """Draw the mean of values [seed, epoch, layer] as cells, layers upwards."""
    log = is_positive(values)
    mean = over_seeds(values, log=log)["estimate"].transpose("layer", "epoch")
    norm = (LogNorm if log else Normalize)(float(mean.min()), float(mean.max()))
    epoch_axis(axes)
    edges = cell_edges(axes, values["epoch"].values)
    rows = np.arange(values.sizes["layer"] + 1) - 0.5
    cells = axes.pcolormesh(edges, rows, np.ma.masked_invalid(mean), norm=norm, cmap="viridis", rasterized=True)
    axes.set(xlim=(edges[0], edges[-1]), ylabel="layer")
    axes.grid(visible=False)
    mark_layers(axes, values["layer"].values, along="y")
    bar = drawn.colorbar(cells, ax=axes, aspect=max(6, len(rows) - 1) * ROW / 0.12, pad=0.03)
    bar.set_label(variable_label(values))
    if log:
        log_numbers(bar.ax.yaxis)


def cell_edges(axes: Axes, epochs: np.ndarray) -> np.ndarray:
    """Return the epochs' edges, half way between them as the axis stretches them."""
    scale = axes.xaxis.get_transform()
    centres = scale.transform(np.asarray(epochs, dtype=float))
    inner = (centres[1:] + centres[:-1]) / 2 if len(centres) > 1 else centres + 0.25
    edges = np.concatenate(
        [[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]] if len(centres) > 1 else []]
    )
    return np.asarray(scale.inverted().transform(edges))


def draw_onsets(axes: Axes, onsets: xr.DataArray) -> None:
    """Draw onsets [seed, layer] as a line through the layers: median, and range over the seeds that have one."""
    middle = onsets.fillna(np.inf).median("seed")
    middle = middle.where(np.isfinite(middle))
    if not bool(middle.notnull().any()):
        return
    reach = [middle - onsets.min("seed"), onsets.max("seed") - middle]
    drawn = axes.errorbar(
        middle,
        np.arange(onsets.sizes["layer"]),
        xerr=np.where(middle.notnull(), reach, 0.0),
        color="white", marker="o", markersize=5, linewidth=1.6, elinewidth=1.6,
    )  # fmt: skip
    outline: list[patheffects.AbstractPathEffect] = [patheffects.withStroke(linewidth=3.2, foreground="black")]
    for part in drawn.get_children():
        part.set_path_effects(outline)
