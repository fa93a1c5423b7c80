"""Figure of the angles between class means, compared with those of a simplex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import read, select
from elastic.figures.contract import (
    PAGE,
    SEQUENTIAL,
    asked_width,
    canvas,
    caption,
    evenly,
    figure,
    first_setting,
    ink,
    interval_words,
    layer_names,
    letter_panels,
    line_styles,
    literal,
    mark_layers,
    measured,
    over_seeds,
    split_words,
)
from elastic.figures.layers import chosen_layers
from elastic.figures.page import LETTERS, in_rows, settle
from elastic.figures.points import draw_points
from elastic.figures.style import as_pixels

#: Quantiles of the cosines: whisker, box, median.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

#: Most classes, and most characters of a name, for which every class is labelled.
NAMED, SHORT = 12, 2

#: Most characters of a one-line title above a matrix.
TITLE = 20

#: Number of layers above which markers shrink.
MANY = 12

#: Width in inches above which the matrices stand beside the box plots, and the share of it that box plots then take.
BESIDE, SHARE = 6.0, 0.69


@figure()
def class_mean_geometry(
    cube: xr.DataTree,
    *,
    split: str = "train",
    epochs: Sequence[float] | None = None,
    layer: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw the cosines between class means by layer, early and late, against −1/(K−1) of a simplex.

    Left: box plots of the cosines cos(μ_j − μ_G, μ_k − μ_G) of all pairs j ≠ k, with the median and its interval over
    the seeds; box (quartiles) and whisker (5 % to 95 %) are means over the seeds of each seed's quantiles. Right: the
    matrix of cosines of one layer, mean over the seeds, with the value of a simplex marked on the colour bar.

    Parameters
    ----------
    cube
        Cube of a study with the group ``collapse``.
    split
        Split whose class means are shown.
    epochs
        Two probed epochs; −1 is the last. The first and the last by default.
    layer
        Layer of the matrices; by default the last hidden one.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube lacks ``class_cosine``, or the split, epoch, layer or label.
    """
    values, setting = first_setting(read(cube, "class_cosine", split=split, where=where))
    values = measured(values, "epoch", "layer").transpose("seed", "epoch", "layer", "class", "other_class")
    shown = epochs if epochs is not None else evenly(values["epoch"].values, 2)
    chosen = [select(values, "epoch", epoch) for epoch in shown]
    layer = layer if layer is not None else str(chosen_layers(values)["layer"].values[-1])
    matrices = [apart(select(cosines, "layer", layer).mean("seed")) for cosines in chosen]
    wide = asked_width(PAGE) > BESIDE
    drawn = canvas(PAGE, 4.0 if wide else 6.0)
    sides: list[list[Any]] = [["pairs", i] for i in range(len(chosen))]
    below: list[list[Any]] = [["pairs"] * len(chosen), list(range(len(chosen)))]
    ratios: dict[str, Any] = {"width_ratios": [2.2, 1]} if wide else {"height_ratios": [1.3, 1]}
    grid = drawn.subplot_mosaic(sides if wide else below, **ratios)
    estimates = draw_pairs(grid["pairs"], chosen)
    letter_panels([grid["pairs"], *(grid[i] for i in range(len(chosen)))])
    draw_matrices(drawn, [grid[i] for i in range(len(chosen))], matrices, wide=wide)
    words = interval_words(estimates, drawn="bar of the median")
    box = f"boxes: quartiles, whiskers: 5 % to 95 % of the pairs of {values.sizes['class']} classes"
    caption(drawn, split_words(values.rename("class means")), box, words, setting)
    settle(drawn)
    return drawn


def simplex_cosine(cosines: xr.DataArray) -> float:
    """Return −1/(K−1), the cosine of any two of the K vertices of a simplex about its centre."""
    return -1 / (cosines.sizes["class"] - 1)


def apart(cosines: xr.DataArray) -> xr.DataArray:
    """Mask the diagonal of cosines [class, other_class], which is always 1."""
    return cosines.where(~np.eye(cosines.sizes["class"], dtype=bool))


