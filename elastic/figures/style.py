"""The style of all figures: widths of a paper's columns, fonts readable at half size, colour-blind safe colours."""

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

#: Widths in inches of a column of a two-column paper, and of the page.
COLUMN, PAGE = 3.4, 7.0

#: Settings of matplotlib for all figures, on top of its defaults: a user's matplotlibrc has no effect.
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
    "svg.fonttype": "path",  # independent of installed fonts
    "pdf.fonttype": 42,  # many journals reject Type 3 fonts
    "svg.hashsalt": "elastic",
}

#: Metadata of files by suffix: no dates, so that the same study gives the same bytes.
UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

#: Qualitative palette: Okabe and Ito's colours without yellow, which is invisible on white paper. Neighbours differ in
#: lightness, and each has its own marker and dashes, so that they are distinct in grey print.
OKABE_ITO = ("#000000", "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", ">", "<")
DASHES = ("-", "--", "-.", ":")

#: Sequential colour map for numbers of one sign, in figures and in the charts of a report.
SEQUENTIAL = "viridis"


@dataclass(frozen=True)
class Theme:
    """A colour theme.

    Attributes
    ----------
    paper, ink
        Colours of the background, and of text and axes.
    colours
        Qualitative palette.
    ramp
        First and last shade of `SEQUENTIAL` for ordered lines: from close to the background to far from it.
    """

    paper: str
    ink: str
    colours: tuple[str, ...]
    ramp: tuple[float, float]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of matplotlib in addition to `STYLE`."""
        text = ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color")
        paper = ("figure.facecolor", "axes.facecolor", "lines.markeredgecolor")  # edges separate overlapping markers
        grid = to_hex(blended(self.paper, self.ink, 0.1))
        return {**dict.fromkeys(text, self.ink), **dict.fromkeys(paper, self.paper), "grid.color": grid}


#: Themes by name. The colours of the dark theme are those of the light one, lightened to the same contrast.
THEMES = {
    "light": Theme("#ffffff", "#000000", OKABE_ITO, (0.8, 0.0)),
    "dark": Theme(
        "#1b1e22", "#e9e7e1", ("#e9e7e1", "#5aa9e6", "#e69f00", "#2fbf8f", "#9ad4f5", "#ff8a4c", "#e0a0c4"), (0.3, 1.0)
    ),
}

_THEME: ContextVar[str] = ContextVar("theme", default="light")


class PaperFigure(Figure):
    """A figure that is saved with its style and without dates, and that Jupyter displays without pyplot.

    Attributes
    ----------
    theme
        Name of its `Theme`.
    caption_text
        Text of the caption, drawn or not.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.theme = _THEME.get()
        self.caption_text = ""

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Save the figure; see `matplotlib.figure.Figure.savefig`."""
        ending = kwargs.get("format") or (Path(fname).suffix[1:] if isinstance(fname, str | Path) else "png")
        kwargs.setdefault("metadata", UNDATED.get(str(ending).lower()))
        with styled(self.theme):
            super().savefig(fname, **kwargs)

    def draw(self, renderer: Any) -> None:
        """Draw the figure once per file: matplotlib would draw it a first time only to compute the layout."""
        engine = self.get_layout_engine()
        if self.canvas.is_saving() and isinstance(engine, ConstrainedLayoutEngine):  # stands for the ink
            engine.execute(self)
        else:
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=144)
        return drawn.getvalue()


@contextmanager
def styled(theme: str | None = None) -> Iterator[None]:
    """Use the style of all figures in the block, in a theme; by default that of the figure being drawn."""
    name = theme or _THEME.get()
    token = _THEME.set(name)
    try:
        with style.context(STYLE | THEMES[name].settings, after_reset=True):
            yield
    finally:
        _THEME.reset(token)


def theme() -> Theme:
    """Return the theme of the figure being drawn."""
    return THEMES[_THEME.get()]


def ink(strength: float = 1.0) -> str:
    """Return the colour of text, blended with the background.

    >>> ink(), ink(0.6), ink(0)
    ('#000000', '#666666', '#ffffff')
    """
    return to_hex(blended(theme().paper, theme().ink, strength))


def blended(paper: str, other: str, strength: float) -> tuple[float, float, float]:
    """Blend two colours; returns red, green and blue."""
    red, green, blue = (1 - strength) * np.array(to_rgb(paper)) + strength * np.array(to_rgb(other))
    return float(red), float(green), float(blue)


def colour(place: int) -> str:
    """Return a colour of the qualitative palette, by index.

    >>> colour(1)
    '#0072B2'
    """
    return theme().colours[place % len(theme().colours)]


def shades(count: int, name: str | None = None) -> list[str]:
    """Return colours for ordered items; the last one has the most contrast with the background.

    >>> shades(2)
    ['#7ad151', '#440154']
    """
    first, last = (theme() if name is None else THEMES[name]).ramp
    return [to_hex(colormaps[SEQUENTIAL](shade)) for shade in np.linspace(first, last, count)]


def as_pixels(bar: Colorbar) -> None:
    """Rasterise a colour bar, so that themes do not change its colours and viewers show no seams."""
    if bar.solids is not None:
        bar.solids.set_rasterized(True)


def line_styles(count: int, *, ordered: bool = False) -> list[dict[str, Any]]:
    """Return keyword arguments of `Axes.plot` for lines that are distinct in colour, in grey and for the colour-blind.

    Parameters
    ----------
    count
        Number of lines in one axes.
    ordered
        Whether the lines are ordered (epochs, layers, a swept number): `shades` of viridis, in the light theme from
        light to dark; otherwise the qualitative palette.

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
