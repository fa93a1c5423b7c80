"""A figure draws the same numbers where layers have a user's names: they are found by their role."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.text import Text
from support import collapsing
from support import simulated_cubes as sim
from support.legibility import unreadable

from elastic.registry import registry

NAMES = {"hidden_1": "layer1", "hidden_2": "layer2", "hidden_3": "layer3", "penultimate": "pooled", "logits": "fc"}
LONG = {
    "hidden_1": "backbone.encoder.layers.encoder_layer_1", "hidden_2": "backbone.encoder.layers.encoder_layer_2",
    "hidden_3": "backbone.encoder.layers.encoder_layer_3", "penultimate": "backbone.encoder.ln", "logits": "heads.head",
}  # fmt: skip


def drawn_numbers(figure):
    """Return every number that is drawn, of lines, bars, bands and maps: they are there before a figure is laid out."""
    found = []
    for axes in figure.axes:
        found += [line.get_xydata() for line in axes.lines]
        found += [image.get_array() for image in axes.images]
        found += [part.get_array() if isinstance(part, QuadMesh) else part.get_offsets() for part in axes.collections]
        found += [path.vertices for part in axes.collections for path in part.get_paths()]
    return [np.ma.filled(np.ma.asarray(array, dtype=float), np.nan) for array in found if array is not None]


@pytest.fixture(scope="module")
def cubes(finished_study, cube_of):
    return {
        "collapsing": collapsing.cube_of(),
        "conftest": cube_of(axes={"lr": [0.1, 0.2]}),
        "finished study": finished_study.cube.load(),
    }


@pytest.fixture(scope="module")
def built_in(cubes):
    """Return a function that gives the numbers of a figure of a cube, None where it shows nothing of it."""

    @cache
    def numbers(cube, name):
        try:
            return drawn_numbers(registry("figures").get(name).function(cubes[cube]))
        except Exception:
            return None

    return numbers


@pytest.mark.parametrize("names", [NAMES, LONG], ids=["short", "long"])
@pytest.mark.parametrize("name", sorted(registry("figures").names()))
@pytest.mark.parametrize("cube", ["collapsing", "conftest", "finished study"])
def test_the_numbers_are_those_of_built_in_names_and_words_can_be_read(cubes, built_in, cube, name, names):
    expected = built_in(cube, name)
    if expected is None:  # what the figure shows is not in this cube
        return
    figure = registry("figures").get(name).function(sim.named_by_user(cubes[cube], names))
    found = drawn_numbers(figure)
    assert len(expected) == len(found) > 0
    for first, second in zip(expected, found, strict=True):
        np.testing.assert_allclose(first, second, equal_nan=True)
    assert unreadable(figure) == []  # which lays it out
    assert not any("role" in word.get_text() for word in figure.findobj(Text) if word.get_visible())
