"""The curves of one run in a column: loss, accuracy, and a metric by layer with its latest values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from elastic.display.layer_names import short_names
from elastic.display.numbers import epoch_of
from elastic.study.completeness import named
from elastic.watching.chart import Line, chart
from elastic.watching.courses import Course, Points

#: Colours of the splits, and of the layers from first to last: readable on dark and light backgrounds, and distinct on
#: terminals with sixteen colours.
SPLITS = ("#3b7dd8", "#e8710a", "#2f9e44")
LAYERS = ("#3b7dd8", "#1b9e9e", "#2f9e44", "#b08900", "#c92a2a", "#a83cb0", "#e64980", "#7a7a7a")

#: Characters that draw the lines without colours.
MARKS, LAYER_MARKS = "*o+", "123456789abcdefghijklmnopqrstuvwxyz"

#: Minimum and maximum number of rows of a chart with its axis.
LEAST, MOST = 5, 16

#: Cells of a legend entry besides the layer's name: mark, value and separator.
BESIDE = 11


def column(course: Course, metric: str, *, width: int, height: int, colours: bool) -> Group:
    """Return the curves of a run in width × height cells; without room for its chart the accuracy is a line of text."""
    title = _title(course)
    curves = [points for of in (course.loss, course.accuracy, course.layers) for points in of.values() if points]
    if not curves:
        return Group(title, Text("nothing recorded yet", style="dim"))
    last = max(course.status.epochs or 0, *(points[-1][0] for points in curves))
    layers = {name: points for name, points in course.layers.items() if points}
    names = _names(layers, width, max(3, height // 4), colours)
    training = [(name, of) for name, of in (("loss", course.loss), ("accuracy", course.accuracy)) if any(of.values())]
    rows = _rows(height - 1 - len(training) - len(names) - bool(layers), len(training), bool(layers))
    parts: list[RenderableType] = [title]
    for (name, of), count in zip(training, rows, strict=False):
        parts.append(_splits(name, of, colours))
        if count:
            lines = _lines(of, SPLITS, MARKS)[::-1]
            log = name == "loss" and _is_positive(of)
            parts += chart(lines, width=width, height=count, last=last, log=log, colours=colours)
    if layers:
        lines = _lines(layers, LAYERS, LAYER_MARKS)
        parts.append(Text(f"{metric} by layer", style="italic"))
        parts += chart(lines, width=width, height=rows[-1], last=last, log=_is_positive(layers), colours=colours)
        parts += names
    return Group(*parts)


def _title(course: Course) -> Text:
    status = course.status
    title = Text(named(status.coordinates) or status.cell, style="bold", overflow="ellipsis")
    epoch = "" if status.epoch is None else f", epoch {epoch_of(status.epoch, status.epochs, '/')}"
    return title.append(f"  {status.state}{epoch}", style="not bold")


def _rows(free: int, training: int, has_layers: bool) -> list[int]:
    """Return the number of rows of each chart, the metric's last: of few rows it gets most, and accuracy none.

    >>> _rows(11, 2, True), _rows(30, 2, True), _rows(100, 2, True)
    ([5, 0, 6], [9, 9, 12], [12, 12, 16])
    """
    drawn = training if free >= LEAST * (training + has_layers) else min(training, 1)
    each = max(LEAST, min(MOST - 4, int(free * 0.3))) if drawn else 0
    rows = [each] * drawn + [0] * (training - drawn)
    return [*rows, max(LEAST, min(MOST, free - each * drawn))] if has_layers else rows


def _is_positive(curves: Mapping[str, Points]) -> bool:
    return all(value >= 0 for points in curves.values() for _, value in points)


def _lines(curves: Mapping[str, Points], palette: Sequence[str], marks: str) -> list[Line]:
    return [
        Line(points, colour_of(place, len(curves), palette), marks[place % len(marks)])
        for place, points in enumerate(curves.values())
    ]


def colour_of(place: int, count: int, palette: Sequence[str]) -> str:
    """Return the colour of a line: lines in excess of the palette are spread over it in order."""
    return palette[place] if count <= len(palette) else palette[place * len(palette) // count]


def _splits(name: str, curves: Mapping[str, Points], colours: bool) -> Text:
    legend = Text(name, style="italic", overflow="ellipsis")
    for line, (split, points) in zip(_lines(curves, SPLITS, MARKS), curves.items(), strict=True):
        if points:
            legend.append("  ").append("■ " if colours else f"{line.mark} ", style=f"not italic {line.colour}")
            legend.append(f"{split} {points[-1][1]:.3g}", style="not italic")
    return legend


def _names(layers: Mapping[str, Points], width: int, most: int, colours: bool) -> list[Text]:
    """Return the layers with their latest values in at most ``most`` rows; of too many layers an even selection."""
    if not layers:
        return []
    across = next((n for n in range(1, max(1, width // 19) + 1) if n * most >= len(layers)), max(1, width // 19))
    shown = sorted({round(i * (len(layers) - 1) / max(1, most * across - 1)) for i in range(most * across)})
    letters = max(6, min(16, (width + 2) // across - BESIDE))
    short = short_names(list(layers), letters)
    lines, last = _lines(layers, LAYERS, LAYER_MARKS), [points[-1][1] for points in layers.values()]
    text = []
    for place in shown:
        mark = Text("■ " if colours else f"{lines[place].mark} ", style=lines[place].colour)
        text.append(mark.append(f"{short[place]:<{letters}} {_short(last[place]):>6}", style="default"))
    deep = -(-len(text) // across)
    return [Text("  ").join(text[row::deep]) for row in range(deep)]


def _short(value: float) -> str:
    """Format a number in six characters.

    >>> [_short(value) for value in (0.924, 0.00053, 23.91, 1.5e12)]
    ['0.92', '5.3e-4', '24', '1.5e12']
    """
    text = f"{value:.2g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
