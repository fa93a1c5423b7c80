"""What figures share: their style, what they say of seeds and settings, and that all of it can be read."""

from __future__ import annotations

import functools
import itertools

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from elastic.analysis.intervals import interval
from elastic.display.average import average
from elastic.docstrings import parameter_descriptions
from elastic.errors import NotMeasured, OptionError
from elastic.figures import contract
from elastic.figures.contract import (
    STYLE,
    canvas,
    draw_line,
    first_setting,
    interval_words,
    line_styles,
    log_ticks,
    measured,
    over_seeds,
)
from elastic.registry import Registry, registry

MINE = ("axis_comparison", "depth_profile", "onset_map", "response_matrices", "training_course")


def values(*rows, **attrs):
    return xr.DataArray(np.array(rows), dims=("seed", "layer"), name="nc1", attrs=attrs)


@pytest.fixture
def enter(monkeypatch):
    """Return the decorator, over a registry of its own."""
    own = Registry("figures", package=None)
    monkeypatch.setattr(contract, "registry", lambda kind: own)
    return own


def test_a_figure_is_drawn_in_the_style_and_leaves_no_trace(enter):
    seen = {}

    @contract.figure()
    def example(cube: xr.DataTree, *, size: int = 3) -> Figure:
        """Draw."""
        seen.update(matplotlib.rcParams, size=size)
        return canvas()

    with matplotlib.rc_context({"font.size": 31, "lines.linewidth": 7, "axes.facecolor": "red"}):
        example(xr.DataTree(), size=5)
        assert matplotlib.rcParams["font.size"] == 31
    assert {key: seen[key] for key in STYLE} == STYLE
    assert seen["axes.facecolor"] == "#ffffff"
    assert seen["size"] == 5
    shared = {"width": None, "caption": None, "ax": None, "theme": "light"}
    assert enter.get("example").complete({}) == {"size": 3, **shared}
    assert enter.get("example").summary == "Draw."
    assert set(parameter_descriptions(enter.get("example").docstring)) == set(shared)  # though it documents none


def test_the_options_of_every_figure_are_described_after_its_own(enter):
    @contract.figure()
    def example(cube: xr.DataTree, *, size: int = 3) -> Figure:
        """Draw.

        Parameters
        ----------
        size
            Of the dots.

        Raises
        ------
        NotMeasured
            If there is none.
        """
        return canvas()

    text = enter.get("example").docstring
    assert list(parameter_descriptions(text)) == ["size", "width", "caption", "ax", "theme"]
    assert text.endswith("dark page.\n\nRaises\n------\nNotMeasured\n    If there is none.")


def saved(drawn, path):
    drawn.savefig(path, dpi=50)
    return path.read_bytes()


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_the_same_cube_gives_the_same_bytes_whatever_the_reader_has_set(cube, tmp_path, ending):
    depth_profile = registry("figures").get("depth_profile").function
    plain = saved(depth_profile(cube), tmp_path / f"plain.{ending}")
    with matplotlib.rc_context(
        {"font.size": 31, "pdf.fonttype": 3, "svg.fonttype": "none", "savefig.facecolor": "red"}
    ):
        assert saved(depth_profile(cube), tmp_path / f"set.{ending}") == plain
    assert not any(mark in plain for mark in (b"CreationDate", b"<dc:date>", b"/Type3"))


def test_the_notebook_is_given_a_picture(cube):
    drawn = registry("figures").get("training_course").function(cube)
    assert drawn._repr_png_().startswith(b"\x89PNG")


def test_over_seeds_is_the_t_interval():
    rows = values([1.0, 2.0], [2.0, 5.0], [6.0, 8.0])
    xr.testing.assert_identical(over_seeds(rows), interval(rows))


