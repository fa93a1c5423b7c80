"""Where a figure is drawn: pages of any width, axes and subfigures of a user, with and without caption, in themes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from support import altered
from support.legibility import unreadable

from elastic.errors import NotMeasured, OptionError, ProtocolError, UnknownName
from elastic.figures.direct_labels import spread
from elastic.figures.drawing import draw, options_of
from elastic.figures.neural_collapse import neural_collapse
from elastic.figures.style import THEMES, PaperFigure
from elastic.registry import registry

NAMES = registry("figures").names()


@pytest.fixture(scope="module")
def study(finished_study):
    return finished_study.cube.load()


def swept(cube):
    change = altered.swept("weight_decay", [0.0, 0.005])
    return xr.DataTree.from_dict({f"/{name}": change(node.to_dataset()) for name, node in cube.children.items()})


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn_of(name, cube, **options):
    cube = swept(cube) if name == "axis_comparison" else cube
    try:
        return registry("figures").get(name).function(cube, **options)
    except NotMeasured:
        pytest.skip(f"the cube holds nothing that {name} shows")


def drawn_numbers(axes):
    return [line.get_ydata() for line in axes.lines if not str(line.get_label()).startswith("_")]


def test_a_file_is_drawn_once_and_is_the_picture_that_matplotlib_draws(study, tmp_path, monkeypatch):
    """Matplotlib lays a figure out while it draws it without ink: two drawings a file, for the same bytes."""
    drawn, plain = (drawn_of("training_curves", study) for _ in range(2))
    strokes = []
    stroke = Axes.draw
    monkeypatch.setattr(Axes, "draw", lambda axes, renderer: (strokes.append(axes), stroke(axes, renderer)))
    drawn.savefig(tmp_path / "once.svg")
    assert len(strokes) == len(drawn.axes)
    monkeypatch.setattr(PaperFigure, "draw", Figure.draw)
    plain.savefig(tmp_path / "twice.svg")
    assert (tmp_path / "once.svg").read_bytes() == (tmp_path / "twice.svg").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_dark_figure_of_a_column_has_its_width_and_all_can_be_read(study, name):
    drawn = drawn_of(name, study, theme="dark", width=3.3)
    assert drawn.get_figwidth() == 3.3
    assert unreadable(drawn) == []
    assert "seeds" in drawn.get_supxlabel()
    assert to_rgb(drawn.get_facecolor()) == to_rgb(THEMES["dark"].paper)
    words = {word.get_color() for word in drawn.findobj(Text) if word.get_text().strip() and word.get_visible()}
    lines = {line.get_color() for axes in drawn.axes for line in axes.lines if line.get_linewidth() > 1}
    dim = {colour for colour in words | lines if contrast(colour, THEMES["dark"].paper) < 2.5}
    assert dim & words == set()
    assert dim <= {"black"}  # the dashes on a colour bar, which has its own light edge


@pytest.mark.parametrize("name", ["training_curves", "onset_map", "separation_law", "theory_spectrum"])
def test_a_narrow_figure_can_be_read(study, name):
    assert unreadable(drawn_of(name, study, width=2.5)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_words_of_a_caption_are_known_where_it_is_not_drawn(study, name):
    drawn = drawn_of(name, study, caption=False)
    assert drawn.get_supxlabel() == ""
    assert "seeds" in drawn.caption_text


def contrast(colour, paper):
    """Return the contrast ratio of WCAG."""

    def luminance(one):
        channels = np.array(to_rgb(one))
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(colour), luminance(paper)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_the_colours_of_a_theme_stand_out_from_its_paper(theme):
    assert min(contrast(colour, THEMES[theme].paper) for colour in THEMES[theme].colours) > 2


ONE = {
    "training_course": {},
    "onset_map": {},
    "depth_profile": {"metric": "locality"},
    "separation_law": {"epochs": [-1]},
    "response_matrices": {"epochs": [-1], "layers": ["penultimate"]},
}


@pytest.mark.parametrize("name", ONE)
def test_a_figure_of_one_panel_is_drawn_in_axes_of_the_users(study, name):
    figure, ax = plt.subplots()
    whole = drawn_of(name, study, **ONE[name])
    assert drawn_of(name, study, ax=ax, **ONE[name]) is ax
    for result, wanted in zip(drawn_numbers(ax), drawn_numbers(whole.axes[0]), strict=True):
        np.testing.assert_array_equal(result, wanted)
    assert ax.lines or ax.images or ax.collections
    assert not figure.texts
    assert len(plt.get_fignums()) == 1


def test_a_figure_of_several_panels_takes_as_many_axes_or_a_subfigure(study):
    figure = plt.figure(layout="constrained", figsize=(9, 5))
    left, right = figure.subfigures(1, 2)
    assert neural_collapse(study, ax=left) is left
    assert len(left.axes) == 6
    assert left.get_supxlabel() == ""
    neural_collapse(study, ax=right, caption=True)
    assert "seeds" in right.get_supxlabel()
    axes = plt.figure().subplots(2, 3)
    neural_collapse(study, ax=axes)
    assert all(one.lines for one in axes.flat)


@pytest.mark.parametrize("ax", [lambda: plt.figure().subplots(), lambda: plt.figure().subplots(1, 2), lambda: "axes"])
def test_axes_that_do_not_fit_are_told_with_what_does(study, ax):
    with pytest.raises(OptionError, match=r"`ax` should be .*(6 Axes|Axes, a list of Axes).*try"):
        neural_collapse(study, ax=ax())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrik": "nc1"}, r"`metrik` should be an option of 'training_course'.*try 'metric'"),
        ({"width": 0.5}, r"`width` should be from 2 to 24 inches; found 0.5"),
        ({"theme": "drak"}, r"`theme` should be light or dark; found 'drak'; try 'dark'"),
    ],
)
def test_an_option_that_does_not_exist_is_told_with_the_nearest(study, options, message):
    with pytest.raises(OptionError, match=message):
        registry("figures").get("training_course").function(study, **options)


def test_help_tells_of_the_options_that_every_figure_has():
    entry = registry("figures").get("training_course")
    assert {"metric", "width", "caption", "ax", "theme"} <= set(entry.options.model_fields)
    before, raises = entry.function.__doc__.split("Raises")
    assert "Width in inches" in before
    assert "NotMeasured" in raises


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["metrik=nc1"], "`metrik` should be an option of 'training_course'.*try 'metric'"),
        (["layers=hidden_1"], r"`layers` should be a list; found 'hidden_1'; try \[hidden_1\]"),
        (["split=3"], "`split` should be a valid string; found 3"),
        (["metric"], "--set metric.*should be path=value"),
        (["where.lr=0.1", "where=3"], "`where` should be"),
    ],
)
def test_settings_are_checked_before_a_figure_is_drawn(finished_study, tmp_path, settings, message):
    with pytest.raises((OptionError, ProtocolError), match=message):
        list(draw(finished_study, ["training_course"], settings=settings, folder=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_settings_formats_width_and_caption_reach_the_files(finished_study, tmp_path):
    result = list(
        draw(
            finished_study,
            ["training_course"],
            settings=["metric=nc2_etf_error", "layers=[penultimate]"],
            formats=["pdf", "png"],
            folder=tmp_path / "new",
            width=3.3,
            caption=False,
        )
    )
    assert [path.name for path in result] == ["training_course.pdf", "training_course.png"]
    assert plt.imread(result[1]).shape[1] == 660
    with pytest.raises(OptionError, match="--figure"):
        list(draw(finished_study, settings=["metric=nc1"]))
    with pytest.raises(OptionError, match=r"`format` should be one of svg, pdf, png; found 'pgn'; try 'png'"):
        list(draw(finished_study, ["training_course"], formats=["pgn"]))
    with pytest.raises(UnknownName):
        list(draw(finished_study, ["training_curse"]))


def test_a_figure_of_a_page_of_its_own_refuses_axes(monkeypatch, study):
    from elastic.figures import contract
    from elastic.registry import Registry

    monkeypatch.setattr(contract, "registry", lambda kind: Registry("figures", package=None))
    own = contract.figure()(lambda cube, *, size=1.0: Figure())
    assert isinstance(own(study), Figure)
    for options in ({"ax": plt.figure().subplots()}, {"width": 3.0}):
        with pytest.raises(OptionError, match="page of its own"):
            own(study, **options)


def test_where_settings_nest():
    assert options_of([registry("figures").get("axis_comparison")], ["where.lr=0.1", "where.wd=0"]) == {
        "where": {"lr": 0.1, "wd": 0}
    }


@pytest.mark.parametrize(
    "heights", [[0.5] * 5, [0.9, 0.1, 0.12], [1.4, -0.3, 0.5, 0.5], [0.0], list(np.linspace(0, 1, 30))]
)
def test_names_at_the_ends_of_lines_keep_their_order_and_distance(heights):
    gap = 0.07
    places = np.array(spread(heights, gap))
    order = np.argsort(heights, kind="stable")
    assert (np.diff(places[order]) >= gap - 1e-9).all()
    assert places.min() >= 0
    if len(heights) * gap < 1:
        assert places.max() <= 1 + 1e-9
