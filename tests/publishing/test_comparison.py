"""Two studies are compared at the end of training, whatever the depths of their networks; checklists are answered."""

import io
import json
import math
import re
import sys

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from rich.console import Console
from support import published

import elastic
from elastic.__main__ import main
from elastic.errors import NotMeasured, OptionError
from elastic.publishing.checklist import CHECKLISTS, HUMAN, answers, checklist
from elastic.publishing.comparing import compare, comparison_facts, comparison_table, write_comparison
from elastic.report.comparison_page import Compared
from elastic.report.study_differences import Difference, check_axes, differences, selected


def cube(values, layers, *, group="collapse", name="nc1", attrs=None, axis=None):
    """Return a cube with one variable [axis, seed, epoch, layer]."""
    dims = ("seed", "epoch", "layer") if axis is None else (axis, "seed", "epoch", "layer")
    coords = {"seed": range(values.shape[-3]), "epoch": [0, 4], "layer": layers}
    coords |= {} if axis is None else {axis: range(values.shape[0])}
    variable = xr.DataArray(values, {dim: coords[dim] for dim in dims}, dims, attrs=attrs or {})
    status = xr.DataArray(np.ones(values.shape[:-1], "int8"), {d: coords[d] for d in dims[:-1]}, dims[:-1])
    groups = {"/training": xr.Dataset({"status": status}), f"/{group}": xr.Dataset({name: variable})}
    return xr.DataTree.from_dict(groups)


POSITIVE = {"value_bounds": ["0.0", "inf"]}


def test_the_difference_is_that_of_welch_on_the_log_of_positive_quantities():
    generator = np.random.default_rng(3)
    first, second = np.exp(generator.normal(size=(3, 2, 2))), np.exp(generator.normal(1, 1, size=(5, 2, 3)))
    estimates = differences(
        cube(first, ["h1", "last"], attrs=POSITIVE), cube(second, ["h1", "h2", "last"], attrs=POSITIVE)
    )
    assert [(one.layer, one.is_ratio, one.seeds) for one in estimates] == [("h1", True, 3), ("last", True, 3)]
    for one, i, j in zip(estimates, (0, 1), (0, 2), strict=True):
        a, b = np.log(first[:, 1, i]), np.log(second[:, 1, j])
        bounds = scipy.stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
        assert one.estimate == pytest.approx(np.exp(b.mean() - a.mean()))
        assert (one.lower, one.upper) == pytest.approx((np.exp(bounds.low), np.exp(bounds.high)))
        assert (one.first, one.second) == pytest.approx((np.exp(a.mean()), np.exp(b.mean())))
        assert one.excludes_none == (not bounds.low <= 0 <= bounds.high)


def test_labels_are_shown_as_they_stand_and_what_is_infinite_is_no_json():
    one = Difference("nc1", "train", "h[/b]", {"act": "[red]"}, 1.0, 2.0, True, 2.0, 0.5, math.inf, math.nan, 2)
    compared = Compared(("a", "b [/b]"), ({}, {}), xr.DataTree(), (), (one,))
    console = Console(width=200, file=io.StringIO())
    console.print(comparison_table(compared))
    assert all(text in console.file.getvalue() for text in ("h[/b], train, act = [red]", "b [/b]"))
    (row,) = json.loads(json.dumps(comparison_facts(compared), allow_nan=False))["differences"]
    assert (row["lower"], row["upper"], row["effect_size"]) == (0.5, None, None)


def test_a_bounded_quantity_and_one_that_is_zero_are_subtracted():
    values = np.arange(12.0).reshape(3, 2, 2)  # holds a zero only at the first epoch
    bounded = {"value_bounds": ["0.0", "1.0"]}
    (one, _) = differences(cube(values, ["a", "b"], attrs=bounded), cube(values + 1, ["a", "b"], attrs=bounded))
    assert (one.is_ratio, one.estimate) == (False, 1.0)
    zero = np.zeros((3, 2, 2))
    (one, _) = differences(cube(zero, ["a", "b"], attrs=POSITIVE), cube(values, ["a", "b"], attrs=POSITIVE))
    assert not one.is_ratio


def test_one_seed_has_no_interval():
    one = differences(cube(np.ones((1, 2, 1)), ["a"]), cube(np.ones((1, 2, 1)) * 2, ["a"]))[0]
    assert (one.estimate, one.seeds, one.excludes_none) == (1.0, 1, False)
    assert one.text() == "1.00"