def test_averages_are_computed_once_and_a_reader_who_changes_them_changes_no_others():
    rows = values([1.0, 2.0], [2.0, 5.0], [6.0, 8.0])
    first = over_seeds(rows)
    first["estimate"][:] = 0
    again = over_seeds(rows.assign_coords(seed=[7, 8, 9]))
    xr.testing.assert_identical(again, interval(rows))
    assert over_seeds(rows, log=True).estimate.values.tolist() != again.estimate.values.tolist()


def test_over_seeds_on_a_log_axis_is_the_interval_of_the_logs():
    rows = values([1.0, 2.0], [2.0, 5.0], [6.0, 8.0])
    estimates, wanted = over_seeds(rows, log=True), interval(xr.apply_ufunc(np.log, rows))
    for name in ("estimate", "lower", "upper"):
        np.testing.assert_allclose(np.log(estimates[name]), wanted[name], rtol=1e-12)
    np.testing.assert_allclose(estimates["estimate"], [12 ** (1 / 3), 80 ** (1 / 3)])
    assert bool((estimates["lower"] > 0).all())


def test_a_zero_makes_the_geometric_mean_zero_and_what_is_missing_is_left_out_and_counted():
    estimates = over_seeds(values([0.0, 2.0], [3.0, 2.0], [3.0, np.nan]), log=True)
    assert estimates["count"].values.tolist() == [3, 2]
    np.testing.assert_allclose(estimates["estimate"], [0.0, 2.0])
    assert estimates["lower"].isnull().values.tolist() == [True, False]


def test_an_interval_of_shares_stays_among_the_shares():
    estimates = average(values([0.9], [1.0], [1.0], value_bounds=["0.0", "1.0"]))
    assert estimates["lower"].item() < 0.9 < estimates["estimate"].item() < estimates["upper"].item() == 1


def test_the_band_is_the_interval():
    axes, estimates = canvas().subplots(), over_seeds(values([1.0, 2.0], [2.0, 5.0], [6.0, 8.0]), log=True)
    draw_line(axes, [0, 1], estimates, color="black")
    (band,) = axes.collections
    corners = {tuple(np.round(corner, 9)) for corner in band.get_paths()[0].vertices}
    assert {(x, round(float(estimates[side][x]), 9)) for x in (0, 1) for side in ("lower", "upper")} <= corners
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), estimates["estimate"])


def test_one_seed_has_no_band_and_the_caption_says_so():
    axes, estimates = canvas().subplots(), over_seeds(values([1.0, 2.0]), log=True)
    draw_line(axes, [0, 1], estimates)
    assert (len(axes.lines), len(axes.collections)) == (1, 0)
    assert interval_words(estimates, log=True) == "one seed"


def test_the_caption_counts_the_seeds_that_are_there():
    few = over_seeds(values([1.0, np.nan], [2.0, 5.0], [6.0, 8.0]))
    assert interval_words(few) == "mean over 2 to 3 seeds, band: 95 % interval (t)"
    assert "geometric mean" in interval_words(few, log=True)
    assert "geometric for positive quantities" in interval_words(few, log=None)


def test_settings_left_open_and_settings_asked_for_are_told(swept):
    nc1 = swept["collapse"].dataset["nc1"]
    first, words = first_setting(nc1)
    assert words == "at weight decay = 0 (first of 2)"
    xr.testing.assert_equal(first, nc1.sel(weight_decay=0.0))
    assert first_setting(nc1.sel(weight_decay=0.005))[1] == "at weight decay = 0.005"
    assert first_setting(nc1, keep=["weight_decay"])[1] == ""
    assert first_setting(nc1.sel(split="train").isel(weight_decay=0, drop=True))[1] == ""


def test_only_what_was_measured_is_kept():
    ragged = values([1.0, np.nan, 2.0], [np.nan, np.inf, 3.0], value_bounds=["0.0", "inf"]).assign_coords(
        layer=list("abc")
    )
    kept = measured(ragged, "layer")
    assert kept["layer"].values.tolist() == ["a", "c"]
    assert kept.attrs == ragged.attrs
    with pytest.raises(NotMeasured, match="`nc1` should have a finite value; found none"):
        measured(ragged * np.nan, "layer")


