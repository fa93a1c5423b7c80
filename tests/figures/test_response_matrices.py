"""The matrices are the cube's, in one range of colours, and the classes at their edges are the right ones."""

from __future__ import annotations

import numpy as np
import pytest

from elastic.errors import NotMeasured
from elastic.figures.response_matrices import response_matrices


def geometric(values):
    """Return the mean over the seeds of what is positive."""
    return np.exp(np.log(values).mean("seed"))


def caption_of(drawn):
    return drawn.get_supxlabel().replace("\n", " ")


def matrices(drawn):
    """Return the axes that hold a matrix, in rows from the top."""
    return [axes for axes in drawn.axes if axes.images]


def test_each_matrix_is_the_mean_of_its_layer_and_epoch(cube):
    values = cube["elasticity"].dataset["relative_similarity"]
    drawn = response_matrices(cube)
    wanted = [(epoch, layer) for epoch in (0, 64) for layer in values["layer"].values]
    for axes, (epoch, layer) in zip(matrices(drawn), wanted, strict=True):
        mean = geometric(values.sel(epoch=epoch, layer=layer)).transpose("stepped_class", "observed_class")
        np.testing.assert_allclose(axes.images[0].get_array(), mean, rtol=1e-12)
    assert caption_of(drawn) == "geometric mean over 3 seeds"
    assert drawn.axes[0].get_ylabel() == "epoch 0\nstepped class"
    assert drawn.axes[5].get_ylabel() == "epoch 64\nstepped class"


def test_rows_are_stepped_and_columns_observed_classes(cube):
    elasticity = cube["elasticity"].dataset
    only = (elasticity["stepped_class"] == 0) & (elasticity["observed_class"] == 2)
    turned = elasticity.where(~only, 7.0).transpose(..., "observed_class", "stepped_class")
    cube["elasticity"] = turned
    shown = matrices(response_matrices(cube))[0].images[0].get_array()
    assert np.argwhere(np.isclose(shown, 7.0)).tolist() == [[0, 2]]


def test_all_matrices_share_one_range_from_zero(cube):
    ranges = {axes.images[0].get_clim() for axes in matrices(response_matrices(cube))}
    values = geometric(cube["elasticity"].dataset["relative_similarity"].sel(epoch=[0, 64]))
    assert ranges == {(0.0, float(values.max()))}


def test_a_signed_variable_has_colours_around_zero(cube):
    elasticity = cube["elasticity"].dataset
    cube["elasticity"] = elasticity.assign(
        kernel_similarity=(elasticity["relative_similarity"] - 0.5).assign_attrs(value_bounds=["-inf", "inf"])
    )
    low, high = matrices(response_matrices(cube, variable="kernel_similarity"))[0].images[0].get_clim()
    assert low == -high


def named(axis):
    return {int(tick): label.get_text() for tick, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)}


def test_classes_with_long_names_are_all_named(cube_of):
    drawn = response_matrices(cube_of(layers=8, classes=-10))
    assert named(matrices(drawn)[0].yaxis) == {k: f"class {k}" for k in range(10)}
    assert named(matrices(drawn)[-1].xaxis) == {k: f"class {k}" for k in range(10)}
    assert "3 of 8 layers" in caption_of(drawn)


def test_of_a_hundred_classes_some_are_named_at_their_places(cube_of):
    left = named(matrices(response_matrices(cube_of(layers=18, classes=100)))[0].yaxis)
    assert len(left) >= 4
    assert all(text == str(place) for place, text in left.items())


def test_epochs_and_layers_asked_for(cube):
    drawn = response_matrices(cube, epochs=[4], layers=["logits", "hidden_1"])
    assert [axes.get_title() for axes in matrices(drawn)] == ["logits", "h1"]
    assert matrices(drawn)[0].get_ylabel().startswith("epoch 4")


def test_epochs_and_layers_without_numbers_are_left_out(cube):
    elasticity = cube["elasticity"].dataset
    cube["elasticity"] = elasticity.where((elasticity["epoch"] != 64) & (elasticity["layer"] != "input"))
    drawn = response_matrices(cube)
    assert [axes.get_title() for axes in matrices(drawn)[:4]] == ["h1", "h2", "penult.", "logits"]
    assert matrices(drawn)[4].get_ylabel().startswith("epoch 16")


def test_one_seed_and_one_layer_are_drawn(cube_of):
    drawn = response_matrices(cube_of(seeds=1, layers=1))
    assert len(matrices(drawn)) == 2
    assert caption_of(drawn) == "one seed"


def test_what_was_not_measured_is_told(cube_of):
    with pytest.raises(NotMeasured, match="relative_similarity"):
        response_matrices(cube_of(groups=("collapse", "training")))
    with pytest.raises(NotMeasured, match="hidden_9"):
        response_matrices(cube_of(), layers=["hidden_9"])


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="response_matrices.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_response_matrices_look_as_they_did(cube):
    return response_matrices(cube)
