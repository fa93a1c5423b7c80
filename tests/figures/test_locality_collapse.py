"""The figure of locality against collapse shows the cube's paths and the rank correlations of `elastic.analysis`."""

from __future__ import annotations

import numpy as np
import pytest
from support.collapsing import cube_of, with_variable
from support.legibility import caption_of, unreadable

from elastic.analysis.intervals import interval
from elastic.analysis.locality import tracking
from elastic.analysis.reading import hidden_layers, read
from elastic.errors import NotMeasured
from elastic.figures.locality_collapse import locality_collapse
from elastic.figures.style import ink

HIDDEN = ["hidden_1", "hidden_2", "hidden_3", "penultimate"]


def paths(figure):
    """Return the paths through training, [layer][epoch, 2]."""
    return [line.get_xydata() for line in figure.axes[0].lines if line.get_linewidth() == 1.2]


def logs(cube, name, **choice):
    return np.log(read(cube, name, **choice).sel(layer=HIDDEN))


def correlations(cube, over):
    return tracking(hidden_layers(read(cube, "locality")), hidden_layers(read(cube, "nc1")), over=over)


def test_paths_are_geometric_means_layer_by_layer():
    cube = cube_of()
    nc1, locality = (np.exp(logs(cube, name).mean("seed")) for name in ("nc1", "locality"))
    for path, layer in zip(paths(locality_collapse(cube)), HIDDEN, strict=True):
        np.testing.assert_allclose(path, np.column_stack([nc1.sel(layer=layer), locality.sel(layer=layer)]), rtol=1e-12)


def test_a_path_begins_at_an_open_marker_and_ends_at_a_filled_one():
    drawn = locality_collapse(cube_of())
    marked = [
        line for line in drawn.axes[0].lines if line.get_marker() not in ("None", "") and len(line.get_xdata()) == 1
    ]
    opened = [line.get_xydata()[0] for line in marked if line.get_markerfacecolor() == ink(0)]
    ends = [container[0].get_xydata()[0] for container in drawn.axes[0].containers]
    np.testing.assert_array_equal(opened, [path[0] for path in paths(drawn)])
    np.testing.assert_array_equal(ends, [path[-1] for path in paths(drawn)])
    assert "open: epoch 0, filled: epoch 16" in caption_of(drawn)


def test_ends_have_the_intervals_of_both():
    cube = with_variable(cube_of(), "locality", lambda values: values * (1 + 0.1 * values["seed"]))
    bars = [container[2] for container in locality_collapse(cube).axes[0].containers]
    for direction, name in enumerate(("nc1", "locality")):
        wanted = interval(logs(cube, name, where={"epoch": 16}))
        result = np.array([ends[direction].get_segments()[0][:, direction] for ends in bars])
        np.testing.assert_allclose(np.log(result), np.column_stack([wanted["lower"], wanted["upper"]]), rtol=1e-9)


def test_correlations_of_layers_over_epochs():
    cube = with_variable(
        cube_of(), "locality", lambda values: values * np.exp(np.sin(40 * values * (1 + values["seed"])))
    )
    axes, wanted = locality_collapse(cube).axes[1], interval(correlations(cube, "epoch"))
    (points,) = axes.containers
    np.testing.assert_allclose(points[0].get_xydata()[:, 1], wanted["estimate"], rtol=1e-12)
    ends = np.array([segment[:, 1] for segment in points[2][0].get_segments()])
    np.testing.assert_allclose(
        ends, np.column_stack([wanted["lower"].clip(-1), wanted["upper"].clip(max=1)]), atol=1e-12
    )
    assert ends.min() == -1  # the interval itself goes beyond
    assert [label.get_text() for label in axes.get_xticklabels()] == ["h1", "h2", "h3", "penult."]


