"""The account of training by single steps: how far it closes, and which steps it gives collapse to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from elastic.analysis.closure import closure
from elastic.analysis.reading import select
from elastic.analysis.step_parts import PARTS
from elastic.display.numbers import typeset
from elastic.figures.contract import (
    PAGE,
    asked_width,
    canvas,
    caption,
    colour,
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
    measured,
    over_seeds,
)
from elastic.figures.layers import chosen_layers
from elastic.figures.page import NARROW

#: Number of layers whose residuals are drawn by default, evenly spaced in depth.
LAYERS = 7
#: What the parts of an account are called.
NAMES = {"own": "steps on the class itself", "other": "steps on other classes", "decay": "weight decay"}


@figure(name="closure")
def draw_closure(
    cube: xr.DataTree,
    *,
    layer: str = "penultimate",
    layers: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw how far single steps account for the movement of class means, and what they add up to in one layer.

    Left, the residual between every two probes, a line a layer: ‖change − account‖/‖change‖ of the inner products of
    class means; at 1 (dotted) the account predicts no better than that nothing moves. Right, the log of within- over
    between-class variance of one layer since the first probe: what happened, and the sums of the steps on a class
    itself, on the other classes, and of weight decay.

    Parameters
    ----------
    cube
        Of a study with the group ``class_steps``.
    layer
        Layer of the right panel.
    layers
        Layers of the left panel by name; by default at most seven of those between input and logits.
    where
        Labels on the study's axes, {axis: label}; the first of every axis left open.

    Raises
    ------
    NotMeasured
        If the cube does not hold the group, the rule of the optimiser's steps, or a layer.
    """
    account = closure(cube, where=where)
    residual, setting = first_setting(account["residual"])
    residual = measured(chosen_layers(residual, layers), "epoch", "layer")
    shown = layers if layers is not None else evenly(residual["layer"].values, LAYERS)
    drawn_sums = ("change", "account", *PARTS)
    one = {name: select(first_setting(account[f"log_ratio_{name}"])[0], "layer", layer) for name in drawn_sums}
    wide = asked_width(PAGE) > NARROW
    drawn = canvas(PAGE, 3.6 if wide else 6.6)
    grid = drawn.subplot_mosaic("ab" if wide else "a;b")
    lines = [draw_residuals(grid["a"], residual.sel(layer=shown)), draw_account(grid["b"], one)]
    grid["b"].set_title(f"account of {layer_names([layer])[0]}", fontsize=9.5)
    letter_panels([grid["a"], grid["b"]])
    handles = [handle for axes in grid.values() for handle in axes.get_legend_handles_labels()[0]]
    labels = [label for axes in grid.values() for label in axes.get_legend_handles_labels()[1]]
    legend(drawn, handles, labels)
    some = (
        f"residuals of {len(shown)} of {residual.sizes['layer']} layers" if len(shown) < residual.sizes["layer"] else ""
    )
    words = interval_words(lines[0][0], log=None)
    caption(drawn, "a: between two probes, at the later one", "b: since the first probe", words, some, setting)
    return drawn


def draw_residuals(axes: Axes, residual: xr.DataArray) -> list[xr.Dataset]:
    """Draw residuals [seed, epoch, layer] over the epochs, from shallow (light) to deep (dark); return the drawn."""
    drawn = []
    names = layer_names(residual["layer"].values)
    for place, (name, look) in enumerate(zip(names, line_styles(len(names), ordered=True), strict=True)):
        drawn.append(over_seeds(residual.isel(layer=place), log=True))
        draw_line(axes, residual["epoch"].values, drawn[-1], label=name, **look)
    axes.axhline(1, color=ink(0.6), linewidth=0.9, linestyle=":", zorder=1)
    epoch_axis(axes, residual["epoch"].values)
    axes.set_xlim(left=float(residual["since"][0]))
    axes.set_ylabel("residual ‖change − account‖ / ‖change‖")
    log_ticks(axes, "y")
    return drawn


def draw_account(axes: Axes, parts: Mapping[str, xr.DataArray]) -> list[xr.Dataset]:
    """Draw the sums since the first probe of what happened and of its account [seed, epoch]; return the drawn."""
    sums = {name: _since_start(values) for name, values in parts.items()}
    epochs = sums["change"]["epoch"].values
    looks: list[tuple[str, xr.DataArray, dict[str, Any]]] = [
        ("what happened", sums["change"], {"color": ink(0.95), "linewidth": 2.0}),
        ("account, all steps", sums["account"], {"color": ink(0.95), "linestyle": "--"}),
        *((NAMES[part], sums[part], {"color": colour(place + 1)}) for place, part in enumerate(PARTS)),
    ]
    drawn = []
    for name, values, look in looks:
        drawn.append(over_seeds(values))
        draw_line(axes, epochs, drawn[-1], label=name, **look)
    axes.axhline(0, color=ink(0.6), linewidth=0.9, linestyle=":", zorder=1)
    epoch_axis(axes, epochs)
    # The sums of the parts are mostly far larger than their sum.
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: typeset(f"{value:g}")))
    axes.set_xlim(left=float(epochs[0]))
    axes.set_ylabel("change of log(tr Σ_W / tr Σ_B)")
    return drawn


def _since_start(changes: xr.DataArray) -> xr.DataArray:
    """Return the sums of changes up to each probe, from 0 at the first one on."""
    start = float(changes["since"][0])
    begin = xr.zeros_like(changes.isel(epoch=[0])).assign_coords(epoch=[start])
    joined = xr.concat([begin, changes], "epoch", coords="minimal", compat="override")
    return joined.cumsum("epoch", skipna=False).assign_coords(epoch=joined["epoch"].values)
