"""Figure of the singular values of the class means, compared with theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import read, select
from elastic.errors import OptionError
from elastic.figures.contract import (
    caption,
    draw_line,
    evenly,
    figure,
    first_setting,
    ink,
    interval_words,
    layer_names,
    letter_panels,
    line_styles,
    measured,
    over_seeds,
    panels,
    split_words,
)
from elastic.figures.layers import chosen_layers
from elastic.figures.page import panel_legend

#: Number of epochs and layers drawn by default, evenly spaced.
EPOCHS, LAYERS = 4, 8

#: Most components with markers.
MARKED = 20

#: Short name of a simplex equiangular tight frame.
FRAME = "ETF"


@figure()
def theory_spectrum(
    cube: xr.DataTree,
    *,
    theory: Sequence[float] | None = None,
    split: str = "train",
    epochs: Sequence[float] | None = None,
    layer: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    r"""Draw the singular values of the class means against those predicted by theory.

    With ``theory`` the values are those of the uncentred class means, in their own unit. Without it those of the
    centred class means μ_k − μ_G are compared with a simplex equiangular tight frame of the same norm: K−1 equal values
    and a zero. They are divided by the value $\sqrt{\sum_r \sigma_r^2/(K-1)}$ of the frame, so that the frame is at 1;
    a second panel shows the other layers at the last epoch.

    Parameters
    ----------
    cube
        Cube of a study with the group ``collapse``.
    theory
        K singular values in any order. Closed forms for all N = Kn features, such as `elastic.theory.mse_factor_model`,
        are √n times those of the class means.
    split
        Split whose class means are shown.
    epochs
        Probed epochs, one line each; −1 is the last. Four by default.
    layer
        Name of the layer; by default the last hidden one.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube lacks the spectrum, the split, epoch, layer or label.
    OptionError
        If the number of values of ``theory`` differs from the number of classes, or one is negative.
    """
    metric = "class_mean_spectrum" if theory is not None else "class_mean_spectrum_centred"
    values, setting = first_setting(read(cube, metric, split=split, where=where), keep=("component",))
    values = measured(values, "epoch", "layer")
    layer = layer if layer is not None else str(chosen_layers(values)["layer"].values[-1])
    shown = epochs if epochs is not None else evenly(values["epoch"].values, EPOCHS)
    predicted = frame(values) if theory is None else sorted_theory(values, theory)
    values = values if theory is not None else in_units_of_frame(values)
    drawn, grid, columns = panels(2 if theory is None else 1, 3.4, sharey=True)
    estimates = draw_epochs(grid[0], select(values, "layer", layer), shown)
    if theory is None:
        estimates += draw_layers(grid[1], select(values, "epoch", shown[-1]))
    for axes in grid:
        draw_theory(axes, predicted, FRAME if theory is None else "theory")
    for axes in grid[::columns]:
        axes.set_ylabel("singular value  $σ_r / σ_{ETF}$" if theory is None else "singular value  $σ_r$")
    letter_panels(grid)
    frame_words = f"{FRAME}: a simplex with the same Σσ²" if theory is None else ""
    caption(drawn, split_words(values.rename("class means")), interval_words(*estimates), frame_words, setting)
    return drawn


def sorted_theory(values: xr.DataArray, theory: Sequence[float]) -> np.ndarray:
    """Sort the values of the theory in descending order.

    Raises
    ------
    OptionError
        Unless there is one nonnegative value for each component.
    """
    predicted, count = np.asarray(theory, dtype=float), values.sizes["component"]
    if predicted.shape != (count,) or not (predicted >= 0).all():
        raise OptionError("`theory`", f"be {count} singular values, 0 or more", str(theory), "one for each class")
    return np.sort(predicted)[::-1]


def frame(values: xr.DataArray) -> np.ndarray:
    """Return the normalised spectrum of a simplex equiangular tight frame: K−1 ones and a zero.

    >>> frame(xr.DataArray([4.0, 3.0, 0.0], dims="component"))
    array([1., 1., 0.])
    """
    return np.append(np.ones(values.sizes["component"] - 1), 0.0)


def in_units_of_frame(values: xr.DataArray) -> xr.DataArray:
    """Divide spectra by the value of a simplex equiangular tight frame with the same Σ_r σ_r².

    >>> found = in_units_of_frame(xr.DataArray([4.0, 3.0, 0.0], dims="component"))   # √((16+9)/2) = 3.536
    >>> found.values.round(3)
    array([1.131, 0.849, 0.   ])
    """
    K = values.sizes["component"]
    own = ((values**2).sum("component", min_count=K) / (K - 1)) ** 0.5
    return values / own.where(own > 0)


def draw_epochs(axes: Axes, values: xr.DataArray, epochs: Sequence[float]) -> list[xr.Dataset]:
    """Draw spectra [seed, epoch, component] of a layer, early (light) to late (dark)."""
    chosen = [select(values, "epoch", epoch) for epoch in epochs]
    title = f"{layer_names(values['layer'].values.reshape(1))[0]}, epoch"
    return draw_spectra(axes, {epoch_label(one["epoch"]): one for one in chosen}, title)


def draw_layers(axes: Axes, values: xr.DataArray) -> list[xr.Dataset]:
    """Draw spectra [seed, layer, component] of an epoch, shallow (light) to deep (dark)."""
    layers = evenly(chosen_layers(values)["layer"].values, LAYERS)
    chosen = [select(values, "layer", layer) for layer in layers]
    named = dict(zip(layer_names(layers), chosen, strict=True))
    return draw_spectra(axes, named, f"epoch {epoch_label(values['epoch'])}, layer")


def draw_spectra(axes: Axes, spectra: Mapping[str, xr.DataArray], title: str) -> list[xr.Dataset]:
    """Draw labelled spectra [seed, component]; return what was drawn."""
    estimates = [over_seeds(values) for values in spectra.values()]
    for name, one, look in zip(spectra, estimates, line_styles(len(spectra), ordered=True), strict=True):
        ranks = np.arange(1, one.sizes["component"] + 1)
        draw_line(axes, ranks, one, label=name, markevery=-(-len(ranks) // MARKED), **look)
    panel_legend(axes, title)
    return estimates


def draw_theory(axes: Axes, predicted: np.ndarray, name: str) -> None:
    """Draw the labelled values of the theory [component] as dashed steps."""
    ranks = np.arange(1, len(predicted) + 1)
    axes.plot(ranks, predicted, color=ink(), linestyle="--", linewidth=1.4, drawstyle="steps-mid", zorder=4)
    axes.annotate(name, (ranks[-2], predicted[-2]), (0, 3), textcoords="offset points", fontsize=9, ha="center")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set(xlabel="component  $r$", ylim=(0, None))
