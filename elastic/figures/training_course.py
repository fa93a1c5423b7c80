"""Figure of a metric during training, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import read, select
from elastic.errors import NotMeasured
from elastic.figures.contract import (
    PAGE,
    average,
    canvas,
    caption,
    draw_line,
    epoch_axis,
    evenly,
    figure,
    first_setting,
    ink,
    interval_words,
    is_positive,
    layer_names,
    line_styles,
    log_ticks,
    measured,
    split_words,
    variable_label,
)
from elastic.figures.direct_labels import label_ends
from elastic.figures.layers import chosen_layers

#: Layers drawn by default, evenly spaced in depth.
LAYERS = 7


@figure()
def training_course(
    cube: xr.DataTree,
    *,
    metric: str = "nc1",
    split: str = "train",
    layers: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a metric against the epochs of training: one line per layer with intervals over the seeds.

    The epochs are on a symmetric-log axis: logarithmic from epoch 1 on, linear from 0 (before training) to 1. A dotted
    line marks the first epoch with zero training error in all seeds, where the terminal phase of training begins
    [papyan2020prevalence].

    Parameters
    ----------
    cube
        Cube of a study.
    metric
        Variable [seed, epoch, layer, …].
    split
        Split on which it is measured.
    layers
        Layers by name; by default at most seven between input and logits.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube lacks the metric, split, layer or label.
    """
    values, setting = first_setting(read(cube, metric, split=split, where=where))
    values = measured(chosen_layers(values, layers), "epoch", "layer")
    chosen = layers if layers is not None else evenly(values["layer"].values, LAYERS)
    drawn = canvas(PAGE, 3.4)
    axes = drawn.subplots()
    estimates = draw_courses(axes, values, chosen)
    label_ends(axes, "layer")
    fitted = mark_fitted(axes, cube, where)
    some = f"{len(chosen)} of {values.sizes['layer']} layers" if len(chosen) < values.sizes["layer"] else ""
    caption(drawn, split_words(values), interval_words(*estimates, log=is_positive(values)), some, setting, fitted)
    return drawn


def draw_courses(axes: Axes, values: xr.DataArray, layers: Sequence[str]) -> list[xr.Dataset]:
    """Draw values [seed, epoch, layer] by epoch, from shallow (light) to deep (dark); return what was drawn."""
    drawn: list[xr.Dataset] = []
    looks = line_styles(len(layers), ordered=True)
    for layer, name, look in zip(layers, layer_names(layers), looks, strict=True):
        drawn.append(average(select(values, "layer", layer)))
        draw_line(axes, values["epoch"].values, drawn[-1], label=name, **look)
    epoch_axis(axes, values["epoch"].values)
    axes.set_ylabel(variable_label(values))
    if is_positive(values):
        log_ticks(axes)
    return drawn


def mark_fitted(axes: Axes, cube: xr.DataTree, where: Mapping[str, Any] | None) -> str:
    """Mark the first epoch with zero training error in all seeds; return the text for the caption."""
    try:
        accuracy = read(cube, "training/accuracy")
    except NotMeasured:
        return ""
    for dim, label in (where or {}).items():
        accuracy = select(accuracy, dim, label) if dim in accuracy.dims else accuracy
    perfect = (first_setting(accuracy)[0] == 1).all("seed")
    if not bool(perfect.any()):
        return "the training error is never zero in all seeds"
    epoch = accuracy["epoch"][int(perfect.argmax("epoch"))].item()
    axes.axvline(epoch, color=ink(0.75), linewidth=1.2, linestyle=":", zorder=1)
    return f"dotted: epoch {epoch_label(epoch)}, the first with no training error in any seed"
