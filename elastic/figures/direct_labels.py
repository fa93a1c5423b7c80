"""Labels at the ends of lines, in place of a legend: readers need not match colours of overlapping bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from elastic.figures.page import height_of
from elastic.figures.style import ink

#: In points: font size, distance between the centres of labels, and margin above and below the axes.
SIZE, APART, OUTSIDE = 9.0, 12.0, 65.0


def label_ends(axes: Axes, title: str = "") -> None:
    """Write the label of each line next to its last point, without overlaps.

    Parameters
    ----------
    axes
        Axes with final limits and scales.
    title
        Title above the labels.
    """
    ends = [
        (line, *np.asarray(line.get_xydata())[-1]) for line in axes.lines if not str(line.get_label()).startswith("_")
    ]
    ends = [(line, x, y) for line, x, y in ends if np.isfinite(y)]
    if not ends:
        return
    scale = axes.yaxis.get_transform()
    low, high = (float(end) for end in scale.transform(np.array(axes.get_ylim())))
    heights = [(float(scale.transform(np.array([y]))[0]) - low) / (high - low) for _, _, y in ends]
    gap = APART / max(APART, 72 * height_of(axes) - OUTSIDE)
    places = spread(heights, gap)
    for (line, x, y), place in zip(ends, places, strict=True):
        arrow = {"arrowstyle": "-", "color": line.get_color(), "linewidth": 0.9, "shrinkA": 0, "shrinkB": 3}
        look: dict[str, Any] = {"va": "center", "fontsize": SIZE, "color": ink(), "annotation_clip": False}
        axes.annotate(str(line.get_label()), (x, y), (1.04, place), "data", "axes fraction", arrowprops=arrow, **look)
    if title:
        above = max(places) + 1.15 * gap
        axes.text(1.04, above, title, transform=axes.transAxes, va="center", fontsize=SIZE, color=ink(0.7))


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return positions at least ``gap`` apart, in the order of the heights and as close to them as possible.

    Examples
    --------
    >>> [round(place, 3) for place in spread([0.5, 0.5, 0.9], 0.1)]
    [0.45, 0.55, 0.9]
    >>> [round(place, 3) for place in spread([0.02, 0.0], 0.1)]         # moved up: none lies below 0
    [0.1, 0.0]
    """
    order = np.argsort(heights, kind="stable")
    blocks: list[tuple[float, int]] = []  # middle of its members, each without the gaps below it, and their number
    for rank, position in enumerate(order):
        middle, count = heights[position] - rank * gap, 1
        while blocks and blocks[-1][0] > middle:
            other, more = blocks.pop()
            middle, count = (middle * count + other * more) / (count + more), count + more
        blocks.append((middle, count))
    bare = np.repeat([middle for middle, _ in blocks], [count for _, count in blocks])
    placed = np.clip(bare, 0, max(0.0, 1 - (len(bare) - 1) * gap)) + gap * np.arange(len(bare))
    heights_apart = np.empty(len(placed))
    heights_apart[order] = placed
    return [float(place) for place in heights_apart]