def lightness(colour):
    return float(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("count", range(1, 8))
def test_ordered_lines_darken_and_differ_in_grey(count):
    looks = line_styles(count, ordered=True)
    grey = [lightness(look["color"]) for look in looks]
    assert all(light - dark > 0.03 for light, dark in itertools.pairwise(grey))
    assert len({look["marker"] for look in looks}) == count


def test_lines_without_an_order_differ_without_colour():
    looks = line_styles(7)
    assert len({look["color"] for look in looks}) == len({look["marker"] for look in looks}) == 7
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == 7
    assert all(abs(lightness(a["color"]) - lightness(b["color"])) > 0.1 for a, b in itertools.pairwise(looks))


@pytest.mark.parametrize("span", [1.3, 4, 30, 1e3, 1e6, 1e12])
def test_log_axes_have_numbers_in_every_range(span):
    axes = canvas().subplots()
    axes.plot([0, 1], [0.07, 0.07 * span])
    log_ticks(axes)
    axes.get_figure().draw_without_rendering()
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert 2 <= len(ticks) <= 9


CROWDED = {
    "names of classes": lambda cube_of: cube_of(layers=8, classes=-10),
    "words on the axis": lambda cube_of: cube_of(axes={"loss": ["cross_entropy", "mean_squared_error"]}),
    "many of all": lambda cube_of: cube_of(2, layers=18, axes={"lr": [0.0001 * 4**k for k in range(9)]}),
    "many classes": lambda cube_of: cube_of(2, layers=18, classes=100),
    "long names of layers": lambda cube_of: cube_of(layers=18).map_over_datasets(
        lambda one: (
            one.assign_coords(layer=[f"encoder.{k}.attention" for k in range(18)]) if "layer" in one.dims else one
        )
    ),
}


@pytest.fixture(scope="module")
def crowded(cube_of):
    """Return a function from a name of `CROWDED` to its cube, which is made once."""
    return functools.cache(lambda crowd: CROWDED[crowd](cube_of))


def crowds_of(name):
    """Return the crowds that a figure shows: classes are named in one, and one compares an axis."""
    if name == "response_matrices":
        return set(CROWDED) - {"many of all"}
    axes = {"words on the axis", "many of all"}
    return axes if name == "axis_comparison" else {*axes, "long names of layers"}


@pytest.mark.parametrize(("name", "crowd"), [(name, crowd) for name in MINE for crowd in sorted(crowds_of(name))])
def test_no_word_is_small_cut_off_or_printed_over_another(crowded, name, crowd):
    drawn = registry("figures").get(name).function(crowded(crowd))
    drawn.draw_without_rendering()
    words = {text for text in drawn.findobj(Text) if text.get_text().strip() and text.get_visible()}
    for axis in (axis for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        words -= {*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)} - set(ticks)
        upright = [label for label in ticks if label in words and label.get_rotation() in (0, 90)]
        for one, other in itertools.pairwise(upright):
            # A line's box is higher than its letters: half a point of the boxes may overlap.
            both = Bbox.intersection(one.get_window_extent(), other.get_window_extent())
            assert both is None or min(both.width, both.height) < 0.15 * one.get_fontsize(), (one, other)
    assert {word.get_text() for word in words if word.get_fontsize() < 9} == set()
    frame = drawn.bbox.padded(1)
    corners = {word.get_text(): word.get_window_extent() for word in words}
    assert [text for text, box in corners.items() if Bbox.union([frame, box]).bounds != frame.bounds] == []


@pytest.mark.parametrize("where", [{"layer": "penultimate"}, {"epoch": 0}, {"seed": 0}])
@pytest.mark.parametrize("name", ["depth_profile", "response_matrices", "training_course", "onset_map"])
def test_where_is_for_the_axes_of_a_study_and_anything_else_is_told(cube, name, where):
    with pytest.raises(OptionError, match=r"where\..*axis of the study"):
        registry("figures").get(name).function(cube, where=where)
