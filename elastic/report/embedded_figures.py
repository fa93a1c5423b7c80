"""The figures of a study, embedded in the page as pictures."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import xarray as xr

from elastic.errors import ElasticError
from elastic.figures.order import in_order
from elastic.registry import Entry
from elastic.report.context import Context

#: Bytes above which a vector picture is stored as pixels, and their density.
HEAVY, DPI = 180_000, 150


@dataclass(frozen=True)
class EmbeddedFigure:
    """One figure: its name, its caption, and the picture as a ``data:`` address."""

    name: str
    caption: str
    source: str


@dataclass(frozen=True)
class EmbeddedFigures:
    """The figures that the cube has the values for, and the names of the others with the reason."""

    drawn: tuple[EmbeddedFigure, ...]
    left_out: tuple[tuple[str, str], ...]


def embedded_figures(context: Context) -> EmbeddedFigures:
    """Return every registered figure of the study's cube."""
    drawn: list[EmbeddedFigure] = []
    left_out: list[tuple[str, str]] = []
    for entry in in_order():
        try:
            drawn.append(EmbeddedFigure(entry.name, caption(entry), picture(entry, context.cube)))
        except ElasticError as error:
            left_out.append((entry.name, f"{error.field} should {error.should}; found {error.found}"))
    return EmbeddedFigures(tuple(drawn), tuple(left_out))


def caption(entry: Entry) -> str:
    """Return what a figure shows: its docstring's first line, without the verb.

    >>> def profile(cube):
    ...     "Draw nc1 against depth."
    >>> caption(Entry("figures", "profile", profile))
    'Nc1 against depth.'
    """
    _, _, rest = entry.summary.partition(" ")
    return rest[:1].upper() + rest[1:] if entry.summary.startswith("Draw ") else entry.summary


def picture(entry: Entry, cube: xr.DataTree) -> str:
    """Return a figure as a ``data:`` address: SVG, or PNG where that would weigh too much.

    A picture by address, not SVG in the page: identifiers in one cannot meet those of another, and no text of a user
    becomes a part of the page.
    """
    figure = entry.function(cube)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    kind = "svg+xml"
    if drawn.tell() > HEAVY:
        drawn, kind = io.BytesIO(), "png"
        figure.savefig(drawn, format="png", dpi=DPI)
    return f"data:image/{kind};base64,{base64.b64encode(drawn.getvalue()).decode()}"
