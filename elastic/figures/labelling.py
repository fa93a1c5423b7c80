"""Text in figures: names of layers and metrics, ticks of logarithmic axes, panel letters, the caption."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator, SymmetricalLogLocator

from elastic.analysis.epochs import epoch_label
from elastic.display.formulas import ABOVE, BELOW, pieces
from elastic.display.layer_names import short_names
from elastic.figures.page import CAPTION_LETTERS, has_caption, width_of
from elastic.figures.style import PaperFigure, ink

#: Longest formula that an axis label includes.
FORMULA = 20

#: Most layers of which every one is labelled, along x and along y.
NAMED, ROWS = 9, 24


def layer_names(layers: Sequence[Any] | np.ndarray) -> list[str]:
    r"""Return distinct short names of layers, with escaped ``$``.

    >>> layer_names(["input", "hidden_1", "conv_2", "stage_3_block_1", "penultimate", "logits"])
    ['input', 'h1', 'c2', 's3b1', 'penult.', 'logits']
    >>> layer_names(["vit.encoder.layer.11.output.dense", "h1", "hidden_1"])
    ['v.e.l.11.o.dense', 'h1', 'h1 (3)']
    """
    numbered = r"_?(hidden|conv|stage|block)_(?=\d)"
    names = [re.sub(numbered, lambda found: found[1][0], str(name)) for name in layers]
    return [literal(name) for name in short_names(["penult." if name == "penultimate" else name for name in names])]


def literal(text: str) -> str:
    r"""Escape a user's text for matplotlib, which reads text between dollars as mathematics.

    >>> print(literal("a$b$"), literal(literal("a$b$")))
    a\$b\$ a\$b\$
    """
    return re.sub(r"(?<!\\)\$", r"\\$", text)


def mark_layers(axes: Axes, layers: Sequence[Any] | np.ndarray, *, along: str = "x") -> None:
    """Label the layers at positions 0, 1, … along an axis: all, or of many every n-th and the last."""
    names, count = layer_names(layers), len(layers)
    step = -(-count // (NAMED if along == "x" else ROWS))
    shown = [i for i in range(count) if i == count - 1 or (i % step == 0 and count - 1 - i >= step)]
    if along == "x":
        axes.set_xticks(shown, [names[i] for i in shown], rotation=35, ha="right", rotation_mode="anchor")
    else:
        axes.set_yticks(shown, [names[i] for i in shown])


def variable_name(values: xr.DataArray) -> str:
    """Return a variable's name in the notation of papers.

    >>> variable_name(xr.DataArray(0.0, name="nc2_etf_error"))
    'NC2 ETF error'
    """
    words = str(values.name).split("_")
    return " ".join(word.upper() if re.fullmatch(r"nc\d|ncc|etf|cdnv", word) else word for word in words)


def split_words(values: xr.DataArray) -> str:
    """Describe the split of values for a caption; "" without a split.

    >>> split_words(xr.DataArray(0.0, name="nc1", coords={"split": "train"}))
    'NC1 on training samples'
    """
    if "split" not in values.coords:
        return ""
    split = str(values["split"].item())
    return f"{variable_name(values)} on {'training' if split == 'train' else split} samples"


def variable_label(values: xr.DataArray) -> str:
    """Return the axis label of a variable: its name, and its formula if short.

    >>> variable_label(xr.DataArray(0.0, name="nc1", attrs={"formula": "tr(Σ_W Σ_B⁺)/K"}))
    'NC1  tr(Σ$_{W}$ Σ$_{B}$⁺)/K'
    >>> variable_label(xr.DataArray(0.0, name="largest", attrs={"formula": "mean_{j≠k} σ_j²"}))
    'largest  mean$_{j≠k}$ σ$_{j}$²'
    >>> variable_label(xr.DataArray(0.0, name="cdnv_mean"))
    'CDNV mean'
    """
    name = variable_name(values)
    formula = str(values.attrs.get("formula", ""))
    if not formula or len(formula) > FORMULA:
        return name
    signs = {BELOW: "$_{%s}$", ABOVE: "$^{%s}$"}
    return f"{name}  " + "".join(signs.get(kind, "%s") % piece for kind, piece in pieces(formula))


def value_words(label: Any) -> str:
    """Format a label of an axis of a study.

    >>> value_words(0.0), value_words(np.float64(0.0005)), value_words("adam")
    ('0', '0.0005', 'adam')
    """
    return f"{label:g}" if isinstance(label, float | np.floating) else literal(str(label))


def evenly(labels: Sequence[Any] | np.ndarray, count: int) -> list[Any]:
    """Select at most ``count`` evenly spaced labels, including the first and the last.

    >>> evenly([0, 1, 2, 4, 8, 16, 32], 4)
    [0, 2, 8, 32]
    """
    chosen = np.unique(np.linspace(0, len(labels) - 1, count).round().astype(int))
    return [labels[i] for i in chosen]


def epoch_axis(axes: Axes, epochs: Sequence[float] | np.ndarray) -> None:
    """Set up the x axis for epochs: logarithmic from the first epoch after 0, linear from 0 to it.

    Parameters
    ----------
    axes
        The axes.
    epochs
        Drawn epochs. The logarithmic part begins at epoch 1, or if the first epoch after 0 is a fraction, at the power
        of ten below it.
    """
    first = min((epoch for epoch in epochs if epoch > 0), default=1)
    begin = 10.0 ** min(0, int(np.floor(np.log10(first))))
    axes.set_xscale("symlog", linthresh=begin, linscale=0.4)
    axes.set(xlabel="epoch (symmetric log)")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: epoch_label(epoch) if begin < 1 else f"{epoch:.0f}"))
    axes.xaxis.set_minor_locator(SymmetricalLogLocator(base=10, linthresh=begin, subs=range(2, 10)))


def log_ticks(axes: Axes, along: str = "y") -> None:
    """Make an axis logarithmic, after drawing, with tick labels that suit its range."""
    (axes.set_yscale if along == "y" else axes.set_xscale)("log")
    log_numbers(axes.yaxis if along == "y" else axes.xaxis)


def log_numbers(axis: Axis, most: int = 8) -> None:
    """Set tick labels of a logarithmic axis or colour bar that suit its range: decades, or 1, 2 and 5.

    Parameters
    ----------
    axis
        The axis.
    most
        Most ticks, about.
    """
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    if decades < 0.7:
        axis.set_major_locator(MaxNLocator(min(4, most), steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(NullLocator())
    else:
        subs = (1, 2, 3, 5) if decades < 1.3 else (1, 2, 5) if decades < 2.2 else (1,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: int | None = None) -> str:
    """Format a number: 0.05, 1, 200, and powers of ten beyond."""
    if 1e-2 <= value < 1e4:
        return f"{value:.4g}"
    power = int(np.floor(np.log10(value) + 1e-9)) if value > 0 else 0
    factor = value / 10.0**power if value > 0 else 0
    return f"$10^{{{power}}}$" if np.isclose(factor, 1) else f"${factor:.3g}\\cdot 10^{{{power}}}$"


def letter_panels(panels: Sequence[Axes] | np.ndarray) -> None:
    """Label panels a, b, c, … in bold above their top left corners; a single panel has no label."""
    if len(panels) < 2:
        return
    for letter, axes in zip(ascii_lowercase, panels, strict=False):
        axes.annotate(
            letter,
            (0, 1),
            (-6, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontweight="bold",
            fontsize=10.5,
        )


def caption(drawn: Figure, *lines: str) -> None:
    """Write the caption below a figure: number of seeds, meaning of the band, shown setting.

    The text is also stored as ``caption_text`` of the figure, even if no caption is drawn.
    """
    text = literal("; ".join(line for line in lines if line))
    if isinstance(drawn, PaperFigure):
        drawn.caption_text = text.replace(r"\$", "$")
    if has_caption():
        joined = text.replace(" %", "\u00a0%")  # a line does not begin with a percent sign
        wrapped = textwrap.fill(joined, width=max(20, int(width_of(drawn) * CAPTION_LETTERS)))
        drawn.supxlabel(wrapped.replace("\u00a0", " "), x=0.01, ha="left", fontsize=9, color=ink(0.75))
