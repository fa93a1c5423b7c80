"""The figure of the law of equi-separation shows the cube's numbers and the fit of `elastic.analysis`."""

from __future__ import annotations

import numpy as np
import pytest
from support.collapsing import cube_of, with_variable
from support.legibility import caption_of, unreadable

from elastic.analysis.depth import separation_law as fit_law
from elastic.analysis.intervals import interval
from elastic.analysis.reading import hidden_layers, read
from elastic.errors import NotMeasured
from elastic.figures.separation_law import separation_law
from elastic.figures.style import colour, ink


def points(axes):
    """Return the open and the filled points of a panel, [n, 2] each."""
    collected = {bars[0].get_markerfacecolor() == ink(): bars[0].get_xydata() for bars in axes.containers}
    return collected.get(False), collected[True]


def bars(axes):
    """Return lower and upper ends of the filled points' bars, [n, 2]."""
    (filled,) = [container for container in axes.containers if container[0].get_markerfacecolor() == ink()]
    return np.array([segment[:, 1] for segment in filled[2][0].get_segments() if len(segment)])


def line(axes):
    return next(drawn for drawn in axes.lines if drawn.get_color() == colour(5)).get_xydata()


def fuzziness(cube, epoch, **choice):
    return read(cube, "fuzziness", where={"epoch": epoch}, **choice)


@pytest.mark.parametrize(("panel", "epoch"), [(0, 0), (1, 16)])
def test_points_are_geometric_means_at_their_depths(panel, epoch):
    cube = cube_of()
    aside, fitted = points(separation_law(cube).axes[panel])
    means = np.exp(np.log(fuzziness(cube, epoch)).mean("seed"))
    np.testing.assert_allclose(fitted, np.column_stack([[1, 2, 3, 4], hidden_layers(means)]), rtol=1e-12)
    np.testing.assert_allclose(aside, [[0, means.sel(layer="input").item()]], rtol=1e-12)


def test_bars_are_the_intervals_over_the_seeds_of_the_logs():
    cube = cube_of()
    wanted = interval(np.log(hidden_layers(fuzziness(cube, 16))))
    result = np.log(bars(separation_law(cube).axes[1]))
    np.testing.assert_allclose(result, np.column_stack([wanted["lower"], wanted["upper"]]), rtol=1e-12)


def test_the_line_is_the_mean_of_the_fits_to_the_seeds():
    cube = with_variable(cube_of(), "fuzziness", lambda D: D * np.exp(0.3 * np.sin(7 * D)))
    fit = fit_law(hidden_layers(fuzziness(cube, 16)))
    drawn = line(separation_law(cube).axes[1])
    wanted = fit["intercept"].mean().item() + fit["slope"].mean().item() * drawn[:, 0]
    np.testing.assert_allclose(np.log(drawn[:, 1]), wanted, rtol=1e-12)


def test_a_law_that_holds_is_told_as_it_is():
    drawn = separation_law(cube_of())
    assert drawn.axes[1].get_title().split("\n") == [
        "epoch 16",
        "ρ = 0.607 [0.536, 0.687]",  # slopes −0.45, −0.5, −0.55: e^−0.5, and e^(−0.5 ± 4.303 · 0.05/√3)
        "r = −1.00 [−1.00, −1.00]",
    ]
    np.testing.assert_allclose(line(drawn.axes[1]), points(drawn.axes[1])[1], rtol=1e-9)
    assert "ρ = 1.00" in drawn.axes[0].get_title()


def test_ratio_and_correlation_are_those_of_the_fits():
    cube = with_variable(cube_of(seeds=5), "fuzziness", lambda D: D * np.exp(0.3 * np.sin(7 * D)))
    fit = fit_law(hidden_layers(fuzziness(cube, 16)))
    ratio, z = (
        np.exp(interval(fit["slope"]).drop_vars("count")),
        np.tanh(interval(np.arctanh(fit["r"])).drop_vars("count")),
    )
    title = separation_law(cube).axes[1].get_title().replace("−", "-")
    for name, result in (("ρ", ratio), ("r", z)):
        assert f"{name} = {result.estimate:.3f} [{result.lower:.3f}, {result.upper:.3f}]" in title


def test_epochs_layers_split_and_setting_are_taken_as_asked():
    cube = cube_of(axes={"lr": [0.1, 0.2]})
    asked = {"split": "test", "where": {"lr": 0.2}}
    drawn = separation_law(cube, epochs=[4], layers=["input", "hidden_2", "logits"], **asked)
    (axes,) = drawn.axes
    aside, fitted = points(axes)
    means = np.exp(np.log(read(cube, "fuzziness", split="test", where={"lr": 0.2, "epoch": 4})).mean("seed"))
    np.testing.assert_allclose(fitted, np.column_stack([[0, 2, 5], means.isel(layer=[0, 2, 5])]), rtol=1e-12)
    np.testing.assert_allclose(aside, np.column_stack([[1, 3, 4], means.isel(layer=[1, 3, 4])]), rtol=1e-12)
    text = caption_of(drawn)
    assert "on test samples" in text
    assert "open, not fitted: hidden_1, hidden_3, penultimate" in text
    assert "at lr = 0.2" in text
    assert "lr = 0.1 (first of 2)" in caption_of(separation_law(cube))


def test_one_seed_has_neither_bars_nor_intervals():
    drawn = separation_law(cube_of(seeds=1))
    assert drawn.axes[1].get_title().split("\n")[1:] == ["ρ = 0.607", "r = −1.00"]
    assert len(bars(drawn.axes[1])) == 0
    assert "one seed" in caption_of(drawn)
    assert unreadable(drawn) == []


def test_a_seed_without_a_value_is_left_out():
    cube, fewer = (
        cube_of(),
        cube_of().map_over_datasets(lambda one: one.isel(seed=[0, 2]) if "seed" in one.dims else one),
    )
    broken = with_variable(cube, "fuzziness", lambda D: D.where(D["seed"] != 1))
    for one, other in zip(separation_law(broken).axes, separation_law(fewer).axes, strict=True):
        assert one.get_title() == other.get_title()
        np.testing.assert_allclose(points(one)[1], points(other)[1])


@pytest.mark.parametrize("hidden", [1, 2])
def test_through_fewer_than_three_layers_no_line_is_laid(hidden):
    drawn = separation_law(cube_of(hidden=hidden))
    assert drawn.axes[1].get_title() == "epoch 16\nno line: fewer than three layers"
    assert len(points(drawn.axes[1])[1]) == hidden
    assert unreadable(drawn) == []


def test_what_is_not_measured_is_told():
    cube = cube_of()
    with pytest.raises(NotMeasured, match="`fuzziness` should be a variable of the cube"):
        separation_law(with_variable(cube, "fuzziness", None))
    with pytest.raises(NotMeasured, match="have a finite value"):
        separation_law(with_variable(cube, "fuzziness", lambda D: D * np.nan))
    with pytest.raises(NotMeasured, match="'hidden_9'"):
        separation_law(cube, layers=["hidden_9"])
    with pytest.raises(NotMeasured, match="`epoch` should be one that the cube has"):
        separation_law(cube, epochs=[3])


def test_eighteen_layers_can_be_read():
    assert unreadable(separation_law(cube_of(hidden=18), epochs=[0, 4, -1])) == []


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="separation_law.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_separation_law_looks_as_it_did():
    return separation_law(cube_of())
