"""Figure of the law of equi-separation: the log of the fuzziness against depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from elastic.analysis.depth import separation_law as fit_law
from elastic.analysis.epochs import epoch_label
from elastic.analysis.persistence import depth_of
from elastic.analysis.reading import read, select
from elastic.analysis.roles import OUTPUT, roles_of
from elastic.display.numbers import typeset, with_interval
from elastic.figures.contract import (
    caption,
    colour,
    draw_line,
    evenly,
    figure,
    first_setting,
    ink,
    interval_words,
    letter_panels,
    log_ticks,
    measured,
    over_seeds,
    panels,
    split_words,
    variable_label,
)
from elastic.figures.layers import chosen_layers
from elastic.figures.page import inches_of
from elastic.figures.points import draw_points

#: Index of the line's colour.
LINE = 5

#: Width in inches of a panel, before it is laid out, below which intervals have lines of their own in the title.
ROOM = 2.3


@figure()
def separation_law(
    cube: xr.DataTree,
    *,
    metric: str = "fuzziness",
    split: str = "train",
    epochs: Sequence[float] | None = None,
    layers: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    r"""Draw the log of the separation fuzziness against depth with the straight line of the law of equi-separation.

    $D_l \approx \rho^l D_0$ [he2023law]. Points are geometric means over the seeds; the line is the mean of the lines
    fitted to each seed (`elastic.analysis.depth.separation_law`). The title of each panel gives the ratio ρ with its
    interval (from log ρ), and Pearson's r of log D with depth with its interval (from Fisher's artanh r).

    Parameters
    ----------
    cube
        Cube of a study with the group ``collapse``.
    metric
        Variable [seed, epoch, layer, …], positive.
    split
        Split on which it is measured.
    epochs
        Probed epochs, one panel each; −1 is the last. The first and the last by default.
    layers
        Layers to fit, by name; by default those between input and output. Other layers except the output are drawn as
        open points.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube lacks the metric, split, epoch, layer or label.
    """
    values, setting = first_setting(read(cube, metric, split=split, where=where))
    values = measured(values, "epoch", "layer")
    fitted = chosen_layers(values, layers)
    outputs = [name for name, role in zip(values["layer"].values, roles_of(values), strict=True) if role == OUTPUT]
    aside = values.drop_sel(layer=[*fitted["layer"].values, *outputs], errors="ignore")
    chosen = epochs if epochs is not None else evenly(values["epoch"].values, 2)
    drawn, grid, columns = panels(len(chosen), 3.2, most=3, sharey=True)
    estimates = []
    for axes, epoch in zip(grid, chosen, strict=True):
        beside = select(aside, "epoch", epoch)
        draw_points(
            axes,
            depth_of(beside),
            over_seeds(beside, log=True),
            color=ink(),
            markerfacecolor=ink(0),
            markeredgecolor=ink(),
        )
        estimates.append(draw_law(axes, select(fitted, "epoch", epoch)))
    for axes in grid[::columns]:
        axes.set_ylabel(variable_label(values))
    log_ticks(grid[0])
    letter_panels(grid)
    words = interval_words(*estimates, log=True, drawn="bars and band")
    some = f"open, not fitted: {', '.join(aside['layer'].values)}" if aside.sizes["layer"] else ""
    caption(drawn, split_words(values), words, some, setting)
    return drawn


def draw_law(axes: Axes, values: xr.DataArray) -> xr.Dataset:
    """Draw values [seed, layer] of an epoch and the fit to their logs; return the means of the points."""
    depth, estimates, fit = depth_of(values), over_seeds(values, log=True), fit_law(values)
    lines: xr.DataArray = xr.apply_ufunc(np.exp, fit["intercept"] + fit["slope"] * depth)
    draw_points(axes, depth, estimates, color=ink(), zorder=3)
    draw_line(axes, depth, over_seeds(lines, log=True), color=colour(LINE), marker="", zorder=2)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set(xlabel="depth  $l$")
    words = "\n".join((f"epoch {epoch_label(values['epoch'])}", *law_words(fit)))
    words = words if inches_of(axes) > ROOM else words.replace(" [", "\n[").replace(": ", ":\n")
    axes.set_title(words, fontsize=9.5)
    return estimates


def law_words(fit: xr.Dataset) -> list[str]:
    """Format ratio and correlation of fits [seed], with their intervals, in two lines.

    >>> fit = xr.Dataset({"ratio": ("seed", [0.5, 0.5]), "r": ("seed", [-0.9, -0.9])})
    >>> law_words(fit)
    ['ρ = 0.500 [0.500, 0.500]', 'r = −0.900 [−0.900, −0.900]']
    """
    if not bool(fit["ratio"].notnull().any()):
        return ["no line: fewer than three layers"]
    # artanh of exactly ±1 is infinite.
    across = over_seeds(xr.apply_ufunc(np.arctanh, fit["r"].clip(-1 + 1e-12, 1 - 1e-12))).drop_vars("count")
    ratio, correlation = over_seeds(fit["ratio"], log=True), across.map(np.tanh)
    return [f"ρ = {format_estimate(ratio)}", f"r = {format_estimate(correlation)}"]


def format_estimate(estimates: xr.Dataset) -> str:
    """Format an estimate with its interval, if any.

    >>> format_estimate(xr.Dataset({"estimate": np.nan, "lower": np.nan, "upper": np.nan}))
    'undefined'
    """
    estimate, lower, upper = (float(estimates[name]) for name in ("estimate", "lower", "upper"))
    return typeset(with_interval(estimate, lower, upper)) if np.isfinite(estimate) else "undefined"
