"""The canonical picture holds the cube's numbers: accuracy and NC1 to NC4, a line a split, only what was recorded."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from support.legibility import caption_of, unreadable

from elastic.errors import NotMeasured
from elastic.figures.neural_collapse import neural_collapse
from elastic.figures.training_curves import training_curves

#: Variables of the panels, in the order in which they stand, with the mean that each has.
MEANS = {
    "accuracy": "mean", "nc1": "log", "nc2_equinorm": "log", "nc2_equiangle": "log", "nc3_duality": "log",
    "nc4_mismatch": "mean",
}  # fmt: skip


@pytest.fixture(scope="module")
def study(finished_study):
    return finished_study.cube.load()


def without(cube, *names):
    return xr.DataTree.from_dict(
        {f"/{name}": node.to_dataset().drop_vars(names, errors="ignore") for name, node in cube.children.items()}
    )


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def mean(values, kind):
    return np.exp(np.log(values).mean("seed")) if kind == "log" else values.mean("seed")


def test_each_panel_is_a_mean_over_the_seeds_of_the_last_hidden_layer(study):
    drawn = neural_collapse(study)
    assert len(drawn.axes) == len(MEANS)
    for axes, (name, kind) in zip(drawn.axes, MEANS.items(), strict=True):
        values = study["training" if name == "accuracy" else "collapse"].dataset[name]
        values = values.sel(layer="penultimate") if "layer" in values.dims else values
        assert axes.get_yscale() == ("log" if kind == "log" else "linear")
        assert list(lines(axes)) == ["training samples", "test samples"]
        for split, line in zip(("train", "test"), lines(axes).values(), strict=True):
            wanted = mean(values.sel(split=split), kind)
            assert line.get_xdata().tolist() == values["epoch"].values.tolist()
            np.testing.assert_allclose(line.get_ydata(), wanted, rtol=1e-12)
    assert unreadable(drawn) == []
    assert caption_of(drawn).startswith(
        "features of layer penultimate; mean (geometric for positive quantities) over 2 seeds"
    )


def test_another_layer_and_one_split_are_drawn_where_they_are_asked_for(study):
    drawn = neural_collapse(study, layer="hidden_1", splits=["test"])
    nc1 = study["collapse"].dataset["nc1"].sel(layer="hidden_1", split="test")
    (line,) = lines(drawn.axes[1]).values()
    np.testing.assert_allclose(line.get_ydata(), mean(nc1, "log"))
    for options in ({"layer": "hidden_9"}, {"splits": ["validation"]}):
        with pytest.raises(NotMeasured):
            neural_collapse(study, **options)


@pytest.mark.parametrize("left_out", [["accuracy"], ["nc3_duality", "nc4_mismatch"], list(MEANS)[:5]])
def test_what_was_not_recorded_has_no_panel_and_nothing_is_said_of_it(study, left_out):
    drawn = neural_collapse(without(study, *left_out))
    shown = [axes for axes in drawn.axes if axes.lines]
    assert len(shown) == len(MEANS) - len(left_out)
    assert not any("None" in text.get_text() or "nan" in text.get_text() for text in drawn.texts)
    assert unreadable(drawn) == []


def test_without_any_of_nc1_to_nc4_there_is_no_picture(study):
    with pytest.raises(NotMeasured, match=r"NC1 to NC4.*probes\.collapse"):
        neural_collapse(without(study, *MEANS))


def test_the_angles_of_two_classes_are_said_to_be_zero(study):
    cube = study.map_over_datasets(
        lambda one: one.assign(nc2_equiangle=0 * one["nc2_equiangle"]) if "nc2_equiangle" in one else one
    )
    angles = neural_collapse(cube).axes[3]
    assert not lines(angles)
    assert any("0 up to rounding" in text.get_text() for text in angles.texts)


def test_the_training_curves_are_the_means_of_loss_and_accuracy(study):
    drawn, training = training_curves(study), study["training"].dataset
    loss, accuracy = drawn.axes
    np.testing.assert_allclose(lines(loss)["test samples"].get_ydata(), mean(training["loss"].sel(split="test"), "log"))
    np.testing.assert_allclose(
        lines(accuracy)["training samples"].get_ydata(), training["accuracy"].sel(split="train").mean("seed")
    )
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert unreadable(drawn) == []


def test_a_loss_that_is_negative_somewhere_has_a_linear_axis_and_its_arithmetic_mean(study):
    changed = study["training"].dataset.assign(loss=study["training"].dataset["loss"] - 1)
    cube = xr.DataTree.from_dict({"/training": changed})
    axes = training_curves(cube).axes[0]
    assert axes.get_yscale() == "linear"
    np.testing.assert_allclose(
        lines(axes)["test samples"].get_ydata(), changed["loss"].sel(split="test").mean("seed"), rtol=1e-12
    )


def test_loss_alone_has_one_panel(study):
    drawn = training_curves(without(study, "accuracy"))
    assert len(drawn.axes) == 1
    with pytest.raises(NotMeasured, match="loss and accuracy"):
        training_curves(without(study, "accuracy", "loss"))


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="neural_collapse.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_neural_collapse_looks_as_it_did(cube_of):
    cube = cube_of()
    nc1 = cube["collapse"].dataset["nc1"]
    distances = dict.fromkeys(("nc2_equinorm", "nc2_equiangle", "nc3_duality"), nc1 / (1 + nc1))
    shares = {"nc4_mismatch": (nc1 / (10 + nc1)).assign_attrs(value_bounds=["0.0", "1.0"])}
    cube["collapse"] = cube["collapse"].dataset.assign(distances | shares)
    return neural_collapse(cube)
