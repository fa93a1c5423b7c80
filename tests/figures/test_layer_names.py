"""A figure draws the same numbers where layers have a user's names: they are found by their role."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from support import collapsing
from support import simulated_cubes as sim
from support.legibility import unreadable, words_of

from elastic.registry import registry

NAMES = {"hidden_1": "layer1", "hidden_2": "layer2", "hidden_3": "layer3", "penultimate": "pooled", "logits": "fc"}
LONG = {
    "hidden_1": "backbone.encoder.layers.encoder_layer_1", "hidden_2": "backbone.encoder.layers.encoder_layer_2",
    "hidden_3": "backbone.encoder.layers.encoder_layer_3", "penultimate": "backbone.encoder.ln", "logits": "heads.head",
}  # fmt: skip


def drawn_numbers(figure):
    """Return every number that is drawn: of lines, bars, bands and maps."""
    figure.draw_without_rendering()
    found = []
    for axes in figure.axes:
        found += [line.get_xydata() for line in axes.lines]
        found += [image.get_array() for image in axes.images]
        found += [part.get_array() if isinstance(part, QuadMesh) else part.get_offsets() for part in axes.collections]
        found += [path.vertices for part in axes.collections for path in part.get_paths()]
    return [np.ma.filled(np.ma.asarray(array, dtype=float), np.nan) for array in found if array is not None]


@pytest.fixture(params=["collapsing", "conftest", "finished study"])
def cube(request, cube_of):
    if request.param == "finished study":
        return request.getfixturevalue("finished_study").cube.load()
    return collapsing.cube_of() if request.param == "collapsing" else cube_of(axes={"lr": [0.1, 0.2]})


def can_draw(name, cube):
    try:
        return registry("figures").get(name).function(cube)
    except Exception:
        return None


@pytest.mark.parametrize("names", [NAMES, LONG], ids=["short", "long"])
@pytest.mark.parametrize("name", sorted(registry("figures").names()))
def test_the_numbers_are_those_of_built_in_names_and_words_can_be_read(cube, name, names):
    plain = can_draw(name, cube)
    if plain is None:  # what the figure shows is not in this cube
        return
    expected = drawn_numbers(plain)
    figure = registry("figures").get(name).function(sim.named_by_user(cube, names))
    found = drawn_numbers(figure)
    assert len(expected) == len(found) > 0
    for first, second in zip(expected, found, strict=True):
        np.testing.assert_allclose(first, second, equal_nan=True)
    assert unreadable(figure) == []
    assert not any("role" in word.get_text() for word in words_of(figure))
