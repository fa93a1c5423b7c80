"""Cells stand where the epochs do, colours are the metric, and the line is the onset that analysis finds."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import LogNorm

from elastic.analysis.onset import onset_epoch
from elastic.display.numbers import epochs_of_seeds
from elastic.errors import NotMeasured, OptionError
from elastic.figures.onset_map import onset_map

HIDDEN = ["hidden_1", "hidden_2", "penultimate"]


def caption_of(drawn):
    return drawn.get_supxlabel().replace("\n", " ")


def hidden(cube):
    return cube["collapse"].dataset["nc1"].sel(split="train", layer=HIDDEN)


def cells(drawn):
    return drawn.axes[0].collections[0]


def line_of(drawn, panel=0):
    """Return the onsets that are drawn, by position of the layer."""
    (bars,) = drawn.axes[panel].containers
    return bars.lines[0].get_xydata()[:, 0], bars.lines[2][0].get_segments()


def test_colours_are_the_geometric_mean(cube):
    drawn = onset_map(cube)
    mean = np.exp(np.log(hidden(cube)).mean("seed")).transpose("layer", "epoch")
    np.testing.assert_allclose(cells(drawn).get_array(), mean)
    assert isinstance(cells(drawn).norm, LogNorm)
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["h1", "h2", "penult."]


def test_each_epoch_lies_in_its_own_cell_and_cells_are_unequal(cube):
    edges = cells(onset_map(cube)).get_coordinates()[0, :, 0]
    assert all(low < epoch < high for low, epoch, high in zip(edges[:-1], (0, 1, 4, 16, 64), edges[1:], strict=True))
    assert edges[3] == pytest.approx(8)  # half way between 4 and 16 on a logarithmic axis
    assert edges[-1] == pytest.approx(128)


@pytest.mark.parametrize("level", [{"fraction": 0.5}, {"fraction": 0.9}, {"threshold": 1.0}])
def test_the_line_is_the_median_onset_and_its_range_over_the_seeds(cube, level):
    onsets = onset_epoch(hidden(cube), **level)
    middle, ranges = line_of(onset_map(cube, **level))
    second = np.sort(onsets.fillna(np.inf), axis=0)[1]  # of three seeds; never is later than all
    np.testing.assert_array_equal(np.nan_to_num(middle, nan=np.inf), second)
    for k, segment in enumerate(ranges):
        if np.isfinite(middle[k]):
            assert segment[:, 0] == pytest.approx([float(onsets[:, k].min()), float(onsets[:, k].max())])
    assert np.isfinite(middle).sum() >= 2


def test_a_layer_that_most_seeds_never_bring_down_has_no_point(cube):
    collapse = cube["collapse"].dataset
    stuck = (collapse["layer"] == "hidden_1") & (collapse["seed"] > 0)
    cube["collapse"] = collapse.assign(nc1=collapse["nc1"].where(~stuck, 1.0).assign_attrs(collapse["nc1"].attrs))
    middle, _ = line_of(onset_map(cube))
    assert np.isnan(middle).tolist() == [True, False, False]
    cube["collapse"] = collapse.assign(nc1=collapse["nc1"].clip(1.0, 1.0).assign_attrs(collapse["nc1"].attrs))
    assert onset_map(cube).axes[0].containers == []


def test_the_caption_tells_level_seeds_and_setting(swept, cube_of):
    text = caption_of(onset_map(swept, fraction=0.9))
    assert "has made, and keeps, 90 % of its fall on the log scale, median and range of 3 seeds" in text
    assert "first of" not in text  # both values have their panel
    assert caption_of(onset_map(swept, where={"weight_decay": 0.0})).endswith("at weight decay = 0")
    assert "stays at or below 0.3, one seed" in caption_of(onset_map(cube_of(seeds=1), threshold=0.3))


def test_epochs_and_layers_without_numbers_are_left_out(cube):
    collapse = cube["collapse"].dataset
    cube["collapse"] = collapse.where((collapse["epoch"] != 64) & (collapse["layer"] != "hidden_2"))
    assert cells(onset_map(cube)).get_array().shape == (2, 4)


def test_every_value_of_an_axis_has_its_panel_under_one_scale(swept):
    drawn = onset_map(swept)
    labels = swept["collapse"]["weight_decay"].values
    *panels, bar = drawn.axes
    assert [axes.get_title(loc="left") for axes in panels] == [f"weight decay = {label:g}" for label in labels]
    assert len({id(axes.collections[0].norm) for axes in panels}) == 1
    for k, label in enumerate(labels):
        one = onset_map(swept, where={"weight_decay": label})
        np.testing.assert_array_equal(line_of(drawn, k)[0], line_of(one)[0])
        np.testing.assert_allclose(panels[k].collections[0].get_array(), cells(one).get_array())
    assert bar.get_ylabel()


def test_of_many_values_some_are_drawn_and_the_caption_says_so(cube_of):
    drawn = onset_map(cube_of(axes={"lr": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "bias": [0, 1]}))
    assert [axes.get_title(loc="left") for axes in drawn.axes[:-1]] == [f"lr = {lr}" for lr in (0.1, 0.3, 0.4, 0.6)]
    assert caption_of(drawn).endswith("4 of 6 values; at bias = 0 (first of 2)")


def test_the_onsets_stand_beside_as_numbers(cube):
    collapse = cube["collapse"].dataset
    stuck = (collapse["layer"] == "hidden_1") & (collapse["seed"] > 0)
    cube["collapse"] = collapse.assign(nc1=collapse["nc1"].where(~stuck, 1.0).assign_attrs(collapse["nc1"].attrs))
    drawn = onset_map(cube)
    onsets = onset_epoch(hidden(cube), fraction=0.5)
    assert [text.get_text() for text in drawn.axes[0].texts] == [
        epochs_of_seeds(onsets.sel(layer=layer).values) for layer in HIDDEN
    ]
    assert drawn.axes[0].texts[0].get_text().startswith("never [")


def test_a_run_or_a_layer_that_is_not_there_has_not_failed_to_collapse(swept):
    collapse = swept["collapse"].dataset
    early = (collapse["weight_decay"] > 0) & (collapse["seed"] > 0)
    ragged = (collapse["weight_decay"] == 0) & (collapse["layer"] == "hidden_1")
    swept["collapse"] = collapse.assign(nc1=collapse["nc1"].where(~early & ~ragged))
    numbers = [[text.get_text() for text in axes.texts] for axes in onset_map(swept).axes[:-1]]
    assert numbers[0][0] == ""
    assert not any("never" in message or "[" in message for message in numbers[1])


@pytest.mark.parametrize("epochs", [(0,), (0, 1), (5,)])
def test_one_seed_one_layer_and_few_epochs_are_drawn(cube_of, epochs):
    drawn = onset_map(cube_of(seeds=1, layers=1, epochs=epochs, groups=("collapse",)))
    edges = cells(drawn).get_coordinates()[0, :, 0]
    assert len(edges) == len(epochs) + 1
    assert edges[0] < epochs[0] < edges[1]
    drawn.draw_without_rendering()


def test_what_was_not_measured_is_told(cube_of):
    with pytest.raises(NotMeasured):
        onset_map(cube_of(groups=("elasticity",)))
    with pytest.raises(NotMeasured):
        onset_map(cube_of(), layers=["hidden_9"])
    with pytest.raises(OptionError, match="fraction"):
        onset_map(cube_of(), fraction=1.5)


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="onset_map.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_onset_map_looks_as_it_did(swept):
    return onset_map(swept)
