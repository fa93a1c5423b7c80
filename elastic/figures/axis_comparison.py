"""Figure that compares the end of training along an axis of the study, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import select, settings_axes
from elastic.errors import NotMeasured, OptionError
from elastic.figures.contract import (
    all_positive,
    average,
    caption,
    evenly,
    figure,
    first_setting,
    interval_words,
    legend,
    letter_panels,
    line_styles,
    literal,
    mark_layers,
    measured,
    panels,
    split_words,
    value_words,
)
from elastic.figures.depth_profile import finish, panels_of
from elastic.registry import nearest

#: Most values of the axis drawn, evenly spaced; and the offset of their error bars, in layers.
VALUES, APART = 6, 0.11


@figure()
def axis_comparison(
    cube: xr.DataTree,
    *,
    axis: str | None = None,
    metric: str = "nc1",
    split: str = "train",
    epoch: float = -1,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a metric of collapse, and locality, by layer at the end of training: one line per value of an axis.

    Parameters
    ----------
    cube
        Cube of a study with an axis other than the seed.
    axis
        Axis of the study; by default the first one other than the seed that ``where`` does not select.
    metric
        Variable [seed, epoch, layer, …] of the left panel; the right one, if measured, shows locality.
    split
        Split on which the metric is measured.
    epoch
        Probed epoch; −1 is the last one of each value of the axis.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the study has no other axis, or the cube lacks the metric, split, epoch or label.
    OptionError
        If the study has no such axis.
    """
    shown = panels_of(cube, metric, split=split, where=where)
    axis = chosen_axis(shown[0], axis)
    labels = evenly(measured(shown[0], axis)[axis].values, VALUES)
    drawn, grid, _ = panels(len(shown), 3.3)
    estimates = []
    for axes, values in zip(grid, shown, strict=True):
        estimates += draw_values(axes, first_setting(values, keep=[axis])[0], axis, labels, epoch)
    letter_panels(grid)
    legend(drawn, *grid[0].get_legend_handles_labels(), title=literal(axis.replace("_", " ")))
    words = interval_words(*estimates, log=all_positive(shown), drawn="bar")
    at = "last probed epoch" if epoch == -1 else f"epoch {epoch_label(epoch)}"
    some = f"{len(labels)} of {shown[0].sizes[axis]} values" if len(labels) < shown[0].sizes[axis] else ""
    caption(drawn, split_words(shown[0]), at, words, some, first_setting(shown[0], keep=[axis])[1])
    return drawn


def chosen_axis(values: xr.DataArray, axis: str | None) -> str:
    """Return the requested axis, or the first one that is not selected.

    Raises
    ------
    NotMeasured
        If there is none other than the seed.
    OptionError
        If the values have no such axis.
    """
    known = list(settings_axes(values))
    if not known:
        hint = "a study with a second axis (axes: in its protocol)"
        raise NotMeasured("`axis`", "be an axis of the study other than the seed", "seeds only", hint)
    if axis is not None and axis not in known:
        raise OptionError(
            "`axis`", "be an axis of the study", repr(axis), nearest(axis, known, fallback=" or ".join(known))
        )
    return axis or known[0]


def draw_values(axes: Axes, values: xr.DataArray, axis: str, labels: list[Any], epoch: float) -> list[xr.Dataset]:
    """Draw values [axis, seed, epoch, layer] by layer, with error bars side by side; return what was drawn."""
    values = measured(values, "epoch", "layer")
    positions, drawn = np.arange(values.sizes["layer"]), []
    looks = line_styles(len(labels), ordered=bool(np.issubdtype(values[axis].dtype, np.number)))
    shifts = APART * (np.arange(len(labels)) - (len(labels) - 1) / 2)
    for label, look, shift in zip(labels, looks, shifts, strict=True):
        estimates = average(at_epoch(select(values, axis, label), epoch))
        drawn.append(estimates)
        reach = [estimates["estimate"] - estimates["lower"], estimates["upper"] - estimates["estimate"]]
        bars: dict[str, Any] = {"capsize": 2, "elinewidth": 1.1, "linewidth": 1.2}
        axes.errorbar(
            positions + shift,
            estimates["estimate"],
            yerr=np.nan_to_num(reach),
            label=value_words(label),
            **look,
            **bars,
        )
    mark_layers(axes, values["layer"].values)
    finish(axes, values)
    return drawn


def at_epoch(values: xr.DataArray, epoch: float) -> xr.DataArray:
    """Select a probed epoch; the last one is the last with a finite value."""
    probed = values.dropna("epoch", how="all") if epoch < 0 else values
    return select(probed if probed.sizes["epoch"] else values, "epoch", epoch)
