"""Figures embedded in the page as images that adapt to its width and theme."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import Any

import xarray as xr

from elastic.errors import ElasticError
from elastic.figures.drawing import why_left_out
from elastic.figures.order import in_order
from elastic.figures.recolouring import themed
from elastic.registry import Entry
from elastic.report.context import Context

#: Bytes above which an SVG is replaced by a PNG, and the resolution of the PNG.
HEAVY, DPI = 180_000, 150

#: Width in inches of a figure on a phone, and pixels per inch of a page.
PHONE, PIXELS = 3.4, 96


@dataclass(frozen=True)
class Picture:
    """One drawing of a figure: ``data:`` URLs for the light and, if different, the dark theme; size in pixels."""

    light: str
    dark: str
    width: int


@dataclass(frozen=True)
class EmbeddedFigure:
    """One figure: its name, what it shows, its caption, and its images for wide pages and for phones."""

    name: str
    caption: str
    details: str
    wide: Picture
    narrow: Picture


@dataclass(frozen=True)
class EmbeddedFigures:
    """The figures that the cube has values for, and the names of the others with what they show."""

    drawn: tuple[EmbeddedFigure, ...]
    left_out: tuple[tuple[str, str], ...]


def embedded_figures(context: Context) -> EmbeddedFigures:
    """Draw every registered figure of the study's cube."""
    drawn: list[EmbeddedFigure] = []
    left_out: list[tuple[str, str]] = []
    for entry in in_order():
        try:
            drawn.append(embedded(entry, context.cube))
        except ElasticError as error:
            left_out.append((entry.name, why_left_out(error)))
    return EmbeddedFigures(tuple(drawn), tuple(left_out))


def embedded(entry: Entry, cube: xr.DataTree) -> EmbeddedFigure:
    """Draw a figure of a cube; the caption becomes text of the page, not part of the image."""
    figure = entry.function(cube, caption=False)
    details = str(getattr(figure, "caption_text", ""))
    return EmbeddedFigure(
        entry.name, caption(entry), f"{details[:1].upper()}{details[1:]}", *pictures(entry, cube, figure)
    )


def pictures(entry: Entry, cube: xr.DataTree, figure: Any) -> tuple[Picture, Picture]:
    """Return a figure at full width and at the width of a phone; the same image twice if it is not wider."""
    wide = picture(entry, cube, figure, {})
    if wide.width <= PHONE * PIXELS:
        return wide, wide
    try:
        narrow = entry.function(cube, caption=False, width=PHONE)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # raised by matplotlib if text leaves no space for the axes
            return wide, picture(entry, cube, narrow, {"width": PHONE})
    except (ElasticError, UserWarning):
        return wide, wide


def caption(entry: Entry) -> str:
    """Return what a figure shows: the first line of its docstring without the verb.

    >>> def profile(cube):
    ...     "Draw nc1 against depth."
    >>> caption(Entry("figures", "profile", profile))
    'Nc1 against depth.'
    """
    _, _, rest = entry.summary.partition(" ")
    return rest[:1].upper() + rest[1:] if entry.summary.startswith("Draw ") else entry.summary


def picture(entry: Entry, cube: xr.DataTree, figure: Any, options: dict[str, Any]) -> Picture:
    """Return a figure as an image: SVG that follows the page's theme, or PNG if the SVG would be too large.

    Images are ``data:`` URLs, not inline SVG: identifiers cannot collide, and text of a user never becomes markup.
    """
    width = round(figure.get_figwidth() * PIXELS)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    if drawn.tell() <= HEAVY:
        both = address(themed(drawn.getvalue().decode()).encode(), "svg+xml")
        return Picture(both, both, width)
    dark = entry.function(cube, caption=False, theme="dark", **options)
    return Picture(pixels(figure), pixels(dark), width)


def pixels(figure: Any) -> str:
    """Return a figure as the ``data:`` URL of a PNG."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return address(drawn.getvalue(), "png")


def address(data: bytes, kind: str) -> str:
    """Return the ``data:`` URL of an image."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
