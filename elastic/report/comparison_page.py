"""Page of `elastic compare`: a figure of both studies and a table of every difference; needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
import xarray as xr

from elastic._version import __version__
from elastic.analysis.reading import spelled
from elastic.display.numbers import typeset
from elastic.errors import ElasticError
from elastic.registry import registry
from elastic.report.embedded_figures import Picture, picture
from elastic.report.study_differences import Difference

#: Axis of the combined cube along which the studies are concatenated.
AXIS = "study"


@dataclass(frozen=True)
class Compared:
    """Two studies and their differences.

    Attributes
    ----------
    names
        Distinct names of both.
    facts
        Title, digest and number of seeds of each.
    cube
        Both combined (`elastic.combine`) along the axis ``study``.
    changed
        Lines with the differences of their protocols.
    differences
        Differences of the second study from the first.
    """

    names: tuple[str, str]
    facts: tuple[Mapping[str, str], Mapping[str, str]]
    cube: xr.DataTree
    changed: Sequence[str]
    differences: Sequence[Difference]


def comparison_page(compared: Compared) -> str:
    """Return the comparison of two studies as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("elastic.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files("elastic.report").joinpath("templates", "report.css").read_text("utf-8")
    environment.globals |= {"version": __version__, "style": style}
    environment.filters["typeset"] = typeset
    rows = [(one, *one.means(), setting_words(one)) for one in compared.differences]
    return environment.get_template("comparison.html.j2").render(compared=compared, rows=rows, picture=figure(compared))


def figure(compared: Compared) -> Picture | None:
    """Draw nc1 and locality by layer with a line for each study; None if they have neither."""
    entry = registry("figures").get("axis_comparison")
    try:
        return picture(entry, compared.cube, entry.function(compared.cube, axis=AXIS, caption=False), {"axis": AXIS})
    except ElasticError:
        return None


def setting_words(one: Difference) -> str:
    """Format the layer, split and setting of a difference."""
    parts = [one.layer, one.split, *(f"{axis} = {spelled(label)}" for axis, label in one.setting.items())]
    return ", ".join(part for part in parts if part)
