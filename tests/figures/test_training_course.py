"""The courses are the cube's numbers, a line a layer, and the end of the training error is where it is."""

from __future__ import annotations

import numpy as np
import pytest

from elastic.errors import NotMeasured
from elastic.figures.training_course import training_course


def caption_of(drawn):
    return drawn.get_supxlabel().replace("\n", " ")


def courses(drawn):
    return {line.get_label(): line for line in drawn.axes[0].lines if not line.get_label().startswith("_")}


def marks(drawn):
    return [line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_label().startswith("_")]


def test_each_line_is_the_geometric_mean_of_its_layer(cube):
    drawn, values = training_course(cube), cube["collapse"].dataset["nc1"].sel(split="train")
    lines = courses(drawn)
    assert list(lines) == ["h1", "h2", "penult."]
    for name, layer in zip(lines, ("hidden_1", "hidden_2", "penultimate"), strict=True):
        assert lines[name].get_xdata().tolist() == [0, 1, 4, 16, 64]
        np.testing.assert_allclose(lines[name].get_ydata(), np.exp(np.log(values.sel(layer=layer)).mean("seed")))
    assert len(drawn.axes[0].collections) == 3


def test_epoch_zero_is_on_the_axis_and_later_ones_are_logarithmic(cube):
    (axes,) = training_course(cube).axes
    low, zero, one, ten, hundred = axes.transData.transform([(x, 1) for x in (axes.get_xlim()[0], 0, 1, 10, 100)])[:, 0]
    assert low < zero < one
    assert hundred - ten == pytest.approx(ten - one)
    assert axes.get_xlabel() == "epoch (symmetric log)"


def test_the_first_epoch_without_an_error_in_any_seed_is_marked(cube):
    accuracy = cube["training"].dataset["accuracy"]
    drawn = training_course(cube)
    assert marks(drawn) == [16]
    assert caption_of(drawn).endswith("dotted: epoch 16, the first with no training error in any seed")
    late = accuracy.where((accuracy["seed"] != 1) | (accuracy["epoch"] != 16), 0.99)
    cube["training"] = cube["training"].dataset.assign(accuracy=late)
    assert marks(training_course(cube)) == [64]
    cube["training"] = cube["training"].dataset.assign(accuracy=accuracy * 0.99)
    assert marks(training_course(cube)) == []
    assert caption_of(training_course(cube)).endswith("the training error is never zero in all seeds")


def test_without_accuracy_nothing_is_said_of_errors(cube_of):
    drawn = training_course(cube_of(groups=("collapse",)))
    assert marks(drawn) == []
    assert "error" not in caption_of(drawn)


def test_of_many_layers_seven_are_drawn_and_that_is_told(cube_of):
    drawn = training_course(cube_of(layers=18))
    assert len(courses(drawn)) == 7
    assert list(courses(drawn))[-1] == "penult."
    assert "7 of 16 layers" in caption_of(drawn)


def test_layers_asked_for_are_drawn_in_their_order(cube):
    assert list(courses(training_course(cube, layers=["logits", "input"]))) == ["logits", "input"]


def test_a_seed_that_was_lost_leaves_the_others(cube):
    collapse = cube["collapse"].dataset
    cube["collapse"] = collapse.where((collapse["seed"] != 2) | (collapse["epoch"] < 4))
    drawn = training_course(cube)
    assert "2 to 3 seeds" in caption_of(drawn)
    wanted = collapse["nc1"].sel(split="train", layer="penultimate", epoch=64, seed=[0, 1])
    assert courses(drawn)["penult."].get_ydata()[-1] == pytest.approx(float(np.exp(np.log(wanted).mean())))


def test_one_seed_and_one_layer_are_drawn(cube_of):
    drawn = training_course(cube_of(seeds=1, layers=1, groups=("collapse",)))
    assert list(courses(drawn)) == ["logits"]
    assert len(drawn.axes[0].collections) == 0


def test_a_setting_is_taken_for_metric_and_error_alike(swept):
    accuracy = swept["training"].dataset["accuracy"]
    swept["training"] = swept["training"].dataset.assign(
        accuracy=accuracy.where((accuracy["weight_decay"] == 0) | (accuracy["epoch"] == 64), 0.5)
    )
    assert marks(training_course(swept)) == [16]
    assert marks(training_course(swept, where={"weight_decay": 0.005})) == [64]


@pytest.mark.parametrize("options", [{"metric": "nc7"}, {"layers": ["hidden_9"]}, {"split": "validation"}])
def test_what_was_not_measured_is_told(cube, options):
    with pytest.raises(NotMeasured):
        training_course(cube, **options)


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="training_course.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_training_course_looks_as_it_did(cube):
    return training_course(cube)
