"""The figures of a study, embedded in the page as pictures that follow its width and its colours."""

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

#: Bytes above which a vector picture is stored as pixels, and their density.
HEAVY, DPI = 180_000, 150

#: Inches that a figure is wide on a phone, and pixels an inch of a page.
PHONE, PIXELS = 3.4, 96


@dataclass(frozen=True)
class Picture:
    """One drawing of a figure: ``data:`` addresses on light and, where that is another one, on dark paper; pixels."""

    light: str
    dark: str
    width: int


@dataclass(frozen=True)
class EmbeddedFigure:
    """One figure: its name, what it shows, the words of its caption, and its pictures on a page and on a phone."""

    name: str
    caption: str
    details: str
    wide: Picture
    narrow: Picture


@dataclass(frozen=True)
class EmbeddedFigures:
    """The figures that the cube has the values for, and the names of the others with what they show."""

    drawn: tuple[EmbeddedFigure, ...]
    left_out: tuple[tuple[str, str], ...]


def embedded_figures(context: Context) -> EmbeddedFigures:
    """Return every registered figure of the study's cube."""
    drawn: list[EmbeddedFigure] = []
    left_out: list[tuple[str, str]] = []
    for entry in in_order():
        try:
            drawn.append(embedded(entry, context.cube))
        except ElasticError as error:
            left_out.append((entry.name, why_left_out(error)))
    return EmbeddedFigures(tuple(drawn), tuple(left_out))


def embedded(entry: Entry, cube: xr.DataTree) -> EmbeddedFigure:
    """Return a figure of a cube; its caption is text of the page, and no part of the picture."""
    figure = entry.function(cube, caption=False)
    details = str(getattr(figure, "caption_text", ""))
    return EmbeddedFigure(
        entry.name, caption(entry), f"{details[:1].upper()}{details[1:]}", *pictures(entry, cube, figure)
    )


def pictures(entry: Entry, cube: xr.DataTree, figure: Any) -> tuple[Picture, Picture]:
    """Return a figure as it is, and as wide as a phone; both alike if it has one width only, or is no wider."""
    wide = picture(entry, cube, figure, {})
    if wide.width <= PHONE * PIXELS:
        return wide, wide
    try:
        narrow = entry.function(cube, caption=False, width=PHONE)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # matplotlib's, where words leave the axes no room
            return wide, picture(entry, cube, narrow, {"width": PHONE})
    except (ElasticError, UserWarning):
        return wide, wide


def caption(entry: Entry) -> str:
    """Return what a figure shows: its docstring's first line, without the verb.

    >>> def profile(cube):
    ...     "Draw nc1 against depth."
    >>> caption(Entry("figures", "profile", profile))
    'Nc1 against depth.'
    """
    _, _, rest = entry.summary.partition(" ")
    return rest[:1].upper() + rest[1:] if entry.summary.startswith("Draw ") else entry.summary


def picture(entry: Entry, cube: xr.DataTree, figure: Any, options: dict[str, Any]) -> Picture:
    """Return a figure as a picture: SVG that turns dark with the page, or PNG where that would weigh too much.

    A picture by address, not SVG in the page: identifiers in one cannot meet those of another, and no text of a user
    becomes a part of the page.
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
    """Return a figure as PNG, by address."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return address(drawn.getvalue(), "png")


def address(data: bytes, kind: str) -> str:
    """Return the ``data:`` address of a picture."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