def test_axes_that_one_study_has_need_a_label():
    with_axis, without = cube(np.ones((2, 3, 2, 1)), ["a"], axis="width"), cube(np.ones((3, 2, 1)), ["a"])
    with pytest.raises(OptionError, match=r"width in 'first' only; try --where width=LABEL"):
        check_axes([with_axis, without], ["first", "second"])
    chosen = selected(with_axis, {"width": 1})
    check_axes([chosen, without], ["first", "second"])
    assert differences(chosen, without)[0].estimate == 0.0
    with pytest.raises(NotMeasured, match="one of 0, 1"):
        selected(with_axis, {"width": 7})
    with pytest.raises(NotMeasured, match="something alike"):
        differences(without, cube(np.ones((3, 2, 1)), ["a"], group="elasticity", name="locality"))


def test_a_study_and_an_archive_are_compared_alike(archive, claimed_study, tmp_path):
    comparison = compare(claimed_study.folder, archive)
    assert comparison.names == ("small (first)", "small (second)")
    assert comparison.cube["collapse"]["nc1"].sizes["study"] == 2
    assert all(one.estimate == (1.0 if one.is_ratio else 0.0) for one in comparison.differences)
    assert not any(one.excludes_none for one in comparison.differences)
    assert comparison_facts(comparison)["protocols_differ"] == []
    page = write_comparison(comparison, tmp_path / "page.html").read_text()
    assert "data:image/svg+xml;base64" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page), "it needs no network"
    assert "<script" not in page


def test_every_question_of_a_checklist_has_an_answer(claimed_study):
    result = answers(claimed_study)
    assert {name: len(answered) for name, answered in result.items()} == {
        name: len(questions) for name, questions in CHECKLISTS.items()
    }
    for one in (one for answered in result.values() for one in answered):
        assert one.state in ("yes", "in part", "open")
        assert (HUMAN in one.text) == (one.state != "yes")
    text = checklist(claimed_study)
    for fact in (
        "2 claims", "2 seeds (0, 1): 2 runs", "60 samples of 'train', 60 samples of 'test' in 3 classes",
        "licence CC-BY-4.0", "device: cpu", f"elastic {elastic.__version__}", "All 2 claims registered before",
    ):  # fmt: skip
        assert fact in text, fact


def test_the_command_line_ends_as_scripts_expect(archive, claimed_study, tmp_path, monkeypatch, capsys):
    """Exit codes 0, 2 and 4, and JSON that is nothing else."""
    monkeypatch.chdir(tmp_path)

    def result(*arguments):
        monkeypatch.setattr(sys, "argv", ["elastic", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, capsys.readouterr()

    code, shown = result("verify", archive, "--json")
    assert (code, json.loads(shown.out)["damaged"]) == (0, False)
    files = published.files_of(archive)
    altered = published.zipped(tmp_path / "altered.zip", {**files, "README.md": b"other"})
    code, shown = result("verify", altered)
    assert (code, shown.out.splitlines()[0]) == (4, "README.md: altered")
    assert result("verify", altered, "--repair")[0] == 2
    assert result("verify", tmp_path / "missing.zip")[0] == 2
    code, shown = result("reproduce", altered)
    assert code == 4
    assert "nothing was run" in shown.err
    assert not (tmp_path / "reproduced").exists()
    code, shown = result("compare", claimed_study.folder, archive, "--json")
    assert (code, len(json.loads(shown.out)["studies"])) == (0, 2)
    foreign = published.zipped(tmp_path / "foreign.zip", {"a/b.txt": b"c"})
    facts = next(name for name in files if name.endswith("study.json"))
    broken = published.zipped(tmp_path / "broken.zip", {**files, facts: b"{"})
    for other, code in ((foreign, 2), (broken, 4)):
        outcome, shown = result("compare", claimed_study.folder, other)
        assert (outcome, str(other) in shown.err) == (code, True)
        assert "elastic-archive" not in shown.err
        assert "--repair" not in shown.err
    assert result("checklist", claimed_study.folder)[0] == 0
    code, shown = result("reproduce", archive, "--runs", "9")
    assert code == 2
    assert "from 1 to 2" in shown.err
    assert not (tmp_path / "reproduced").exists()
