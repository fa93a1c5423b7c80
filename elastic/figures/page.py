"""Where a figure is drawn: a page of its own, of the width that was asked for, or axes of the user's.

``width``, ``caption``, ``ax`` and ``theme`` are options of every figure; `elastic.figures.contract.figure` takes them
and `canvas` and `panels` follow them, so that no figure has to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from elastic.errors import OptionError
from elastic.figures.style import COLUMN, PAGE, THEMES, PaperFigure, styled
from elastic.registry import nearest

#: Inches that a figure can be wide.
WIDTHS = (2.0, 24.0)

#: Inches up to which a figure has one column of panels, and its legend above them.
NARROW = 4.6


@dataclass
class Page:
    """What was asked of a figure.

    Attributes
    ----------
    width
        In inches; None for the figure's own.
    caption
        Whether a caption is drawn below; None: on a page of its own, not in the user's axes.
    ax
        Axes, a sequence of them, or a figure or subfigure of the user's in which it is drawn.
    used
        Whether `canvas` was asked.
    """

    width: float | None = None
    caption: bool | None = None
    ax: Axes | Sequence[Axes] | Figure | SubFigure | None = None
    used: bool = False


_PAGE: ContextVar[Page | None] = ContextVar("page", default=None)


class GuestAxes:
    """Axes of the user's, for a figure that asks for a page: it has just these, and what it writes stands in them."""

    def __init__(self, axes: Sequence[Axes]) -> None:
        self.axes = list(axes)
        self.figure = self.axes[0].get_figure()
        self.caption_text = ""

    def subplots(self, rows: int = 1, columns: int = 1, *, squeeze: bool = True, **_: Any) -> Any:
        """Return the user's axes; an error if they are not as many as the panels."""
        self._check(rows * columns)
        return (
            self.axes[0]
            if squeeze and rows * columns == 1
            else np.reshape(np.array(self.axes, dtype=object), (rows, columns))
        )

    def subplot_mosaic(self, mosaic: Any, **_: Any) -> Any:
        """Return the user's axes by the names of the panels."""
        rows = mosaic.split(";") if isinstance(mosaic, str) else mosaic
        names = list(dict.fromkeys(name for row in rows for name in row))
        self._check(len(names))
        return dict(zip(names, self.axes, strict=True))

    def _check(self, count: int) -> None:
        if count != len(self.axes):
            expected = f"be {'one Axes' if count == 1 else f'{count} Axes, or a figure or subfigure,'} for its panels"
            found = "one Axes" if len(self.axes) == 1 else f"{len(self.axes)} Axes"
            raise OptionError("`ax`", expected, found, "ax=figure.subfigures(), in which it makes its own panels")

    def legend(self, *args: Any, **options: Any) -> Any:
        """Write a legend into the first axes."""
        return self.axes[0].legend(*args, **{**options, "loc": "best", "ncols": 1})

    def colorbar(self, mappable: Any, *, ax: Any = None, **options: Any) -> Any:
        """Draw a colour bar beside the axes."""
        return cast(Figure, self.figure).colorbar(mappable, ax=ax if ax is not None else self.axes, **options)

    def supxlabel(self, text: str, **options: Any) -> Any:
        """Write a caption below the last axes."""
        look: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
        look["annotation_clip"] = False
        return self.axes[-1].annotate(text, (0, 0), (0, -38), **look, fontsize=options.get("fontsize"))


@contextmanager
def asked(page: Page, theme: str) -> Iterator[None]:
    """Let the figure that is drawn inside follow what was asked of it.

    Raises
    ------
    OptionError
        If the width or the theme is none, or ``ax`` is neither axes nor a figure.
    """
    if page.width is not None and not WIDTHS[0] <= page.width <= WIDTHS[1]:
        hint = f"width={COLUMN} for a column, width={PAGE:g} for a page"
        raise OptionError("`width`", f"be from {WIDTHS[0]:g} to {WIDTHS[1]:g} inches", f"{page.width:g}", hint)
    if theme not in THEMES:
        known = list(THEMES)
        hint = nearest(theme, known, fallback=" or ".join(map(repr, known)))
        raise OptionError("`theme`", "be light or dark", repr(theme), hint)
    _check_axes(page.ax)
    token = _PAGE.set(page)
    try:
        with styled(theme):
            yield
    finally:
        _PAGE.reset(token)