def pair_quantiles(cosines: xr.DataArray) -> xr.DataArray:
    """Return the quantiles [seed, layer, quantile] over pairs of classes of cosines [seed, layer, class, other_class].

    Every pair counts once; pairs without a cosine (a class mean equals the global mean) are skipped.

    >>> cosines = xr.DataArray([[1.0, 0.2, 0.4], [0.2, 1.0, 0.6], [0.4, 0.6, 1.0]], dims=("class", "other_class"))
    >>> pair_quantiles(cosines).values.round(2)
    array([0.22, 0.3 , 0.4 , 0.5 , 0.58])
    """

    def quantiles(square: np.ndarray) -> np.ndarray:
        pairs = square[np.triu_indices(len(square), k=1)]
        pairs = pairs[np.isfinite(pairs)]
        return np.quantile(pairs, QUANTILES) if len(pairs) else np.full(len(QUANTILES), np.nan)

    pairs = ["class", "other_class"]
    values_at: xr.DataArray = xr.apply_ufunc(
        quantiles, cosines, input_core_dims=[pairs], output_core_dims=[["quantile"]], vectorize=True
    )
    return values_at.assign_coords(quantile=list(QUANTILES))


def draw_pairs(axes: Axes, chosen: Sequence[xr.DataArray]) -> xr.Dataset:
    """Draw the quantiles of the cosines by layer, with epochs side by side; return the last medians drawn."""
    axes.axhline(simplex_cosine(chosen[0]), color=ink(0.9), linewidth=1.2, linestyle="--", zorder=1, label="$-1/(K-1)$")
    width = 0.8 / len(chosen)
    for i, (cosines, look) in enumerate(zip(chosen, line_styles(len(chosen), ordered=True), strict=True)):
        estimates = over_seeds(pair_quantiles(cosines), bounds=(-1, 1))
        low, lower, _, upper, high = (estimates["estimate"].sel(quantile=q) for q in QUANTILES)
        x = np.arange(cosines.sizes["layer"]) + width * (i + 0.5) - 0.4
        axes.vlines(x, low, high, color=look["color"], linewidth=1)
        axes.bar(x, upper - lower, bottom=lower, width=0.8 * width, color=look["color"], alpha=0.45, linewidth=0)
        middle = estimates.sel(quantile=0.5)
        edge = {"markeredgecolor": ink(), "markeredgewidth": 0.7, "markersize": 3 if len(x) > MANY else 4.5}
        draw_points(
            axes,
            x,
            middle,
            **look,
            **edge,
            ecolor=ink(),
            zorder=3,
            label=f"epoch {epoch_label(cosines['epoch'])}",
        )
    mark_layers(axes, chosen[0]["layer"].values)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("cos(μ$_j$ − μ$_G$, μ$_k$ − μ$_G$)")
    width = asked_width(PAGE) * (SHARE if asked_width(PAGE) > BESIDE else 1)
    rows = in_rows(*axes.get_legend_handles_labels(), (width - 0.6) * LETTERS)
    axes.legend(**rows, loc="lower left", bbox_to_anchor=(0, 1), columnspacing=1)
    return middle


def draw_matrices(drawn: Figure, grid: Sequence[Axes], matrices: Sequence[xr.DataArray], *, wide: bool) -> None:
    """Draw cosines [class, other_class] of the epochs, with a colour bar that marks the value of a simplex."""
    simplex = simplex_cosine(matrices[0])
    values = np.append(np.stack(matrices), simplex)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    for axes, matrix in zip(grid, matrices, strict=True):
        image = axes.imshow(matrix, vmin=low, vmax=high, cmap=SEQUENTIAL)
        (name,) = layer_names(matrix["layer"].values.reshape(1))
        words = f"{name}, epoch {epoch_label(matrix['epoch'])}"
        axes.set_title(words if len(words) <= TITLE and wide else words.replace(", ", ",\n"), fontsize=9)
        axes.grid(visible=False)
        name_classes(axes, matrix["class"].values, below=axes is grid[-1], wide=wide)
    where: dict[str, Any] = {} if wide else {"location": "bottom"}
    bar = drawn.colorbar(image, ax=list(grid), shrink=0.85, pad=0.03, **where)
    bar.set_label("cosine")
    as_pixels(bar)
    mark = bar.ax.axhline if wide else bar.ax.axvline
    mark(simplex, color="white", linewidth=3)
    mark(simplex, color="black", linewidth=1.2, linestyle="--")


def name_classes(axes: Axes, labels: np.ndarray, *, below: bool, wide: bool) -> None:
    """Label every class if the labels fit, else none; also below the last matrix."""
    names = [literal(str(label)) for label in labels]
    fits = wide and len(names) <= NAMED and max(map(len, names)) <= SHORT
    axes.set_xticks(range(len(names)) if fits and below else [], names if fits and below else [])
    axes.set_yticks(range(len(names)) if fits else [], names if fits else [])
    axes.tick_params(length=0, labelsize=9)
    axes.set_ylabel("class")
