"""Interactive charts of a page: written in Vega-Lite by Altair, compiled to Vega, resized to the browser's window."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import altair as alt
from altair.utils import schemapi

from elastic.figures.style import THEMES, shades

#: Altair's version of Vega-Lite, in the notation of vl-convert.
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])

#: A chart of several marks.
Layers = alt.LayerChart | alt.FacetChart

#: Pixels: initial and greatest width of a view, margin besides its labels, least width of a page with two columns.
WIDTH, WIDEST, MARGIN, NARROW = 300, 440, 50, 720

#: Pixels of a character in tick labels, and the greatest width of a label.
LETTER, LABEL = 6.5, 90

#: Colours of charts in the light theme, and the CSS variable that replaces each in the dark theme.
INK, SOFT, LINE, GRID = (
    f"var(--chart-{name}, {light})"
    for name, light in (("ink", "#1c1e21"), ("soft", "#555555"), ("line", "#888888"), ("grid", "#dddddd"))
)


@dataclass(frozen=True)
class Explorer:
    """One interactive chart.

    Attributes
    ----------
    key
        Identifier on the page.
    title, lead
        Heading, and a sentence on what it shows and how to use it.
    spec
        Vega as JSON, safe inside a ``script`` element.
    left_out
        Descriptions of thinned dims: "30 of 100 classes".
    dark
        CSS declarations of its colours in the dark theme.
    """

    key: str
    title: str
    lead: str
    spec: str
    left_out: tuple[str, ...]
    dark: str


@cache
def script() -> str:
    """Return all the JavaScript of the page: Vega, Vega-Embed and what starts the charts."""
    start = resources.files("elastic.report").joinpath("templates", "explorer.js").read_text("utf-8")
    import vl_convert  # 30 MB; imported only when a page is written

    source: str = vl_convert.javascript_bundle(start, VEGA_LITE)
    return source.replace("\r\n", "\n").replace("</script", "<\\/script")


def room() -> alt.Parameter:
    """Return the parameter with the available width on the page; `compiled` updates it."""
    return alt.param(name="room", value=900)


def table(name: str) -> alt.Chart:
    """Return a chart without marks whose rows `compiled` inserts by name."""
    return alt.Chart(alt.NamedData(name=name))


def now() -> alt.Chart:
    """Return the vertical line at the epoch of the slider."""
    rule: alt.Chart = table("now").transform_calculate(epoch="epochs[probe]").mark_rule(strokeDash=[3, 3], color=SOFT)
    return rule.encode(x="epoch:Q")


def place_colour(place: int) -> str:
    """Return a colour of the qualitative palette of the figures, by index.

    >>> place_colour(5)
    'var(--chart-5, #D55E00)'
    """
    return f"var(--chart-{place}, {THEMES['light'].colours[place]})"


def depth_colours(count: int) -> list[str]:
    """Return colours of the sequential palette of the figures, reversed in the dark theme.

    >>> depth_colours(2)
    ['var(--depth-2-0, #7ad151)', 'var(--depth-2-1, #440154)']
    """
    return [f"var(--depth-{count}-{i}, {shade})" for i, shade in enumerate(shades(count, "light"))]


def dark_colours(counts: Iterable[int]) -> str:
    """Return CSS declarations of the colours in the dark theme, for charts with the given numbers of ordered items."""
    colours = {f"--chart-{i}": colour for i, colour in enumerate(THEMES["dark"].colours)}
    for count in counts:
        colours |= {f"--depth-{count}-{i}": shade for i, shade in enumerate(shades(count, "dark"))}
    return "".join(f"{name}:{colour};" for name, colour in colours.items())


def choice(name: str, title: str, labels: Sequence[str], value: int = 0) -> alt.Parameter:
    """Return a parameter that holds the index of a label, with a drop-down list if there are several."""
    if len(labels) < 2:
        return alt.param(name=name, value=value)
    return alt.param(name=name, value=value, bind=drop_down(title, labels))


def drop_down(title: str, labels: Sequence[str]) -> alt.BindRadioSelect:
    """Return a drop-down list of labels whose values are indices."""
    return alt.binding_select(options=list(range(len(labels))), labels=list(labels), name=title)


def epoch_slider(epochs: Sequence[float]) -> alt.Parameter:
    """Return the parameter ``probe``, the index of an epoch, with a slider over the probed epochs."""
    last = len(epochs) - 1
    if last == 0:
        return alt.param(name="probe", value=0)
    title = f"Epoch (each step is one of the {len(epochs)} probed)"
    return alt.param(name="probe", value=last, bind=alt.binding_range(min=0, max=last, step=1, name=title))


def epoch_axis(epochs: Sequence[float]) -> alt.X:
    """Return the x encoding of field ``epoch``: logarithmic above 0, with ticks at 0, 1, 3, 10 and so on.

    If the first epoch after 0 is a fraction, the logarithmic part begins there, with ticks at 0.1, 0.3 and so on.
    """
    begin = min((epoch for epoch in epochs if 0 < epoch < 1), default=1)
    powers = range(math.floor(math.log10(begin)), math.ceil(math.log10(max(epochs) + 1)) + 1)
    marks = [0, *(factor * _power(power) for power in powers for factor in (1, 3))]
    shown = [mark for mark in marks if min(epochs) <= mark <= max(epochs)]
    axis = alt.Axis(values=shown, format="d" if begin == 1 else "~g", grid=False)
    scale = alt.Scale(type="symlog", constant=begin, domain=[min(epochs), max(epochs)], nice=False)
    return alt.X("epoch:Q", title="epoch (0, then log)", scale=scale, axis=axis)


def tick_label(value: str, decade: str, plain: tuple[int, int], form: str) -> str:
    """Return a Vega expression for the label of a tick: a plain number, or as in the figures 10⁴ and 3·10⁻⁵.

    Parameters
    ----------
    value, decade
        Expressions of the number, and of the decimal logarithm of its size.
    plain
        Decimal logarithms between which a number is plain.
    form
        Format of a plain number.
    """
    power = f"floor({decade} + 1e-6)"
    factor = f"format({value} / pow(10, {power}), '.2~r')"
    raised = f"[{', '.join(map(repr, '⁰¹²³⁴⁵⁶⁷⁸⁹'))}]"
    tens = f"(abs({power}) < 10 ? '' : {raised}[floor(abs({power}) / 10)])"
    ten = f"'10' + ({power} < 0 ? '⁻' : '') + {tens} + {raised}[abs({power}) % 10]"
    is_plain = f"{value} == 0 || {power} >= {plain[0]} && {power} < {plain[1]}"
    return f"{is_plain} ? format({value}, '{form}') : ({factor} == '1' ? '' : {factor} + '·') + {ten}"


def _power(power: int) -> float:
    """Return a power of ten, as an integer if possible."""
    return 10**power if power >= 0 else float(f"1e{power}")


def compiled(
    chart: alt.ConcatChart,
    params: Sequence[alt.Parameter],
    controls: Sequence[str],
    rows: Mapping[str, Iterable[Mapping[str, Any]]],
    letters: int,
    extras: Mapping[str, Any],
) -> str:
    """Compile a chart of two views to Vega in JSON, with the views side by side on wide pages.

    Parameters
    ----------
    chart
        Chart of two views, both of the width `WIDTH`.
    params
        Its parameters that are no selections, among them `room`. They are written into the compiled chart: Altair would
        copy every view once per parameter.
    controls
        Signals that the reader sets, in the order of the page.
    rows
        Rows of each `table` by name, inserted after compilation: compiler and validator need not read them.
    letters
        Characters of the longest label at the left axes.
    extras
        Data for the page's script: ``table``, the columns of the saved file, and ``groups`` of the options of a list.

    Notes
    -----
    Vega-Lite cannot resize a row of views with the page. The compiled Vega can: width, heights and number of columns
    become signals that depend on the width of the page.
    """
    import vl_convert

    written = _styled(chart).to_dict(validate=schemapi.DEBUG_MODE)
    lifted = [param.param.to_dict(validate=schemapi.DEBUG_MODE) for param in params]  # type: ignore[union-attr]
    written["params"] = [*written.get("params", []), *lifted]
    spec: dict[str, Any] = vl_convert.vegalite_to_vega(written, vl_version=VEGA_LITE)
    spec["signals"] = _fitted(spec["signals"], controls, MARGIN + min(LABEL, round(LETTER * letters)))
    spec["autosize"] = {"type": "pad", "resize": True}
    spec["layout"]["columns"] = {"signal": f"room < {NARROW} ? 1 : 2"}
    values = {**{name: list(points) for name, points in rows.items()}, "now": [{}]}
    for data in spec["data"]:
        data |= {"values": values[data["name"]]} if data["name"] in values else {}
    spec["usermeta"] = dict(extras)
    return in_script(spec)


def _fitted(signal_list: Sequence[dict[str, Any]], controls: Sequence[str], margin: int) -> list[dict[str, Any]]:
    """Return the signals of two views, in order, with sizes that depend on the width of the page."""
    signals = {signal["name"]: signal for signal in signal_list}
    size = "max(280, containerSize()[0])"
    signals["room"] = {"name": "room", "init": size, "on": [{"events": "window:resize", "update": size}]}
    # Views of equal width share this signal, and views of equal height theirs.
    width = f"min({WIDEST}, room < {NARROW} ? room - {margin} : room / 2 - {margin})"
    signals["childWidth"] = {"name": "childWidth", "update": width}
    for name, signal in signals.items():
        if name.lower().endswith("height"):
            signals[name] = {"name": name, "update": f"childWidth * {signal['value'] / WIDTH:.4g}"}
    return [
        *(signal for name, signal in signals.items() if name not in controls),
        *(signals[name] for name in controls),
    ]


def _styled(chart: alt.ConcatChart) -> alt.ConcatChart:
    """Return a chart in the style of the page, set in one step: Altair copies all of a chart in each."""
    styled: alt.ConcatChart = chart.configure(
        font="system-ui, sans-serif",
        background="transparent",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=LABEL,
            labelColor=INK,
            titleColor=INK,
            domainColor=LINE,
            tickColor=LINE,
            gridColor=GRID,
        ),
        title=alt.TitleConfig(
            fontSize=13, subtitleFontSize=11.5, anchor="start", color=INK, subtitleColor=SOFT, offset=8
        ),
        legend=alt.LegendConfig(
            labelFontSize=11, titleFontSize=11, titleFontWeight="normal", labelLimit=150, labelColor=INK, titleColor=INK
        ),
    )
    return styled


def in_script(value: Any) -> str:
    r"""Return JSON that is safe inside a ``script`` element: it contains no ``<``.

    >>> in_script({"a": "</script>"})
    '{"a":"\\u003c/script>"}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
