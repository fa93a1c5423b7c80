"""How all figures look: sizes that fit a paper's columns, type that stays readable at half size, safe colours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.colorbar import Colorbar
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

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
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.8,
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

#: The map of all colours that stand for a number of one sign, in figures and in the explorer of a report.
SEQUENTIAL = "viridis"


@dataclass(frozen=True)
class Theme:
    """The colours of a page.

    Attributes
    ----------
    paper, ink
        Of the background, and of text and axes.
    colours
        Of things without an order.
    ramp
        First and last shade of `SEQUENTIAL` of things with an order: from near the paper to far from it.
    """

    paper: str
    ink: str
    colours: tuple[str, ...]
    ramp: tuple[float, float]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of matplotlib, beside `STYLE`."""
        text = ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color")
        paper = ("figure.facecolor", "axes.facecolor", "lines.markeredgecolor")  # edges part markers that overlap
        grid = to_hex(blended(self.paper, self.ink, 0.1))
        return {**dict.fromkeys(text, self.ink), **dict.fromkeys(paper, self.paper), "grid.color": grid}


#: Themes by name. The colours of the dark one are those of the light one, lightened to the same contrast.
THEMES = {
    "light": Theme("#ffffff", "#000000", OKABE_ITO, (0.8, 0.0)),
    "dark": Theme(
        "#1b1e22", "#e9e7e1", ("#e9e7e1", "#5aa9e6", "#e69f00", "#2fbf8f", "#9ad4f5", "#ff8a4c", "#e0a0c4"), (0.3, 1.0)
    ),
}

_THEME: ContextVar[str] = ContextVar("theme", default="light")


class PaperFigure(Figure):
    """A figure that is saved in its style and without dates, and that Jupyter shows without pyplot.

    Attributes
    ----------
    theme
        Name of its `Theme`.
    caption_text
        What a caption below it says, whether it is drawn or not.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.theme = _THEME.get()
        self.caption_text = ""

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Save as `matplotlib.figure.Figure.savefig` does."""
        ending = kwargs.get("format") or (Path(fname).suffix[1:] if isinstance(fname, str | Path) else "png")
        kwargs.setdefault("metadata", UNDATED.get(str(ending).lower()))
        with styled(self.theme):
            super().savefig(fname, **kwargs)

    def draw(self, renderer: Any) -> None:
        """Draw as matplotlib does, but once a file only: it draws all parts without ink first, to lay them out."""
        engine = self.get_layout_engine()
        if self.canvas.is_saving() and isinstance(engine, ConstrainedLayoutEngine):  # another one stands in for the ink
            engine.execute(self)
        else:
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=144)
        return drawn.getvalue()


@contextmanager
def styled(theme: str | None = None) -> Iterator[None]:
    """Let matplotlib draw as all figures do, in a theme; by default in that of the figure that is being drawn."""
    name = theme or _THEME.get()
    token = _THEME.set(name)
    try:
        with style.context(STYLE | THEMES[name].settings, after_reset=True):
            yield
    finally:
        _THEME.reset(token)


def theme() -> Theme:
    """Return the theme of the figure that is being drawn."""
    return THEMES[_THEME.get()]


def ink(strength: float = 1.0) -> str:
    """Return the colour of text, or one between it and the paper.

    >>> ink(), ink(0.6), ink(0)
    ('#000000', '#666666', '#ffffff')
    """
    return to_hex(blended(theme().paper, theme().ink, strength))


def blended(paper: str, other: str, strength: float) -> tuple[float, float, float]:
    """Return a colour between two, as red, green and blue."""
    red, green, blue = (1 - strength) * np.array(to_rgb(paper)) + strength * np.array(to_rgb(other))
    return float(red), float(green), float(blue)


def colour(place: int) -> str:
    """Return one of the colours of things without an order, by its place.

    >>> colour(1)
    '#0072B2'
    """
    return theme().colours[place % len(theme().colours)]


def shades(count: int, name: str | None = None) -> list[str]:
    """Return colours of things with an order, the last one the farthest from the paper.

    >>> shades(2)
    ['#7ad151', '#440154']
    """
    first, last = (theme() if name is None else THEMES[name]).ramp
    return [to_hex(colormaps[SEQUENTIAL](shade)) for shade in np.linspace(first, last, count)]


def as_pixels(bar: Colorbar) -> None:
    """Draw the colours of a colour bar as pixels, so that no theme changes them, and no viewer shows seams."""
    if bar.solids is not None:
        bar.solids.set_rasterized(True)


def line_styles(count: int, *, ordered: bool = False) -> list[dict[str, Any]]:
    """Return keywords of `Axes.plot` for so many lines that are told apart in colour, in grey and by the colour-blind.

    Parameters
    ----------
    count
        Lines in one axes.
    ordered
        Whether the lines have an order (epochs, layers, a swept number): then `shades` of viridis, on white paper from
        light to dark, otherwise Okabe and Ito's colours.

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
    colours = shades(count) if ordered else [colour(i) for i in range(count)]
    return [
        {
            "color": colour_of_line,
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": "-" if ordered else DASHES[i % len(DASHES)],
        }
        for i, colour_of_line in enumerate(colours)
    ]
