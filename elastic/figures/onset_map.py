"""Figure of a metric over epochs and layers, with the onset of collapse of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from elastic.analysis.onset import onset_epoch
from elastic.analysis.reading import read, settings_axes
from elastic.display.average import average_words
from elastic.display.numbers import epochs_of_seeds
from elastic.figures.contract import (
    PAGE,
    SEQUENTIAL,
    average,
    canvas,
    caption,
    epoch_axis,
    evenly,
    figure,
    first_setting,
    is_positive,
    letter_panels,
    literal,
    log_numbers,
    mark_layers,
    measured,
    split_words,
    value_words,
    variable_label,
)
from elastic.figures.layers import chosen_layers
from elastic.figures.page import NARROW, asked_width, guest_of, width_of
from elastic.figures.style import as_pixels

#: Height in inches of a layer, of everything else, and of a panel's title.
ROW, REST, TITLE = 0.26, 1.7, 0.3

#: Aspect ratio of the colour bar, per panel; and of one below the panels of a narrow figure, which needs more height.
BAR, BELOW, BELOW_HEIGHT = 14, 20, 0.6

#: Width in inches of the names of layers and the numbers at the side.
SIDES = 1.4

#: Fewest rows of a panel, and most panels.
ROWS, PANELS = 3, 4


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
    """Draw a metric over epochs and layers, with the onset of collapse of each layer.

    Each cell is a probed epoch and extends half way to the next one on the axis, which is logarithmic from epoch 1 on.
    Points mark the onset of each layer, `elastic.analysis.onset.onset_epoch`: the median over the seeds with their
    range; the numbers are at the side. A layer without an onset in half of the seeds or more has no point. If the study
    has another axis, each of its labels has a panel, with common epochs and colours.

    Parameters
    ----------
    cube
        Cube of a study.
    metric
        Decreasing variable [seed, epoch, layer, …].
    split
        Split on which it is measured.
    fraction
        Share of a layer's own fall, on a log scale, that defines its onset.
    threshold
        Value that defines the onset of all layers, instead of a fraction.
    layers
        Layers by name; by default those between input and logits.
    where
        Labels to select on the study's axes, {axis: label}. Of the first other axis at most four labels are drawn, of
        further ones the first.

    Raises
    ------
    NotMeasured
        If the cube lacks the metric, split, layer or label.
    OptionError
        If the fraction or the threshold is out of range.
    """
    values = read(cube, metric, split=split, where=where)
    axis = settings_axes(values)[:1]  # each of its labels has a panel; empty without another axis
    values, setting = first_setting(values, keep=axis)
    values = measured(chosen_layers(values, layers), "epoch", "layer", *axis)
    panels = panels_of(values, *axis)
    height = REST + len(panels) * (TITLE * len(axis) + ROW * max(ROWS, values.sizes["layer"]))
    drawn = canvas(PAGE, height + BELOW_HEIGHT * (asked_width(PAGE) <= NARROW))
    share, norm = fraction if threshold is None else None, shared_norm(panels)
    grid = list(np.ravel(drawn.subplots(len(panels), sharex=True)))
    for axes, shown in zip(grid, panels, strict=True):
        cells = draw_map(axes, shown, norm)
        onsets = onset_epoch(shown, fraction=share, threshold=threshold)
        draw_onsets(axes, onsets, shown.notnull().any("epoch").transpose(*onsets.dims))
        title = [f"{literal(name.replace('_', ' '))} = {value_words(shown[name].item())}" for name in axis]
        axes.set_title("".join(title), loc="left")
        axes.label_outer()
    letter_panels(grid)
    scale_of(drawn, cells, values)
    some = [f"{len(panels)} of {values.sizes[name]} values" for name in axis if len(panels) < values.sizes[name]]
    caption(drawn, split_words(values), onset_words(values, share, threshold), *some, setting)
    return drawn


def panels_of(values: xr.DataArray, axis: str | None = None) -> list[xr.DataArray]:
    """Split values by the labels of an axis, of many evenly spaced ones; one panel without an axis."""
    return [values] if axis is None else [values.sel({axis: label}) for label in evenly(values[axis].values, PANELS)]


def onset_words(values: xr.DataArray, fraction: float | None, threshold: float | None) -> str:
    """Describe the onsets and the colours of the values [seed, …] for the caption.

    >>> onset_words(xr.DataArray([0.2], dims="seed"), None, 0.1)
    'line and numbers: epoch from which a layer stays at or below 0.1, one seed'
    """
    seeds = values.sizes["seed"]
    mean = average_words([seeds], log=is_positive(values)).partition(" over")[0]
    of_its_own = (
        f"has made, and keeps, {100 * fraction:g} % of its fall on the log scale" if fraction is not None else ""
    )
    there = of_its_own or f"stays at or below {threshold:g}"
    spread = f"median and range of {seeds} seeds; colours: {mean}" if seeds > 1 else "one seed"
    return f"line and numbers: epoch from which a layer {there}, {spread}"


def shared_norm(panels: Sequence[xr.DataArray]) -> Normalize:
    """Return the common colour normalisation of all panels, from the smallest to the largest mean over seeds."""
    log = is_positive(panels[0])
    means = [average(values)["estimate"] for values in panels]
    ends = min(float(mean.min()) for mean in means), max(float(mean.max()) for mean in means)
    return LogNorm(*ends) if log else Normalize(*ends)


def draw_map(axes: Axes, values: xr.DataArray, norm: Normalize) -> QuadMesh:
    """Draw the mean of values [seed, epoch, layer] as cells, with depth upwards; return the cells."""
    mean = average(values)["estimate"].transpose("layer", "epoch")
    epoch_axis(axes, values["epoch"].values)
    edges = cell_edges(axes, values["epoch"].values)
    rows = np.arange(values.sizes["layer"] + 1) - 0.5
    cells = axes.pcolormesh(edges, rows, np.ma.masked_invalid(mean), norm=norm, cmap=SEQUENTIAL, rasterized=True)
    axes.set(xlim=(edges[0], edges[-1]), ylabel="layer")
    axes.grid(visible=False)
    mark_layers(axes, values["layer"].values, along="y")
    return cells


def scale_of(drawn: Figure, cells: QuadMesh, values: xr.DataArray) -> None:
    """Draw the common colour bar of all panels, at their side or below them in a narrow figure."""
    if below := guest_of(drawn) is None and width_of(drawn) <= NARROW:
        bar = drawn.colorbar(cells, ax=drawn.axes, location="bottom", aspect=BELOW, pad=0.03)
    else:
        bar = drawn.colorbar(cells, ax=drawn.axes, aspect=BAR * len(drawn.axes), pad=0.03)
    bar.set_label(variable_label(values))
    as_pixels(bar)
    if is_positive(values):
        if below:  # beside the names of the layers and the onsets
            log_numbers(bar.ax.xaxis, max(2, int(2 * (width_of(drawn) - SIDES))))
        else:
            log_numbers(bar.ax.yaxis)


def cell_edges(axes: Axes, epochs: np.ndarray) -> np.ndarray:
    """Return the edges of the epochs' cells, half way between epochs on the scale of the axis."""
    scale = axes.xaxis.get_transform()
    centres = scale.transform(np.asarray(epochs, dtype=float))
    inner = (centres[1:] + centres[:-1]) / 2 if len(centres) > 1 else centres + 0.25
    edges = np.concatenate(
        [[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]] if len(centres) > 1 else []]
    )
    return np.asarray(scale.inverted().transform(edges))


def draw_onsets(axes: Axes, onsets: xr.DataArray, there: xr.DataArray) -> None:
    """Draw onsets [seed, layer] as a line through the layers, with median and range over seeds, and write the numbers.

    Only existing seeds and layers count: a run that has not started is not one that does not collapse.
    """
    for row in map(int, axes.get_yticks()):
        text = epochs_of_seeds(onsets.isel(layer=row).values[there.isel(layer=row).values])
        axes.text(1.01, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    middle = onsets.fillna(np.inf).where(there).median("seed")
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
