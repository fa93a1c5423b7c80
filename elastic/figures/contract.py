"""The interface of figures: a function with the decorator `figure` that draws a cube and returns a Figure.

Its keyword-only parameters are the options of ``study.plot.<figure>(…)``. It raises `elastic.errors.NotMeasured` if the
cube lacks what it shows. The other functions of this module are shared by figures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure, FigureBase

from elastic.analysis.reading import OWN_DIMS, settings_axes
from elastic.cube.names import ALONG_DIMS, RESERVED
from elastic.display.average import average, average_words, is_positive, over_seeds
from elastic.errors import ElasticError, NotMeasured, OptionError
from elastic.figures.labelling import (
    caption,
    epoch_axis,
    evenly,
    layer_names,
    letter_panels,
    literal,
    log_numbers,
    log_ticks,
    mark_layers,
    split_words,
    value_words,
    variable_label,
    variable_name,
)
from elastic.figures.page import Page, asked, asked_width, canvas, legend, panels
from elastic.figures.style import COLUMN, PAGE, SEQUENTIAL, STYLE, colour, ink, line_styles, styled
from elastic.protocol.formatting import error_line
from elastic.registry import Entry, nearest, registry

__all__ = [
    "COLUMN", "PAGE", "SEQUENTIAL", "STYLE", "FigureFunction", "all_positive", "asked_width", "average", "canvas",
    "caption", "colour", "draw_line", "epoch_axis", "evenly", "figure", "first_setting", "ink", "interval_words",
    "is_positive", "layer_names", "legend", "letter_panels", "line_styles", "literal", "log_numbers", "log_ticks",
    "mark_layers", "measured", "over_seeds", "panels", "split_words", "styled", "value_words", "variable_label",
    "variable_name",
]  # fmt: skip

#: Most points of a line with markers.
MARKED = 24

#: Function from a cube to a Figure; its options are keyword-only.
FigureFunction = Callable[..., Figure]


#: Parameters of every figure, appended to its docstring.
SHARED = """width
    Width in inches; panels that do not fit side by side are placed below each other.
caption
    Whether to draw a caption below the figure: the averages, the number of seeds, the meaning of bands.
ax
    Axes (one per panel), or a figure or subfigure of matplotlib to draw in; by default a new figure.
theme
    "light", or "dark" for a dark page.
"""


def figure(name: str | None = None) -> Callable[[FigureFunction], FigureFunction]:
    """Register a function ``(cube: xarray.DataTree, *, options) -> matplotlib.figure.Figure``, drawn in `STYLE`.

    The function draws on `canvas` or `panels`. The decorator adds the options ``width``, ``caption``, ``ax`` and
    ``theme``.
    """

    def enter(function: FigureFunction) -> FigureFunction:
        entry = Entry("figures", name or function.__name__, function)
        known = entry.option_names

        @wraps(function)
        def draw(
            cube: xr.DataTree,
            *,
            width: float | None = None,
            caption: bool | None = None,
            ax: Any = None,
            theme: str = "light",
            **options: Any,
        ) -> Figure:
            check_names(function.__name__, options, [*known, *SHARED_TYPES])
            page = Page(width, caption, ax)
            with asked(page, theme):
                drawn = _drawn_by_own(function, cube, options) if entry.is_own else function(cube, **options)
            if page.used or (ax is None and width is None):
                return drawn if ax is None else ax
            hint = "the figure as it is, or one that draws on elastic.figures.contract.canvas()"
            field = "`ax`" if width is None else "`width`"
            raise OptionError(field, f"be left out for {function.__name__!r}, which has a page of its own", "it", hint)

        describe(draw, function)
        registered: FigureFunction = registry("figures").register(name)(draw)
        return registered

    return enter


def _drawn_by_own(function: FigureFunction, cube: xr.DataTree, options: Mapping[str, Any]) -> Figure:
    """Return what a user's own figure draws.

    Raises
    ------
    NotMeasured
        If it fails, most often because the cube lacks what it shows: reports and `elastic plot` then leave it out.
    OptionError
        If it returns something else.
    """
    name = function.__name__
    try:
        drawn = function(cube, **options)
    except ElasticError:
        raise
    except Exception as error:
        found = error_line(error)
        hint = "mending its function (elastic.analysis.reading.read names a variable that a cube lacks)"
        raise NotMeasured(f"figure `{name}`", "draw this cube", found, hint) from error
    if not isinstance(drawn, FigureBase):
        raise OptionError(f"figure `{name}`", "return a matplotlib Figure", type(drawn).__name__, "returning canvas()")
    return drawn


#: Options that every figure has, and their types.
SHARED_TYPES = {"width": float | None, "caption": bool | None, "ax": Any, "theme": Literal["light", "dark"]}


def describe(draw: FigureFunction, function: FigureFunction) -> None:
    """Add the common options of all figures to the signature and the docstring of one."""
    own, shared = inspect.signature(function), inspect.signature(draw, follow_wrapped=False)
    added = [shared.parameters[name] for name in SHARED_TYPES]
    draw.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    draw.__annotations__ = {**function.__annotations__, **SHARED_TYPES}
    if text := inspect.getdoc(function):
        before, heading, after = text.partition("\nRaises\n------\n")
        begin = "" if "\nParameters\n----------\n" in before else "\nParameters\n----------\n"
        draw.__doc__ = f"{before.rstrip()}\n{begin}{SHARED}{heading}{after}"


def check_names(figure_name: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Validate the names of a figure's options.

    Raises
    ------
    OptionError
        For the first unknown one, with the closest known name.
    """
    for name in options:
        if name not in known:
            hint = nearest(name, list(known), fallback=f"one of {', '.join(known)}")
            raise OptionError(f"`{name}`", f"be an option of {figure_name!r}", repr(name), hint, location=(name,))


