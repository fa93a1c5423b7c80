"""Whether the words of a drawn figure can be read."""

from __future__ import annotations

import itertools

from matplotlib.text import Text
from matplotlib.transforms import Bbox


def words_of(figure):
    """Return the texts of a figure that are printed."""
    figure.draw_without_rendering()
    words = {text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()}
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        inside = {tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high}
        words -= {*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)} - inside
    return sorted(words, key=lambda word: word.get_text())


def unreadable(figure):
    """Return what is wrong with the words of a figure: too small, off the page, one printed over another."""
    words = words_of(figure)
    boxes = {word: word.get_window_extent() for word in words}  # once: a box takes as long as to lay out its word
    page = figure.bbox.padded(1)
    wrong = [f"small: {word.get_text()}" for word in words if word.get_fontsize() < 9]
    wrong += [
        f"cut off: {word.get_text()}" for word, box in boxes.items() if Bbox.union([page, box]).bounds != page.bounds
    ]
    upright = [word for word in words if word.get_rotation() % 90 == 0]  # the box of slanted words is mostly empty
    for one, other in itertools.combinations(upright, 2):
        both = Bbox.intersection(boxes[one], boxes[other])
        # A line's box is higher than its letters: a little of the boxes may overlap.
        if both is not None and min(both.width, both.height) > 0.15 * one.get_fontsize() * figure.dpi / 72:
            wrong.append(f"overprinted: {one.get_text()} and {other.get_text()}")
    return wrong


def caption_of(figure):
    """Return the caption below a figure in one line."""
    return figure.get_supxlabel().replace("\n", " ")