def test_correlations_of_epochs_over_layers():
    cube = cube_of()
    line = max(locality_collapse(cube).axes[2].lines, key=lambda line: len(line.get_xdata()))
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 4, 16])
    result = correlations(cube, "layer").mean("seed")
    np.testing.assert_allclose(line.get_ydata(), result, rtol=1e-12)
    assert np.isnan(result.values[0])  # before training all hidden layers have the same nc1
    # locality 3 − p of the first hidden layer is above that of the second until p > 0.66: ranks 3 1 2 4 against
    # 4 3 2 1 of nc1 at epoch 1 (p = 0.24), where only the deepest is more local; in order from epoch 16 on.
    assert result.values[3] == pytest.approx(-1)
    assert -1 < result.values[1] < 1


def test_layers_epochs_and_classes_can_be_many():
    drawn = locality_collapse(cube_of(hidden=18))
    assert len(paths(drawn)) == 7
    assert "paths of 7 of 18 layers" in caption_of(drawn)
    assert len(drawn.axes[1].containers[0][0].get_xdata()) == 18
    assert unreadable(drawn) == []


def test_layers_metric_split_and_setting_are_taken_as_asked():
    cube = cube_of(axes={"lr": [0.1, 0.2]})
    drawn = locality_collapse(cube, metric="fuzziness", split="test", layers=["logits", "hidden_2"], where={"lr": 0.2})
    chosen = read(cube, "fuzziness", split="test", where={"lr": 0.2}).sel(layer=["logits", "hidden_2"])
    collected = [path[:, 0] for path in paths(drawn)]
    np.testing.assert_allclose(collected, np.exp(np.log(chosen).mean("seed")).transpose("layer", "epoch"), rtol=1e-12)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["logits", "h2"]
    assert drawn.axes[0].get_xlabel().startswith("fuzziness")
    assert "at lr = 0.2" in caption_of(drawn)
    assert "lr = 0.1 (first of 2)" in caption_of(locality_collapse(cube))


def test_one_seed_is_drawn_without_intervals():
    drawn = locality_collapse(cube_of(seeds=1))
    assert "one seed" in caption_of(drawn)
    assert [len(segment) for end in drawn.axes[0].containers for bar in end[2] for segment in bar.get_segments()] == [
        0
    ] * 8
    assert unreadable(drawn) == []


def test_one_layer_has_no_correlation_over_layers():
    drawn = locality_collapse(cube_of(hidden=1))
    assert [text.get_text() for text in drawn.axes[2].texts] == ["c", "undefined: too few layers"]
    assert [text.get_text() for text in drawn.axes[1].texts] == ["b"]
    assert unreadable(drawn) == []


def test_what_is_measured_at_some_epochs_only_is_drawn_at_these():
    cube = with_variable(cube_of(), "locality", lambda values: values.where(values["epoch"] != 16))
    drawn = locality_collapse(cube)
    assert {len(path) for path in paths(drawn)} == {3}
    assert "filled: epoch 4" in caption_of(drawn)


def test_a_run_that_diverged_is_left_out():
    cube = with_variable(cube_of(), "nc1", lambda values: values.where((values["seed"] != 1) | (values["epoch"] < 4)))
    nc1 = np.exp(logs(cube, "nc1").mean("seed"))
    np.testing.assert_allclose([path[:, 0] for path in paths(locality_collapse(cube))], nc1.T, rtol=1e-12)


def test_what_is_not_measured_is_told():
    cube = cube_of()
    with pytest.raises(NotMeasured, match="`locality` should be a variable of the cube"):
        locality_collapse(with_variable(cube, "locality", None))
    with pytest.raises(NotMeasured, match="`nc1` should be a variable of the cube"):
        locality_collapse(with_variable(cube, "nc1", None))
    apart = with_variable(cube, "nc1", lambda values: values.where(values["epoch"] == 0))
    apart = with_variable(apart, "locality", lambda values: values.where(values["epoch"] > 0))
    with pytest.raises(NotMeasured, match="nc1 and locality share"):
        locality_collapse(apart)


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="locality_collapse.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_locality_collapse_looks_as_it_did():
    return locality_collapse(cube_of())
