"""How all figures look: sizes that fit a paper's columns, type that stays readable at half size, safe colours."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

#: Widths in inches: one column of a two-column paper, and the whole page.
COLUMN, PAGE = 3.4, 7.0

#: Settings of matplotlib for all figures, over its own defaults: a reader's matplotlibrc changes no picture.
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.8,
    "lines.markeredgecolor": "white",  # parts markers that overlap
    "lines.markeredgewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "svg.fonttype": "path",  # the same picture where DejaVu is not installed
    "pdf.fonttype": 42,  # Type 3 fonts are refused by many journals
    "svg.hashsalt": "elastic",
}

#: What stands in a file's head by its ending: no dates, so that the same study gives the same bytes.
UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

#: Okabe and Ito's colours for things without an order, without the yellow that white paper swallows. Neighbours
#: differ in lightness, and each has its own marker and dashes, so that grey print tells them apart.
OKABE_ITO = ("#000000", "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", ">", "<")
DASHES = ("-", "--", "-.", ":")


class PaperFigure(Figure):
    """A figure that is saved in `STYLE` and without dates, and that Jupyter shows without pyplot."""

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Save as `matplotlib.figure.Figure.savefig` does."""
        ending = kwargs.get("format") or (Path(fname).suffix[1:] if isinstance(fname, str | Path) else "png")
        kwargs.setdefault("metadata", UNDATED.get(str(ending).lower()))
        with styled():
            super().savefig(fname, **kwargs)

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=144)
        return drawn.getvalue()


def styled() -> AbstractContextManager[None]:
    """Return the context in which matplotlib draws as all figures do."""
    context: AbstractContextManager[None] = style.context(STYLE, after_reset=True)
    return context


def canvas(width: float = PAGE, height: float = 3.2) -> PaperFigure:
    """Return an empty figure of a width (`COLUMN` or `PAGE`) and a height, in inches, whose parts make room."""
    return PaperFigure(figsize=(width, height), layout="constrained")


def line_styles(count: int, *, ordered: bool = False) -> list[dict[str, Any]]:
    """Return keywords of `Axes.plot` for so many lines that are told apart in colour, in grey and by the colour-blind.

    Parameters
    ----------
    count
        Lines in one axes.
    ordered
        Whether the lines have an order (epochs, layers, a swept number): then from light to dark (viridis),
        otherwise Okabe and Ito's colours.

    Returns
    -------
    list of dict
        ``color``, ``marker`` and ``linestyle`` of each line.

    Examples
    --------
    >>> [look["marker"] for look in line_styles(3)]
    ['o', 's', '^']
    >>> line_styles(2, ordered=True)[1]["color"]        # the darkest of viridis
    '#440154'
    """
    shades = [to_hex(colormaps["viridis"](shade)) for shade in np.linspace(0.8, 0.0, count)]
    colours = shades if ordered else [OKABE_ITO[i % len(OKABE_ITO)] for i in range(count)]
    return [
        {
            "color": colour,
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": "-" if ordered else DASHES[i % len(DASHES)],
        }
        for i, colour in enumerate(colours)
    ]
