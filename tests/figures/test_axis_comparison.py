"""A line for each value of an axis, at the last epoch that it has, with bars that are intervals over the seeds."""

from __future__ import annotations

import numpy as np
import pytest

from elastic.errors import NotMeasured, OptionError
from elastic.figures.axis_comparison import axis_comparison
from elastic.figures.contract import line_styles, over_seeds


def caption_of(drawn):
    return drawn.get_supxlabel().replace("\n", " ")


def compared(axes):
    """Return for each value of the axis: positions, estimates, and ends of the bars."""
    return {
        bars.get_label(): (
            *bars.lines[0].get_xydata().T,
            [ends[:, 1] for ends in bars.lines[2][0].get_segments() if len(ends)],
        )
        for bars in axes.containers
    }


def test_lines_and_bars_are_the_intervals_at_the_last_epoch(swept):
    drawn = axis_comparison(swept)
    for axes, (group, name) in zip(drawn.axes, (("collapse", "nc1"), ("elasticity", "locality")), strict=True):
        comparison = compared(axes)
        assert list(comparison) == ["0", "0.005"]
        values = swept[group].dataset[name].sel(epoch=64)
        values = values.sel(split="train") if name == "nc1" else values
        for label, (_, estimates, bars) in comparison.items():
            wanted = over_seeds(values.sel(weight_decay=float(label)), log=True)
            np.testing.assert_allclose(estimates, wanted["estimate"])
            np.testing.assert_allclose(bars, np.stack([wanted["lower"], wanted["upper"]], axis=1))
    assert "last probed epoch; geometric mean over 3 seeds, bar: 95 % interval" in caption_of(drawn)
    assert drawn.legends[0].get_title().get_text() == "weight decay"


def test_bars_stand_side_by_side_around_their_layer(swept):
    positions = np.array([x for x, *_ in compared(axis_comparison(swept).axes[0]).values()])
    np.testing.assert_allclose(positions.mean(0), np.arange(5))
    assert (np.diff(positions, axis=0) > 0).all()


def test_numbers_go_from_light_to_dark_and_words_do_not(cube_of):
    def colours(cube):
        return [bars.lines[0].get_color() for bars in axis_comparison(cube).axes[0].containers]

    numbers, words = {"lr": [0.1, 0.2, 0.4]}, {"loss": ["cross_entropy", "mse", "hinge"]}
    assert colours(cube_of(axes=numbers)) == [look["color"] for look in line_styles(3, ordered=True)]
    assert colours(cube_of(axes=words)) == [look["color"] for look in line_styles(3)]


def test_a_shorter_run_is_compared_at_its_own_end(swept):
    collapse = swept["collapse"].dataset
    short = (collapse["weight_decay"] == 0.005) & (collapse["epoch"] > 4)
    swept["collapse"] = collapse.where(~short)
    estimates = {label: y for label, (_, y, _) in compared(axis_comparison(swept).axes[0]).items()}
    wanted = collapse["nc1"].sel(split="train")
    for label, weight_decay, epoch in (("0", 0.0, 64), ("0.005", 0.005, 4)):
        mean = np.exp(np.log(wanted.sel(weight_decay=weight_decay, epoch=epoch)).mean("seed"))
        np.testing.assert_allclose(estimates[label], mean)


def test_layers_that_one_value_lacks_have_a_gap_there(swept):
    collapse = swept["collapse"].dataset
    ragged = (collapse["weight_decay"] == 0.005) & (collapse["layer"] == "hidden_2")
    swept["collapse"] = collapse.where(~ragged)
    comparison = compared(axis_comparison(swept).axes[0])
    assert np.isnan(comparison["0.005"][1]).tolist() == [False, False, True, False, False]
    assert np.isfinite(comparison["0"][1]).all()


def test_a_value_whose_runs_are_missing_leaves_the_others(swept):
    for group in ("collapse", "elasticity"):
        values = swept[group].dataset
        swept[group] = values.where(values["weight_decay"] == 0)
    drawn = axis_comparison(swept)
    assert [list(compared(axes)) for axes in drawn.axes] == [["0"], ["0"]]
    assert "1 of 2 values" in caption_of(drawn)


def test_the_axis_can_be_chosen_and_the_others_are_told(cube_of):
    cube = cube_of(axes={"lr": [0.1, 0.2], "width": [8, 16, 32]})
    assert list(compared(axis_comparison(cube).axes[0])) == ["0.1", "0.2"]
    drawn = axis_comparison(cube, axis="width", where={"lr": 0.2})
    assert list(compared(drawn.axes[0])) == ["8", "16", "32"]
    assert list(compared(axis_comparison(cube, where={"lr": 0.2}).axes[0])) == ["8", "16", "32"]
    assert caption_of(drawn).endswith("at lr = 0.2")


def test_of_many_values_six_are_drawn_and_that_is_told(cube_of):
    drawn = axis_comparison(cube_of(axes={"lr": [0.1 * k for k in range(1, 12)]}))
    assert len(drawn.axes[0].containers) == 6
    assert "6 of 11 values" in caption_of(drawn)


def test_one_seed_has_no_bars(cube_of):
    comparison = compared(axis_comparison(cube_of(seeds=1, axes={"lr": [0.1, 0.2]})).axes[0])
    assert all(low == high for _, _, bars in comparison.values() for low, high in bars)


def test_a_study_without_an_axis_has_nothing_to_compare(cube):
    with pytest.raises(NotMeasured, match="should be an axis of the study other than the seed; found seeds only"):
        axis_comparison(cube)


def test_an_unknown_axis_is_told_with_the_nearest(swept):
    with pytest.raises(OptionError, match="found 'weight_decai'; try 'weight_decay'"):
        axis_comparison(swept, axis="weight_decai")


def test_an_epoch_that_was_not_probed_is_told(swept):
    with pytest.raises(NotMeasured, match="`epoch`"):
        axis_comparison(swept, epoch=5)


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="axis_comparison.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_axis_comparison_looks_as_it_did(swept):
    return axis_comparison(swept)
