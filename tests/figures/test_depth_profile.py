"""The figure holds the cube's numbers: a line an epoch, its interval over the seeds, what was measured and no more."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from elastic.errors import NotMeasured
from elastic.figures.contract import line_styles, over_seeds
from elastic.figures.depth_profile import depth_profile


def caption_of(drawn):
    return drawn.get_supxlabel().replace("\n", " ")


def curves(axes):
    """Return the lines of data, without the one that marks locality 1."""
    return [line for line in axes.lines if len(line.get_xdata()) > 1 and not line.get_label().startswith("_")]


def test_each_line_is_the_geometric_mean_of_its_epoch(cube):
    drawn = depth_profile(cube)
    for axes, name in zip(drawn.axes, ("nc1", "locality"), strict=True):
        group = cube["collapse" if name == "nc1" else "elasticity"].dataset
        values = group[name].sel(split="train") if name == "nc1" else group[name]
        lines = curves(axes)
        assert [line.get_label() for line in lines] == ["0", "1", "4", "16", "64"]
        for line, epoch in zip(lines, values["epoch"].values, strict=True):
            np.testing.assert_allclose(line.get_ydata(), np.exp(np.log(values.sel(epoch=epoch)).mean("seed")))
        assert [label.get_text() for label in axes.get_xticklabels()] == ["input", "h1", "h2", "penult.", "logits"]
        assert axes.get_yscale() == "log"
    assert (
        caption_of(drawn) == "NC1 on training samples; geometric mean over 3 seeds, band: 95 % interval (t, of the log)"
    )
    assert drawn.axes[0].get_ylabel().startswith("NC1")


def test_each_band_is_the_interval_of_its_epoch(cube):
    values = cube["collapse"].dataset["nc1"].sel(split="test", epoch=[4, 64])
    drawn = depth_profile(cube, split="test", epochs=[4, -1])
    for band, epoch in zip(drawn.axes[0].collections, (4, 64), strict=True):
        estimates = over_seeds(values.sel(epoch=epoch), log=True)
        corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(9)}
        for side in ("lower", "upper"):
            assert set(enumerate(estimates[side].values.round(9))) <= corners


def test_later_epochs_are_darker(cube):
    colours = [to_hex(line.get_color()) for line in curves(depth_profile(cube).axes[0])]
    assert colours == [look["color"] for look in line_styles(5, ordered=True)]


def test_of_many_epochs_five_are_drawn(cube_of):
    drawn = depth_profile(cube_of(epochs=range(30)))
    assert [line.get_label() for line in curves(drawn.axes[0])] == ["0", "7", "14", "22", "29"]


def test_one_seed_has_no_band(cube_of):
    drawn = depth_profile(cube_of(seeds=1))
    assert [len(axes.collections) for axes in drawn.axes] == [0, 0]
    assert caption_of(drawn).endswith("one seed")


def test_epochs_and_layers_without_numbers_are_left_out(cube):
    collapse = cube["collapse"].dataset
    torn = collapse.where((collapse["epoch"] != 64) & (collapse["layer"] != "hidden_2"))
    cube["collapse"] = torn.assign(nc1=torn["nc1"].where((torn["epoch"] != 16) | (torn["seed"] == 0)))
    axes = depth_profile(cube).axes[0]
    assert [line.get_label() for line in curves(axes)] == ["0", "1", "4", "16"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["input", "h1", "penult.", "logits"]
    assert all(np.isfinite(line.get_ydata()).all() for line in curves(axes))
    assert len(axes.collections) == 3  # epoch 16 has one seed


def test_one_layer_and_no_elasticity_are_enough(cube_of):
    drawn = depth_profile(cube_of(layers=1, groups=("collapse",)))
    assert len(drawn.axes) == 1
    assert [len(line.get_xdata()) for line in drawn.axes[0].lines] == [1] * 5


def test_elasticity_alone_is_enough(cube_of):
    (axes,) = depth_profile(cube_of(groups=("elasticity",))).axes
    assert axes.get_ylabel() == "locality"


def test_a_bounded_metric_is_on_a_linear_axis_with_its_mean(cube):
    drawn = depth_profile(cube, metric="ncc_accuracy")
    wanted = cube["collapse"].dataset["ncc_accuracy"].sel(split="train", epoch=64).mean("seed")
    np.testing.assert_allclose(curves(drawn.axes[0])[-1].get_ydata(), wanted)
    assert [axes.get_yscale() for axes in drawn.axes] == ["linear", "log"]
    assert "geometric for positive quantities" in caption_of(drawn)


def test_the_setting_that_is_shown_is_told(swept):
    assert caption_of(depth_profile(swept)).endswith("at weight decay = 0 (first of 2)")
    chosen = depth_profile(swept, where={"weight_decay": 0.005})
    assert caption_of(chosen).endswith("at weight decay = 0.005")
    wanted = swept["collapse"].dataset["nc1"].sel(split="train", epoch=64, weight_decay=0.005)
    np.testing.assert_allclose(curves(chosen.axes[0])[-1].get_ydata(), np.exp(np.log(wanted).mean("seed")))


@pytest.mark.parametrize(
    ("groups", "options"),
    [
        (("training",), {}),
        (("collapse",), {"metric": "nc2_equinorm"}),
        (("collapse", "elasticity"), {"metric": "nc2_equinorm"}),
        (("collapse",), {"split": "validation"}),
        (("collapse",), {"epochs": [3]}),
    ],
)
def test_what_was_not_measured_is_told(cube_of, groups, options):
    with pytest.raises(NotMeasured):
        depth_profile(cube_of(groups=groups), **options)


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="depth_profile.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_depth_profile_looks_as_it_did(cube):
    return depth_profile(cube)
