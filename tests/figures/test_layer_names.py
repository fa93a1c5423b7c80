"""A figure draws the same numbers where layers have a user's names: they are found by their role."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.text import Text
from support import collapsing
from support import simulated_cubes as sim
from support.legibility import unreadable

from elastic.errors import NotMeasured
from elastic.figures import class_mean_geometry, response_matrices
from elastic.registry import registry

NAMES = {"hidden_1": "layer1", "hidden_2": "layer2", "hidden_3": "layer3", "penultimate": "pooled", "logits": "fc"}
HIDDEN = ("hidden_1", "hidden_2", "hidden_3", "penultimate")
LONG = {name: f"bert.encoder.layer.{n}.attention.output.LayerNorm" for n, name in enumerate(HIDDEN)}
LONG |= {"input": "bert.embeddings.word_embeddings", "logits": "heads.head"}
FIGURES = sorted(registry("figures").names())

#: Figures of which no cube of these tests holds anything: closure shows an account of steps.
OF_NONE = ("closure",)


def drawn_numbers(figure):
    """Return every number that is drawn, of lines, bars, bands and maps: they are there before a figure is laid out."""
    collected = []
    for axes in figure.axes:
        collected += [line.get_xydata() for line in axes.lines]
        collected += [image.get_array() for image in axes.images]
        collected += [
            part.get_array() if isinstance(part, QuadMesh) else part.get_offsets() for part in axes.collections
        ]
        collected += [path.vertices for part in axes.collections for path in part.get_paths()]
    return [np.ma.filled(np.ma.asarray(array, dtype=float), np.nan) for array in collected if array is not None]


@pytest.fixture(scope="module")
def cubes(finished_study, cube_of):
    """Return cubes of which one at least holds what a figure shows, those that need most room first."""
    return {
        "fractions": cube_of(epochs=(0.0, 0.25, 1 / 3, 1.0, 2.5), axes={"lr": [0.1, 0.2]}),
        "collapsing": collapsing.cube_of(),
        "finished study": finished_study.cube.load(),
    }


def of_figure(cube, name):
    """Return a figure, or None where the cube lacks what it shows."""
    try:
        return registry("figures").get(name).function(cube)
    except NotMeasured:
        return None


def has_the_same_numbers(cube, name):
    """Assert that a figure draws the same numbers of layers with names of a user's; False where it shows nothing."""
    built_in, figure = of_figure(cube, name), of_figure(sim.named_by_user(cube, NAMES), name)
    if built_in is None:
        assert figure is None
        return False
    expected, result = drawn_numbers(built_in), drawn_numbers(figure)
    assert len(expected) == len(result) > 0
    for first, second in zip(expected, result, strict=True):
        np.testing.assert_allclose(first, second, equal_nan=True)
    return True


@pytest.fixture
def _unsettled(monkeypatch):
    """Lay out no figure, which takes longer than to draw it."""
    for module in (response_matrices, class_mean_geometry):
        monkeypatch.setattr(module, "settle", lambda drawn: None)


@pytest.mark.usefixtures("_unsettled")
@pytest.mark.parametrize("name", FIGURES)
def test_the_numbers_are_those_of_built_in_names(cubes, name):
    """Of the first cube that holds what the figure shows."""
    assert any(has_the_same_numbers(cube, name) for cube in cubes.values()) is (name not in OF_NONE)


@pytest.mark.long
@pytest.mark.usefixtures("_unsettled")
@pytest.mark.parametrize("name", FIGURES)
def test_of_every_cube_the_numbers_are_those_of_built_in_names(cubes, name):
    shown = [has_the_same_numbers(cube, name) for cube in cubes.values()]
    assert any(shown) is (name not in OF_NONE)


@pytest.mark.parametrize("name", FIGURES)
def test_long_names_can_be_read(cubes, name):
    """A layout that finds no room warns, which is an error here."""
    drawn = (of_figure(sim.named_by_user(cube, LONG), name) for cube in cubes.values())
    figure = next((one for one in drawn if one is not None), None)
    if figure is None:
        assert name in OF_NONE
        return
    assert unreadable(figure) == []
    assert not any("role" in word.get_text() for word in figure.findobj(Text) if word.get_visible())
