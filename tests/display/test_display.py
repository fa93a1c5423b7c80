"""What a study shows of itself: true numbers, whatever they are, and nothing of a stranger's text but its letters."""

from __future__ import annotations

import ast
import json
import shlex
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from support import altered

from elastic.display import conclusion, study_html
from elastic.display.average import average, average_words, is_positive, over_seeds
from elastic.display.headline import headline, wide
from elastic.display.numbers import in_digits, with_interval
from elastic.errors import StudyError
from elastic.study import Study
from elastic.summary import findings, next_steps

HIDDEN = ["hidden_1", "hidden_2", "penultimate"]
LAYERS = ["input", *HIDDEN, "logits"]
VOID = {"br", "meta", "hr"}


class Reader(HTMLParser):
    """Reads HTML as a browser does, and remembers its text, its tags and what is left open."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.rows, self.words = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join(self.words)


def simulated(fall=0.5, deeper=0.5, follows=1.0, seeds=4, spread=0.02, epochs=(0, 3, 10, 40)):
    """Return a cube where nc1 falls by a factor with training, is by another one smaller from layer to layer, and
    locality is a power of it."""
    random = np.random.default_rng(0)
    course = xr.DataArray(np.linspace(0, 1, len(epochs)), dims="epoch", coords={"epoch": list(epochs)})
    depth = xr.DataArray(np.arange(len(LAYERS)), dims="layer", coords={"layer": LAYERS})
    noise = random.normal(0, spread, (seeds, len(epochs), len(LAYERS)))
    seed = xr.DataArray(np.arange(seeds), dims="seed", coords={"seed": np.arange(seeds)})
    log_nc1 = course * (np.log(fall) + depth * np.log(deeper)) + xr.DataArray(noise, dims=("seed", "epoch", "layer"))
    nc1 = np.exp(log_nc1).assign_coords(seed=seed, depth=depth.astype(float)).transpose("seed", "epoch", "layer")
    blind = np.exp(xr.DataArray(random.normal(0, 1, nc1.shape), dims=nc1.dims))
    locality = (nc1**-follows if follows else blind).isel(layer=slice(1, None)).assign_coords(seed=seed)
    split = nc1.expand_dims(split=["train"], axis=2)
    status = xr.ones_like(nc1.isel(layer=0, drop=True), dtype=np.int8)
    groups = {
        "/training": xr.Dataset({"status": status}),
        "/collapse": xr.Dataset({"nc1": split, "fuzziness": 10 * split}),
        "/elasticity": xr.Dataset({"locality": locality.assign_coords(layer=LAYERS[1:])}),
    }
    return xr.DataTree.from_dict(groups)


@pytest.fixture
def facts():
    protocol = {"name": "small", "title": "A title", "question": None, "claims": []}
    return {"digest": "ab" * 32, "axes": {"seed": [0, 1, 2, 3]}, "protocol": protocol}


def shown(facts, folder, cube=None, states=("done",) * 4):
    return Reader(study_html(facts, folder, lambda: states, lambda: simulated() if cube is None else cube))


# --- the headline ---------------------------------------------------------------------------------------------------


def test_the_headline_is_the_geometric_mean_over_the_seeds_of_the_first_and_the_last_probe():
    cube = simulated()
    frame = headline(cube).set_index(["variable", "epoch", "layer"])
    nc1 = cube["collapse"]["nc1"].sel(split="train", layer="hidden_2")
    for epoch in (0, 40):
        row, values = frame.loc[("nc1", epoch, "hidden_2")], nc1.sel(epoch=epoch).values
        assert row["estimate"] == pytest.approx(np.prod(values) ** (1 / 4))
        assert row["lower"] < row["estimate"] < row["upper"]
        assert row["lower"] * row["upper"] == pytest.approx(row["estimate"] ** 2)
        assert row["count"] == 4
    assert "input" not in frame.loc["locality"].index.get_level_values("layer")


def test_the_terminal_prints_the_numbers_of_the_headline_on_one_line_or_two(finished_study):
    frame = headline(finished_study.cube)
    row = frame[(frame["variable"] == "nc1") & (frame["layer"] == "penultimate") & (frame["epoch"] == 6)].iloc[0]
    results = with_interval(row["estimate"], row["lower"], row["upper"])
    printed = {}
    for width in (60, 100):
        console = Console(width=width)
        with console.capture() as capture:
            console.print(findings(finished_study))
        printed[width] = capture.get()
        assert max(map(len, printed[width].splitlines())) <= width
        assert "geometric mean over 2 seeds and 95 % interval, train split" in " ".join(printed[width].split())
    assert results in printed[100]
    assert results not in printed[60]
    assert all(part in printed[60] for part in results.split(" ", 1))
    accuracy = average(finished_study.cube["training"]["accuracy"].sel(split="test").isel(epoch=-1))
    assert f"test {in_digits(float(accuracy['estimate']), 4)} [" in printed[100]


def test_one_word_for_each_mean():
    assert average_words([3, 3], log=True) == "geometric mean over 3 seeds"
    assert average_words([2], log=False) == "mean over 2 seeds"
    assert average_words([1], log=True) == "one seed"


@pytest.mark.parametrize(
    ("bounds", "positive"),
    [
        ((0, np.inf), True),
        ((0, 2**0.5), True),
        ((0, 1), False),
        ((-1, 1), False),
        ((-np.inf, np.inf), False),
    ],
)
def test_the_bounds_of_a_variable_say_which_mean_it_has(bounds, positive):
    values = xr.DataArray([0.5, 0.9], dims="seed", attrs={"value_bounds": [str(float(bound)) for bound in bounds]})
    assert is_positive(values) == positive
    wanted = (0.5 * 0.9) ** 0.5 if positive else 0.7
    estimates = average(values)
    assert estimates["estimate"].item() == pytest.approx(wanted)
    assert bounds[0] <= estimates["lower"].item() < wanted < estimates["upper"].item()
    assert positive or estimates["upper"].item() <= bounds[1]


def test_what_to_type_next_can_be_pasted():
    folder = Path("o'neil's \"$HOME\" `x` \\ é")
    shown = next_steps(SimpleNamespace(folder=folder, facts={"protocol": {"claims": [{}]}}))
    read_it, see_it = (shlex.split(line) for line in shown.splitlines()[1:3])
    (text,) = (node.value for node in ast.walk(ast.parse(read_it[-1])) if isinstance(node, ast.Constant))
    assert (text, see_it[-1]) == (str(folder), str(folder))


def test_a_zero_is_a_mean_of_zero_without_an_interval():
    estimates = over_seeds(xr.DataArray([0.0, 1.0, 2.0], dims="seed"), log=True)
    assert float(estimates["estimate"]) == 0
    assert np.isnan(estimates["lower"])
    assert np.isnan(estimates["upper"])


def test_a_study_under_way_is_told_as_far_as_it_is(finished_study):
    study = altered.Altered(finished_study.folder, altered.until(2))
    frame = headline(study.cube)
    assert sorted(set(frame["epoch"])) == [0, 2]
    assert frame["estimate"].notna().all()


def test_where_train_was_not_probed_the_headline_says_which_split_is_told(finished_study):
    def test_only(group):
        return group.sel(split=["test"]) if "nc1" in group else group

    frame = headline(altered.Altered(finished_study.folder, test_only).cube)
    of_nc1 = frame[frame["variable"] == "nc1"]
    assert set(of_nc1["split"]) == {"test"}
    last = finished_study.cube["collapse"]["nc1"].sel(split="test", epoch=6, layer="logits")
    result = of_nc1[(of_nc1["layer"] == "logits") & (of_nc1["epoch"] == 6)]["estimate"].item()
    assert result == pytest.approx(np.exp(np.log(last).mean().item()))


def test_a_swept_study_is_told_setting_by_setting(finished_study):
    study = altered.Altered(finished_study.folder, altered.swept("weight decay", [0.0, 0.5, 1.0]))
    parts = list(wide(headline(study.cube), lambda row: row.estimate))
    assert [setting for setting, _ in parts] == [{"weight decay": value} for value in (0.0, 0.5, 1.0)]
    first, last = (table.loc["logits", ("nc1", 6)] for table in (parts[0][1], parts[-1][1]))
    assert last == pytest.approx(1.2 * first)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9996, "1.00"), (999.6, "1000"), (1234.0, "1230"), (123456.0, "1.23e+05"), (-0.5, "-0.500"), (0.0, "0")],
)
def test_numbers_have_three_digits(value, text):
    assert in_digits(value) == text
    assert float(text) == pytest.approx(value, rel=5e-3)


# --- HTML -----------------------------------------------------------------------------------------------------------


def test_the_summary_shows_the_numbers_of_the_headline(finished_study):
    read = Reader(finished_study._repr_html_())
    frame = headline(finished_study.cube)
    result = {row[0]: row[1:] for row in read.rows}
    last = frame[(frame["epoch"] == 6) & (frame["layer"] == "penultimate")].set_index("variable")
    for column, variable in ((2, "nc1"), (6, "within_between_ratio"), (10, "locality")):
        estimate, interval = result["penultimate"][column : column + 2]
        row = last.loc[variable]
        assert f"{estimate} {interval}" == with_interval(row["estimate"], row["lower"], row["upper"])
    assert read.open == []
    for word in ("A small study", "2 done", "epoch 6", finished_study.digest[:12], "geometric mean over 2 seeds"):
        assert word in read.text


def test_nothing_that_a_protocol_says_becomes_html(facts, tmp_path):
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    facts["protocol"] |= {"title": attack, "question": attack, "name": attack}
    facts["axes"] = {attack: [attack], "seed": [0, 1, 2, 3]}
    finding = {"setting": {attack: attack}, "reason": attack, "seeds": attack}
    claim = {"name": attack, "sentence": attack, "source": attack, "verdict": attack, "findings": [finding]}
    (tmp_path / "claims.json").write_text(json.dumps({"digest": facts["digest"], "claims": [claim]}))
    cube = simulated()
    cube["collapse"] = cube["collapse"].to_dataset().assign_coords(layer=[attack, *LAYERS[1:]])
    states = [attack]
    read = shown(facts, tmp_path / attack.replace("/", ""), cube, states)
    checked = shown(facts, tmp_path, cube, states)
    for page in (read, checked):
        assert not {"script", "img"} & set(page.tags)
        assert page.open == []
        assert attack in page.text


@pytest.mark.parametrize("verdict", ["supported", "refuted", "inconclusive"])
def test_verdicts_are_told_in_words_with_their_interval(facts, tmp_path, verdict):
    facts["protocol"]["claims"] = [{"name": "below"}]
    finding = {"setting": {}, "reason": "", "effect": 0.5, "lower": 0.25, "upper": 0.75, "seeds": 3}
    claim = {"name": "below", "sentence": "nc1 is below 1", "source": "he2023law", "verdict": verdict}
    claims = {"digest": facts["digest"], "claims": [{**claim, "findings": [finding]}]}
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    text = shown(facts, tmp_path).text
    for word in (verdict, "nc1 is below 1", "he2023law", "0.500 [0.250, 0.750]"):
        assert word in text


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (None, "1 claimed, not yet checked"),
        ("{", "not readable"),
        ("[]", "not readable"),
        ('{"digest": "x", "claims": [{"name": "below"}]}', "not readable"),
        ('{"digest": "another", "claims": []}', "of another protocol"),
    ],
)
def test_verdicts_that_are_not_of_this_study_are_not_told(facts, tmp_path, written, message):
    facts["protocol"]["claims"] = [{"name": "below"}]
    if written is not None:
        (tmp_path / "claims.json").write_text(written)
    text = shown(facts, tmp_path).text
    assert message in text
    assert "elastic check" in text


def test_a_damaged_study_says_so_and_does_not_raise(facts, tmp_path):
    def damaged():
        raise StudyError("`record`", "be whole", "<torn>", "running again")

    read = Reader(study_html(facts, tmp_path, damaged, damaged))
    assert read.text.count("`record` should be whole; found <torn>") == 2
    assert "A title" in read.text


def test_one_seed_has_no_interval_and_many_settings_are_cut(finished_study):
    alone = altered.Altered(finished_study.folder, lambda group: group.isel(seed=[0]))
    table = " ".join(" ".join(row) for row in Reader(alone._repr_html_()).rows)
    assert "[" not in table
    many = altered.Altered(finished_study.folder, altered.swept("rate", [float(i) for i in range(9)]))
    read = Reader(many._repr_html_())
    assert read.text.count("rate = ") == 6
    assert "3 more settings" in read.text


def test_a_study_that_waits_shows_what_it_is_about(finished_study):
    nothing = altered.Altered(finished_study.folder, altered.without("nc1", "locality"))
    assert "Nothing is probed yet." in Reader(nothing._repr_html_()).text


# --- the conclusion -------------------------------------------------------------------------------------------------


def test_the_conclusion_says_what_is_so():
    text = conclusion(simulated(fall=0.5, deeper=0.5, spread=1e-6))
    assert "nc1 fell in 3 and rose in 0 of 3 hidden layers: ×0.250 [0.250, 0.250] in hidden_1, ×0.0625" in text
    assert "separation fuzziness falls with depth: ×0.500" in text
    assert "locality is greater in the layers that are more collapsed" in text
    assert "−1.00 [−1.00, −1.00]" in text


def test_the_conclusion_says_the_opposite_of_the_opposite():
    text = conclusion(simulated(fall=2.0, deeper=2.0, follows=-1.0))
    assert "nc1 fell in 0 and rose in 3 of 3 hidden layers" in text
    assert "separation fuzziness grows with depth: ×2.0" in text
    assert "locality is smaller in the layers that are more collapsed" in text


def test_where_nothing_is_so_the_conclusion_says_that_nothing_is_shown():
    text = conclusion(simulated(fall=1.0, deeper=1.0, follows=0, spread=0.5))
    assert "fell in 0 and rose in 0 of 3" in text
    assert "is not shown to fall or grow with depth" in text
    assert "locality is not shown to go with collapse" in text


def test_a_layer_that_changes_by_rounding_alone_neither_fell_nor_rose():
    for factor in (1 - 1e-4, 1 + 1e-4):
        text = conclusion(simulated(fall=factor, deeper=1.0, spread=1e-7))
        assert "nc1 fell in 0 and rose in 0 of 3 hidden layers" in text
        assert "common level" not in text


def with_nc1(slopes, levels=0.0, epochs=(0, 3, 10, 40)):
    """Return a cube whose log nc1 has these slopes with depth [epoch], about levels [epoch], of seeds that differ."""
    cube = simulated(epochs=epochs)
    nc1 = cube["collapse"]["nc1"]
    at = {name: xr.DataArray(np.broadcast_to(of, len(epochs)), dims="epoch") for name, of in
          (("slope", np.array(slopes)), ("level", np.array(levels)))}  # fmt: skip
    log_nc1 = at["level"] + (at["slope"] + 0.01 * nc1["seed"].astype(float)) * (nc1["depth"] - 2)
    values = np.exp(log_nc1).expand_dims(split=["train"]).transpose(*nc1.dims).assign_coords(nc1.coords)
    cube["collapse"] = cube["collapse"].to_dataset().assign(nc1=values)
    return cube


def test_the_conclusion_tells_until_when_the_order_of_layers_is_reversed():
    text = conclusion(with_nc1([0.5, 0.5, -0.5, -0.5], levels=[0, 0, -2, -4]))
    assert "At the last probed epoch, 40, collapse increases with depth: nc1 ×0.6" in text
    assert "Before epoch 5." in text  # half of the way from log 4 to log 11, a little later in seeds with more slope
    assert "the order is reversed: nc1 rises with depth" in text
    assert "Deeper layers reach a common level" in text
    assert "an order that elastic defines" in text


@pytest.mark.parametrize(
    ("slopes", "words"),
    [
        ([-0.5] * 4, "The order is never reversed."),
        ([0.5] * 4, "The order is reversed throughout."),
        ([0.5, -0.5, -0.5, -0.5], "Only at epoch 0 is the order reversed: nc1 rises with depth."),
        ([-0.5, -0.5, 0.5, -0.5], "the order is reversed for "),
    ],
)
def test_the_conclusion_tells_an_order_that_does_not_simply_cross(slopes, words):
    assert words in conclusion(with_nc1(slopes, levels=[0, -1, -2, -3]))


def test_layers_that_come_inward_are_told_in_that_order():
    inward = conclusion(with_nc1([-0.1, -0.5, -0.5, -0.5], levels=[0, -1, -3, -5]))
    assert "reach a common level" in inward
    assert "earlier: earlier by ×" in inward
    outward = conclusion(with_nc1([0.1, 0.5, 0.5, 0.5], levels=[0, -1, -3, -5]))
    assert "collapse decreases with depth" in outward
    assert "later: earlier by ×0." in outward


def test_one_seed_concludes_nothing():
    text = conclusion(simulated().isel(seed=[0]))
    assert "changed (one seed)" in text
    assert text.count("by one seed") == 4  # with depth, the order at the end and of a level, with locality
    assert "[" not in text


def test_the_conclusion_tells_each_setting_and_leaves_out_what_is_not_measured(finished_study):
    swept = altered.Altered(finished_study.folder, altered.swept("rate", [0.1, 0.2]))
    assert conclusion(swept.cube).count("**rate = ") == 2
    bare = altered.Altered(finished_study.folder, altered.without("locality"))
    assert "locality" not in conclusion(bare.cube)
    assert "nc1" in conclusion(bare.cube)
    nothing = altered.Altered(finished_study.folder, altered.without("locality", "nc1"))
    assert conclusion(nothing.cube) == "Nothing is probed yet."


def test_an_unfinished_study_is_a_study(finished_study, tmp_path):
    study = altered.under_way(finished_study, tmp_path)
    assert isinstance(study, Study)
    read = Reader(study._repr_html_())
    assert "1 done, 1 interrupted" in read.text
    assert "epoch 6" in read.text