def _check_axes(ax: Any) -> None:
    several = isinstance(ax, Sequence | np.ndarray)
    parts = list(np.ravel(np.asarray(ax, dtype=object))) if several else [ax]
    known = (Axes,) if several else (Axes, Figure, SubFigure)
    if ax is None or (parts and all(isinstance(part, known) for part in parts)):
        return
    kinds = "Axes, a list of Axes, or a figure or subfigure of matplotlib"
    found = f"a {type(next((p for p in parts if not isinstance(p, known)), ax)).__name__}"
    raise OptionError("`ax`", f"be {kinds}", found, "figure, ax = plt.subplots()")


def canvas(width: float = PAGE, height: float = 3.2) -> Figure:
    """Return where a figure is drawn: an empty page, whose parts make room, or what the user handed over as ``ax``.

    Parameters
    ----------
    width, height
        In inches, where no other width is asked for.
    """
    page = _PAGE.get() or Page()
    page.used = True
    if page.ax is None:
        return PaperFigure(figsize=(page.width or width, height), layout="constrained")
    if isinstance(page.ax, Figure | SubFigure):
        return cast(Figure, page.ax)
    axes = [page.ax] if isinstance(page.ax, Axes) else list(np.ravel(np.asarray(page.ax, dtype=object)))
    return cast(Figure, GuestAxes(axes))


def guest_of(drawn: object) -> GuestAxes | None:
    """Return the axes of the user's that stand in the place of a page, if there are any."""
    return drawn if isinstance(drawn, GuestAxes) else None


def width_of(drawn: Figure) -> float:
    """Return how wide a page, a subfigure or the user's axes are, in inches."""
    if (guest := guest_of(drawn)) is not None:
        return float(guest.axes[0].get_window_extent().width / cast(Figure, guest.figure).dpi)
    return float(drawn.bbox.width / drawn.dpi)


def height_of(axes: Axes) -> float:
    """Return how high the page of some axes is, or axes that nobody lays out, in inches."""
    drawn = cast(Figure, axes.get_figure())
    if isinstance(drawn, PaperFigure):
        return float(drawn.get_figheight())
    return float(axes.get_window_extent().height / drawn.dpi) + 0.9


def asked_width(width: float) -> float:
    """Return the width that was asked for, in inches, else that of a figure's own."""
    page = _PAGE.get() or Page()
    if page.ax is None:
        return page.width or width
    return width_of(canvas()) if isinstance(page.ax, Figure | SubFigure) else width


def panels(
    count: int, height: float, *, least: float = 2.4, most: int = 2, **options: Any
) -> tuple[Figure, list[Axes], int]:
    """Return a page with panels, side by side as far as there is room for them, and how many stand in a row.

    Parameters
    ----------
    count
        Panels; one alone is as wide as a column of a paper, several as a page, where no other width is asked for.
    height
        Of a row, in inches.
    least
        Inches that a panel is wide at least.
    most
        Panels in a row.
    options
        Of `matplotlib.figure.Figure.subplots`, such as ``sharey``.
    """
    width = asked_width(COLUMN if count == 1 else PAGE)
    columns = max(1, min(most, count, int(width / least)))
    rows = -(-count // columns)
    columns = -(-count // rows)  # 4 panels are two rows of two, not of three and one
    drawn = canvas(width, rows * height)
    if guest_of(drawn) is not None:
        return drawn, list(np.ravel(drawn.subplots(count, 1, squeeze=False))), count
    grid = np.ravel(drawn.subplots(rows, columns, squeeze=False, **options))
    for empty in grid[count:]:
        empty.remove()
    return drawn, list(grid[:count]), columns


def legend(drawn: Figure, handles: Sequence[Any], labels: Sequence[str], title: str | None = None) -> None:
    """Write the legend of a figure beside its panels, on a narrow page above them."""
    if not labels:
        return
    width = width_of(drawn)
    if width > NARROW:
        drawn.legend(handles, labels, title=title, loc="outside right upper")
        return
    letters = max(map(len, labels)) + 6
    columns = max(1, min(len(labels), int(width * 13 / letters)))
    drawn.legend(handles, labels, title=title, loc="outside upper center", ncols=columns, columnspacing=1)


def has_caption() -> bool:
    """Return whether a caption is drawn."""
    page = _PAGE.get() or Page()
    return page.ax is None if page.caption is None else page.caption
