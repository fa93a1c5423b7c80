"""Line charts made of characters: coloured Braille dots on a terminal, one letter per line elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from elastic.analysis.epochs import epoch_label

#: Cells to the left of the plot: a number and the axis.
MARGIN = 7

#: Bits of the dots of a Braille character, by row and column in it.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes
    ----------
    points
        (x, y), finite, by ascending x.
    colour
        Colour name of rich.
    mark
        Character that draws the line without colours.
    """

    points: Sequence[tuple[float, float]]
    colour: str
    mark: str


def chart(lines: Sequence[Line], *, width: int, height: int, last: float, log: bool, colours: bool) -> list[Text]:
    r"""Return a chart as rows of text, with the axis of epochs below.

    Epochs are spaced as log(1 + epoch), like most probe schedules.

    Parameters
    ----------
    lines
        Drawn in order, the last one on top.
    width, height
        Size in cells: at least `MARGIN` + 8, and 3.
    last
        The epoch at the right edge.
    log
        Whether y is logarithmic; non-positive values are left out.
    colours
        Whether to draw with Braille and colours.

    Examples
    --------
    >>> rows = chart([Line([(0, 1.0), (3, 0.0)], "", "a")], width=16, height=4, last=3, log=False, colours=False)
    >>> print("\n".join(row.plain for row in rows))
          1┤aa
        0.5┤  aaaa
          0┤      aa
            0   1  3
    """
    cells, count = max(8, width - MARGIN - 1), max(2, height - 1)
    scale = _scale([y for line in lines for _, y in line.points], log)
    labels = scale.labels(count)
    plot = (Braille if colours else Letters)(cells, count)
    for line in lines:
        places = [(_across(x, last), up) for x, y in line.points if (up := scale.share(y)) is not None]
        plot.draw(places, line)
    rows = []
    for place, drawn in enumerate(plot.rows()):
        margin = Text(f"{labels.get(place, ''):>{MARGIN}}" + ("┤" if place in labels else "│"), style="dim")
        rows.append(Text("").join([margin, drawn]))
        rows[-1].rstrip()
    return [*rows, _epochs(cells, last)]


@dataclass(frozen=True)
class Scale:
    """The y axis: its limits, and whether it is logarithmic."""

    low: float
    high: float
    log: bool

    def share(self, y: float) -> float | None:
        """Return the position of a value between the limits, 0 … 1; None for values without a logarithm."""
        if self.log:
            if y <= 0:
                return None
            y = math.log10(y)
        return (y - self.low) / (self.high - self.low)

    def labels(self, rows: int) -> dict[int, str]:
        """Return the tick labels of the rows: powers of ten, or the limits and the middle."""
        powers = range(math.ceil(self.low), math.floor(self.high) + 1) if self.log else range(0)
        if len(powers) > 1:
            step = math.ceil(len(powers) / rows)
            ticks = [(float(power), _power(power)) for power in powers if power % step == 0]
        else:
            values = [self.low, self.high] + ([(self.low + self.high) / 2] if rows > 2 else [])
            ticks = [(value, f"{10**value if self.log else value:.2g}") for value in values]
        share = [((value - self.low) / (self.high - self.low), label) for value, label in ticks]
        return {round((1 - at) * (rows - 1)): label for at, label in share}


def _scale(values: Sequence[float], log: bool) -> Scale:
    if log:
        values = [math.log10(value) for value in values if value > 0]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    return Scale(low, high, log)


def _power(power: int) -> str:
    return f"{10.0**power:g}" if -4 < power < 5 else f"1e{power}"


def _across(epoch: float, last: float) -> float:
    return math.log1p(epoch) / math.log1p(last) if last > 0 else 0.0


def _epochs(cells: int, last: float) -> Text:
    """Return the axis of epochs: 0, 1, 3, 10, 30, … and the last one, as far as they fit."""
    row = [" "] * (cells + 12)
    free = 0
    end = epoch_label(last)
    ticks = [0.0, *(m * 10**p for p in range(9) for m in (1, 3) if m * 10**p < last)]
    for tick in ticks:
        label, at = epoch_label(tick), round(_across(tick, last) * (cells - 1))
        if at >= free and at + len(label) < cells - len(end):
            row[at : at + len(label)] = label
            free = at + len(label) + 2
    row[cells - len(end) : cells] = end
    return Text(f"{'':>{MARGIN}} " + "".join(row).rstrip(), style="dim")


class Letters:
    """A plot with one character per cell."""

    across, down = 1, 1

    def __init__(self, cells: int, rows: int) -> None:
        self.size = (cells * self.across, rows * self.down)
        self.cells: list[list[tuple[int, str, str]]] = [[(0, " ", "")] * cells for _ in range(rows)]

    def draw(self, places: Sequence[tuple[float, float]], line: Line) -> None:
        """Draw a line through places (across, up), each 0 … 1."""
        dots = [(round(x * (self.size[0] - 1)), round((1 - y) * (self.size[1] - 1))) for x, y in places]
        for start, end in zip(dots, dots[1:] or dots, strict=False):
            steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
            for step in range(steps + 1):
                x, y = (round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True))
                self.dot(x, y, line)

    def dot(self, x: int, y: int, line: Line) -> None:
        """Set one dot."""
        self.cells[y][x] = (0, line.mark, "")

    def rows(self) -> list[Text]:
        """Return the rows of the plot."""
        return [Text("").join(Text(mark, style=colour) for _, mark, colour in row) for row in self.cells]


class Braille(Letters):
    """A plot with 2 × 4 dots per cell; a cell has the colour of the line drawn in it last."""

    across, down = 2, 4

    def dot(self, x: int, y: int, line: Line) -> None:
        """Set one dot."""
        before, *_ = self.cells[y // 4][x // 2]
        bits = before | DOTS[y % 4][x % 2]
        self.cells[y // 4][x // 2] = (bits, chr(0x2800 + bits), line.colour)
