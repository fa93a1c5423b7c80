"""Every figure of a recorded study: fractional epochs as they are, layers named after submodules, dollars as such."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from matplotlib.text import Text
from support.recorded import recorded

from elastic.errors import NotMeasured
from elastic.figures.labelling import epoch_axis
from elastic.registry import registry

FRACTIONS = (0.0, 0.25, 1 / 3, 1.0, 2.5)
LONG = [f"bert.encoder.layer.{n}.attention.output.LayerNorm" for n in range(5)]


def drawn(name, cube, **options):
    """Return what a figure writes, after it is laid out: a layout that finds no room warns, which is an error here."""
    figure = registry("figures").get(name).function(cube, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def renamed(cube, names, coordinate="layer"):
    for group in ("collapse", "elasticity"):
        dataset = cube[group].to_dataset()
        cube[group] = dataset.assign_coords({coordinate: names}) if coordinate in dataset.dims else dataset
    return cube


@pytest.fixture(scope="module")
def whole(finished_study, tmp_path_factory):
    return recorded(finished_study.cube, tmp_path_factory.mktemp("recorded"), sealed=False).cube


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("depth_profile", ["0", "0.25", "0.3333", "2.5"]),
        ("training_course", ["0.1", "b.e.l.11.o.Laye…"]),
        ("onset_map", ["0.1", "0.25", "layer4.1.relu"]),
        ("separation_law", ["epoch 2.5"]),
        ("locality_collapse", ["filled: epoch 2.5", "layer4.1.relu"]),
        ("response_matrices", ["epoch 2.5", "fc"]),
        ("class_mean_geometry", ["epoch 2.5", "b.e.l.11.o.Laye…,\nepoch 0"]),
        ("theory_spectrum", ["0.25", "0.3333", "epoch 2.5, layer"]),
    ],
)
def test_a_figure_shows_epochs_and_layers_as_they_were_recorded(whole, name, words):
    texts = drawn(name, whole)
    for word in words:
        assert any(word in text for text in texts), (word, texts)
    assert not any("epoch 2.0" in text or "0.0 " in text for text in texts)


def test_the_axis_comparison_is_drawn_at_a_fraction(cube_of):
    texts = drawn("axis_comparison", cube_of(epochs=FRACTIONS, axes={"weight_decay": [0.0, 0.005]}), epoch=0.3333)
    assert any("epoch 0.3333" in text for text in texts)


@pytest.mark.parametrize("name", registry("figures").names())
def test_no_name_of_a_layer_is_mathematics(cube_of, name):
    """Long names are drawn in tests/figures/test_layer_names.py."""
    names = ["$x_{$", "a$b$", "$$", "_", "a\\$"]
    cube = renamed(cube_of(epochs=FRACTIONS, axes={"weight_decay": [0.0, 0.005]}), names)
    try:
        drawn(name, cube)
    except NotMeasured:
        assert name not in ("response_matrices", "depth_profile", "axis_comparison", "onset_map", "training_course",
                            "training_curves", "neural_collapse", "locality_collapse")  # fmt: skip


@pytest.mark.parametrize("name", ["response_matrices", "depth_profile", "axis_comparison", "onset_map"])
def test_no_name_of_a_class_or_an_axis_is_mathematics(cube_of, name):
    cube = cube_of(axes={"$x_{$": ["$a$", "$_{$"]})
    for dim in ("stepped_class", "observed_class"):
        cube = renamed(cube, ["$a$", "$_{$", "$$"], dim)
    drawn(name, cube)


@pytest.mark.parametrize(
    ("epochs", "begin"), [([0, 1, 10], 1), ([0.0, 1.0, 2.5], 1), ([0, 0.25, 3], 0.1), ([0.001, 4], 0.001), ([0], 1)]
)
def test_the_logarithmic_part_begins_below_the_first_epoch_after_0(epochs, begin):
    from elastic.figures.contract import canvas

    axes = canvas().subplots()
    axes.plot(epochs, np.ones(len(epochs)))
    epoch_axis(axes, epochs)
    assert axes.xaxis.get_transform().linthresh == begin
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert not any("." in label for label in labels) or begin < 1


def test_distinct_layers_have_distinct_names_in_a_legend(cube_of):
    names = ["h1", "hidden_1", *LONG[:3]]
    texts = drawn("training_course", renamed(cube_of(), names), layers=names[:2])
    assert {"h1", "h1 (2)"} <= set(texts)