def first_setting(values: xr.DataArray, keep: Collection[str] = ()) -> tuple[xr.DataArray, str]:
    """Select the first label of every axis except the seed, and describe the selection.

    Parameters
    ----------
    values
        Variable of a cube.
    keep
        Axes to keep.

    Raises
    ------
    OptionError
        If ``where`` has selected a dim that figures draw along: it is only for the axes of a study.

    Examples
    --------
    >>> swept = xr.DataArray([[1.0], [2.0]], dims=("lr", "seed"), coords={"lr": [0.1, 0.2], "seed": [0]})
    >>> first_setting(swept)[1]
    'at lr = 0.1 (first of 2)'
    """
    chosen = [dim for dim in OWN_DIMS - {"split"} if dim in values.coords and not values[dim].dims]
    if chosen:
        hint = "an option of the figure's own, such as layers or epochs"
        raise OptionError(f"`where.{chosen[0]}`", "be an axis of the study other than seed", repr(chosen[0]), hint)
    open_axes = [axis for axis in settings_axes(values) if axis not in keep]
    first = values.isel(dict.fromkeys(open_axes, 0))
    # An axis may have the name of a coordinate along the layers, which is then renamed.
    own = RESERVED - {name for name, other in ALONG_DIMS.items() if other in first.coords or name in values.dims}
    settings = [str(name) for name in first.coords if name not in own and not first[name].dims]
    settings = [
        f"{axis.replace('_', ' ')} = {value_words(first[axis].values[()])}"
        + (f" (first of {values.sizes[axis]})" if values.sizes.get(axis, 1) > 1 else "")
        for axis in settings
    ]
    return first, f"at {', '.join(settings)}" if settings else ""


def measured(values: xr.DataArray, *dims: str) -> xr.DataArray:
    """Drop labels without finite values.

    Raises
    ------
    NotMeasured
        If nothing is left.

    Examples
    --------
    >>> measured(xr.DataArray([[1.0, np.nan]], dims=("seed", "layer"), name="nc1"), "layer").sizes["layer"]
    1
    """
    finite = values.where(np.isfinite(values))
    if not bool(finite.notnull().any()):
        hint = "elastic status, or a protocol that probes it"
        raise NotMeasured(f"`{values.name}`", "have a finite value", "none", hint)
    for dim in dims:
        finite = finite.dropna(dim, how="all") if dim in finite.dims else finite
    return finite.assign_attrs(values.attrs)


def interval_words(*estimates: xr.Dataset, log: bool | None = False, drawn: str = "band") -> str:
    """Describe averages over seeds for a caption: the number of seeds, and the meaning of the band or bar.

    Parameters
    ----------
    estimates
        Results of `over_seeds` that the figure draws.
    log
        Whether they were computed with ``log``; None if only those in panels with a logarithmic axis.
    drawn
        How intervals are drawn, such as "band".

    >>> interval_words(over_seeds(xr.DataArray([1.0, 2.0, 4.0], dims="seed"), log=True), log=True)
    'geometric mean over 3 seeds, band: 95 % interval (t, of the log)'
    """
    counts = np.concatenate([np.ravel(one["count"]) for one in estimates]) if estimates else np.zeros(1)
    words = average_words(counts, log=log)
    if words == "one seed":
        return words
    return f"{words}, {drawn}: 95 % interval (t{', of the log' if log else ''})"


def all_positive(panels: Sequence[xr.DataArray]) -> bool | None:
    """Return `is_positive` of several variables, or None if they differ, for `interval_words`."""
    kinds = {is_positive(values) for values in panels}
    return kinds.pop() if len(kinds) == 1 else None


def draw_line(axes: Axes, positions: Any, estimates: xr.Dataset, **look: Any) -> None:
    """Draw the estimates of `over_seeds` as a line and their intervals as a band."""
    # Markers show the measured points; too many would hide the line.
    marks = {"marker": ""} if estimates["estimate"].size > MARKED else {}
    (line,) = axes.plot(positions, estimates["estimate"], **{**look, **marks})
    if bool(estimates["lower"].notnull().any()):
        shade, edge = (
            to_rgba(line.get_color(), 0.1),
            to_rgba(line.get_color(), 0.55),
        )  # edges separate overlapping bands
        axes.fill_between(
            positions, estimates["lower"], estimates["upper"], facecolor=shade, edgecolor=edge, linewidth=0.5
        )
