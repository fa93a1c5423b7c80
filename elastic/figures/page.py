"""The canvas of a figure: a new matplotlib figure of a given width, or the user's axes.

``width``, ``caption``, ``ax`` and ``theme`` are options of every figure: `elastic.figures.contract.figure` receives
them, and `canvas` and `panels` apply them, so that the functions that draw need not.
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

#: Smallest and largest width of a figure, in inches.
WIDTHS = (2.0, 24.0)

#: Width in inches up to which a figure has one column of panels and its legend above them.
NARROW = 4.6

#: Letters of a legend per inch, and those that the sample of a line takes.
LETTERS, SAMPLE = 12, 6

#: The same of the legend above a panel, which is set closer, and per inch of the panel before it is laid out.
PANEL_LETTERS, PANEL_SAMPLE = 13.5, 5

#: Letters of a caption per inch.
CAPTION_LETTERS = 14


@dataclass
class Page:
    """The common options of a figure.

    Attributes
    ----------
    width
        Width in inches; None for the figure's default.
    caption
        Whether to draw a caption; None: only in a new figure, not in the user's axes.
    ax
        The user's axes, a sequence of them, or a figure or subfigure to draw in.
    used
        Whether `canvas` was called.
    """

    width: float | None = None
    caption: bool | None = None
    ax: Axes | Sequence[Axes] | Figure | SubFigure | None = None
    used: bool = False


_PAGE: ContextVar[Page | None] = ContextVar("page", default=None)


class GuestAxes:
    """The user's axes with the interface of a matplotlib figure: `subplots` returns them, text is drawn in them."""

    def __init__(self, axes: Sequence[Axes]) -> None:
        self.axes = list(axes)
        self.figure = self.axes[0].get_figure()
        self.caption_text = ""

    def subplots(self, rows: int = 1, columns: int = 1, *, squeeze: bool = True, **_: Any) -> Any:
        """Return the user's axes; raises an error if their number differs from that of the panels."""
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
        """Draw a colour bar next to the axes."""
        return cast(Figure, self.figure).colorbar(mappable, ax=ax if ax is not None else self.axes, **options)

    def supxlabel(self, text: str, **options: Any) -> Any:
        """Write a caption below the last axes."""
        look: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
        look["annotation_clip"] = False
        return self.axes[-1].annotate(text, (0, 0), (0, -38), **look, fontsize=options.get("fontsize"))


@contextmanager
def asked(page: Page, theme: str) -> Iterator[None]:
    """Apply the common options to the figure drawn inside the block.

    Raises
    ------
    OptionError
        If the width or the theme is invalid, or ``ax`` is neither axes nor a figure.
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
    """Return the canvas of a figure: a new figure with constrained layout, or the user's ``ax``.

    Parameters
    ----------
    width, height
        Default size in inches.
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
    """Return the user's axes on which a figure is drawn, or None."""
    return drawn if isinstance(drawn, GuestAxes) else None


def width_of(drawn: Figure) -> float:
    """Return the width of a figure, a subfigure or the user's axes, in inches."""
    if (guest := guest_of(drawn)) is not None:
        return inches_of(guest.axes[0])
    return float(drawn.bbox.width / drawn.dpi)


def height_of(axes: Axes) -> float:
    """Return the height of the figure of some axes, or of axes without a layout engine, in inches."""
    drawn = cast(Figure, axes.get_figure())
    if isinstance(drawn, PaperFigure):
        return float(drawn.get_figheight())
    return float(axes.get_window_extent().height / drawn.dpi) + 0.9


def asked_width(width: float) -> float:
    """Return the requested width in inches, or the default."""
    page = _PAGE.get() or Page()
    if page.ax is None:
        return page.width or width
    return width_of(canvas()) if isinstance(page.ax, Figure | SubFigure) else width


def panels(
    count: int, height: float, *, least: float = 2.4, most: int = 2, **options: Any
) -> tuple[Figure, list[Axes], int]:
    """Return a canvas with panels, side by side if they fit, and the number of panels per row.

    Parameters
    ----------
    count
        Number of panels; by default one is as wide as a column of a paper, several as a page.
    height
        Height of a row in inches.
    least
        Smallest width of a panel in inches.
    most
        Most panels per row.
    options
        Options of `matplotlib.figure.Figure.subplots`, such as ``sharey``.
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
    """Draw the legend of a figure next to its panels, or above them in a narrow figure."""
    if not labels:
        return
    if width_of(drawn) > NARROW:
        drawn.legend(handles, labels, title=title, loc="outside right upper")
        return
    rows = in_rows(handles, labels, width_of(drawn) * LETTERS)
    drawn.legend(**rows, title=title, loc="outside upper center", columnspacing=1)


def panel_legend(axes: Axes, title: str) -> None:
    """Draw the legend of a panel above it, before the figure is laid out."""
    rows = in_rows(*axes.get_legend_handles_labels(), inches_of(axes) * PANEL_LETTERS, PANEL_SAMPLE)
    spacing = {"columnspacing": 0.9, "handlelength": 1.6, "handletextpad": 0.5}
    axes.legend(**rows, title=title, loc="lower left", bbox_to_anchor=(0, 1), alignment="left", **spacing)


def inches_of(axes: Axes) -> float:
    """Return the width of a panel in inches; before the layout it is a guess."""
    return float(axes.get_window_extent().width / cast(Figure, axes.figure).dpi)


def in_rows(handles: Sequence[Any], labels: Sequence[str], room: float, sample: int = SAMPLE) -> dict[str, Any]:
    """Return arguments of a legend whose entries are read row by row, in as few rows as fit.

    Parameters
    ----------
    handles, labels
        Entries, in the order in which they are read.
    room
        Width in letters.
    sample
        Letters that the sample of a line and the space around it take.

    Examples
    --------
    >>> in_rows([1, 2, 3, 4, 5], ["a", "b", "c", "d", "e"], 28)     # a b c, then d e: matplotlib fills columns
    {'handles': [1, 4, 2, 5, 3], 'labels': ['a', 'd', 'b', 'e', 'c'], 'ncols': 3}
    """
    for rows in range(1, len(labels) + 1):
        columns = -(-len(labels) // rows)
        if sum(sample + max(map(len, labels[column::columns])) for column in range(columns)) <= room:
            break
    order = [place for column in range(columns) for place in range(column, len(labels), columns)]
    return {"handles": [handles[i] for i in order], "labels": [labels[i] for i in order], "ncols": columns}


def settle(drawn: Figure) -> None:
    """Lay a new figure out once: its ticks then have the width for which the layout of the file makes room."""
    if isinstance(drawn, PaperFigure) and (engine := drawn.get_layout_engine()) is not None:
        engine.execute(drawn)


def has_caption() -> bool:
    """Return whether a caption is drawn."""
    page = _PAGE.get() or Page()
    return page.ax is None if page.caption is None else page.caption
