"""Words and numbers at the axes of figures: names of layers and metrics, ticks of logarithmic axes, the caption."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator, SymmetricalLogLocator

#: Formulas up to this length stand at the axis beside the name.
FORMULA = 20

#: Letters of a layer's name that an axis has room for.
LONG = 16

#: Letters of a caption an inch.
LETTERS = 14

#: Layers up to which each one is named, along x and along y.
NAMED, ROWS = 9, 24


def layer_names(layers: Sequence[Any] | np.ndarray) -> list[str]:
    """Return short names of layers: numbers in the place of words, and the end of a long path of submodules.

    >>> layer_names(["input", "hidden_1", "conv_2", "stage_3_block_1", "penultimate", "logits"])
    ['input', 'h1', 'c2', 's3b1', 'penult.', 'logits']
    >>> layer_names(["conv_proj", "encoder.layers.encoder_layer_11", "encoder.ln", "heads"])
    ['conv_proj', '…encoder_layer_11', 'encoder.ln', 'heads']
    """
    numbered = r"_?(hidden|conv|stage|block)_(?=\d)"
    names = [re.sub(numbered, lambda found: found[1][0], str(name)) for name in layers]
    names = ["penult." if name == "penultimate" else name for name in names]
    ends = [_end(name) for name in names]
    return [end if ends.count(end) == 1 else name for end, name in zip(ends, names, strict=True)]


def _end(name: str) -> str:
    """Return the end of a dotted name that is too long for an axis."""
    end = name
    while len(end) > LONG and "." in end:
        end = end.partition(".")[2]
    return end if end == name else f"…{end}"


def mark_layers(axes: Axes, layers: Sequence[Any] | np.ndarray, *, along: str = "x") -> None:
    """Name the layers at positions 0, 1, … along an axis: each one, or of many every second or third, and the last."""
    names, count = layer_names(layers), len(layers)
    step = -(-count // (NAMED if along == "x" else ROWS))
    shown = [i for i in range(count) if i == count - 1 or (i % step == 0 and count - 1 - i >= step)]
    if along == "x":
        axes.set_xticks(shown, [names[i] for i in shown], rotation=35, ha="right", rotation_mode="anchor")
    else:
        axes.set_yticks(shown, [names[i] for i in shown])


def variable_name(values: xr.DataArray) -> str:
    """Return a variable's name as papers write it.

    >>> variable_name(xr.DataArray(0.0, name="nc2_etf_error"))
    'NC2 ETF error'
    """
    words = str(values.name).split("_")
    return " ".join(word.upper() if re.fullmatch(r"nc\d|ncc|etf|cdnv", word) else word for word in words)


def split_words(values: xr.DataArray) -> str:
    """Return the words of a caption for the split on which values were taken, if they were taken on one.

    >>> split_words(xr.DataArray(0.0, name="nc1", coords={"split": "train"}))
    'NC1 on training samples'
    """
    if "split" not in values.coords:
        return ""
    split = str(values["split"].item())
    return f"{variable_name(values)} on {'training' if split == 'train' else split} samples"


def variable_label(values: xr.DataArray) -> str:
    """Return what an axis says of a variable: its name, and its formula where that is short.

    >>> variable_label(xr.DataArray(0.0, name="nc1", attrs={"formula": "tr(Σ_W Σ_B⁺)/K"}))
    'NC1  tr(Σ$_{W}$ Σ$_{B}$⁺)/K'
    >>> variable_label(xr.DataArray(0.0, name="cdnv_mean"))
    'CDNV mean'
    """
    name = variable_name(values)
    formula = str(values.attrs.get("formula", ""))
    if not formula or len(formula) > FORMULA:
        return name
    return f"{name}  " + re.sub(r"_\{?([^\W_]+|(?<=\{)[^}]*)\}?", r"$_{\1}$", formula)


def value_words(label: Any) -> str:
    """Return a label of an axis of a study as a reader writes it.

    >>> value_words(0.0), value_words(np.float64(0.0005)), value_words("adam")
    ('0', '0.0005', 'adam')
    """
    return f"{label:g}" if isinstance(label, float | np.floating) else str(label)


def evenly(labels: Sequence[Any] | np.ndarray, count: int) -> list[Any]:
    """Return at most so many labels, evenly chosen, the first and the last among them.

    >>> evenly([0, 1, 2, 4, 8, 16, 32], 4)
    [0, 2, 8, 32]
    """
    chosen = np.unique(np.linspace(0, len(labels) - 1, count).round().astype(int))
    return [labels[i] for i in chosen]


def epoch_axis(axes: Axes) -> None:
    """Make the x axis one of epochs: logarithmic from epoch 1 on, with room for epoch 0 before it."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    axes.set(xlabel="epoch (symmetric log)")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: f"{epoch:.0f}"))
    axes.xaxis.set_minor_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=range(2, 10)))


def log_ticks(axes: Axes, along: str = "y") -> None:
    """Make an axis logarithmic, after the drawing, with numbers that suit its range."""
    (axes.set_yscale if along == "y" else axes.set_xscale)("log")
    log_numbers(axes.yaxis if along == "y" else axes.xaxis)


def log_numbers(axis: Axis) -> None:
    """Write numbers at a logarithmic axis, or that of a colour bar, that suit its range: decades, or 1, 2 and 5."""
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    if decades < 0.7:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(NullLocator())
    else:
        subs = (1, 2, 3, 5) if decades < 1.3 else (1, 2, 5) if decades < 2.2 else (1,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: int | None = None) -> str:
    """Return a number as a reader writes it: 0.05, 1, 200, and powers of ten beyond."""
    if 1e-2 <= value < 1e4:
        return f"{value:.4g}"
    power = int(np.floor(np.log10(value) + 1e-9)) if value > 0 else 0
    factor = value / 10.0**power if value > 0 else 0
    return f"$10^{{{power}}}$" if np.isclose(factor, 1) else f"${factor:.3g}\\cdot 10^{{{power}}}$"


def caption(drawn: Figure, *lines: str) -> None:
    """Write small lines below a figure: how many seeds, what the band is, which setting is shown."""
    text = "; ".join(line for line in lines if line)
    wrapped = textwrap.fill(text, width=int(drawn.get_figwidth() * LETTERS))
    drawn.supxlabel(wrapped, x=0.01, ha="left", fontsize=9, color="0.25")
