"""What counts as the same number, run and verdict, on cubes of a few numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from elastic.publishing.comparing import comparison_facts
from elastic.publishing.reproduced_runs import ReproducedRun, Reproduction
from elastic.publishing.variable_comparison import Compared, compare_run, tolerance_of
from elastic.publishing.verdict_comparison import ComparedVerdict, with_runs
from elastic.report.comparison_page import Compared as ComparedStudies
from elastic.report.study_differences import differences

AT = {"seed": 0}


def tree(values, dims=("seed", "epoch"), **labels):
    variable = xr.DataArray(np.asarray(values), {dim: labels[dim] for dim in dims if dim in labels}, dims)
    return xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": variable})})


def compared(first, second, **options):
    (comparison,) = compare_run(first, second, AT, **{"bits": False, **options})
    return comparison


def test_a_variable_without_the_axes_of_a_run_is_not_recorded():
    values = [[1.0, np.nan, 2.0], [3.0, 4.0, 5.0]]
    comparison = compared(tree(values), tree(values[0], dims=("epoch",)), bits=True)
    assert (comparison.outcome, comparison.different, comparison.reason) == ("differs", 2, "not recorded by the rerun")


def test_what_is_identical_has_no_epoch_of_a_difference():
    comparison = compared(tree([[1.0, 2.0]], epoch=[0, 5]), tree([[1.0, 2.0]], epoch=[0, 5]), bits=True)
    assert (comparison.outcome, comparison.epoch, comparison.largest) == ("identical", None, 0.0)
    comparison = compared(tree([[1.0, 2.0]], epoch=[0, 5]), tree([[1.0, 2.5]], epoch=[0, 5]), bits=True)
    assert (comparison.outcome, comparison.epoch, comparison.largest) == ("differs", 5.0, 0.5)


def test_dims_without_labels_are_compared_by_position():
    first, second = tree([[1.0, 2.0]]), tree([[1.0, 2.5]], epoch=[7, 9])
    assert compared(first, second, bits=True).different == 1
    assert compared(second, first, bits=True).different == 1
    assert compared(first, tree([[1.0, 2.0, 3.0]]), bits=True).reason == "another shape"


def test_two_seeds_know_a_spread():
    """Of 1 and 2: s = √½, so that t · √2 · s is the quantile of one degree of freedom, tan(0.495 π)."""
    values = xr.DataArray([1.0, 2.0], {"seed": [0, 1]}, ("seed",))
    assert float(tolerance_of(values, AT)) == pytest.approx(np.tan(0.495 * np.pi) + 2e-5)
    assert tolerance_of(values.where([True, False]), AT) is None


def test_whole_numbers_and_missing_ones_have_no_rounding_before_training():
    counts = tree([[1, 5], [3, 7], [5, 9]], epoch=[0, 1])
    later = tree([[2, 5], [3, 7], [5, 9]], epoch=[0, 1])
    assert compared(counts, later, same_weights=True).outcome == "within tolerance"
    unknown = tree([[np.nan, 5.0], [np.nan, 7.0], [np.nan, 9.0]], epoch=[0, 1])
    other = tree([[np.nan, 6.0], [np.nan, 7.0], [np.nan, 9.0]], epoch=[0, 1])
    assert compared(unknown, other, same_weights=True).outcome == "within tolerance"


def test_runs_take_the_place_of_published_ones_by_label():
    published = tree([[1.0, 2.0], [3.0, 4.0]], seed=[0, 1], epoch=[0, 5])
    again = tree([[50.0], [40.0]], dims=("epoch", "seed"), epoch=[5, 4], seed=[0])
    result = with_runs(published, again, [AT])["collapse"]["nc1"]
    np.testing.assert_array_equal(result, [[np.nan, 50.0], [3.0, 4.0]])
    assert published["collapse"]["nc1"].values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    for unlike in (tree([9.0, 9.0], dims=("epoch",), epoch=[0, 5]), tree([9.0], dims=("seed",), seed=[0])):
        assert with_runs(published, unlike, [AT])["collapse"]["nc1"].equals(published["collapse"]["nc1"])
    assert with_runs(published, xr.DataTree(), [AT])["collapse"]["nc1"].equals(published["collapse"]["nc1"])
    settings = with_runs(published, again, [{"seed": 0, "width": 4}])["collapse"]["nc1"]
    assert settings.equals(published["collapse"]["nc1"]), "another run"


def test_a_verdict_is_the_same_as_that_of_either_judge():
    verdict = ComparedVerdict("below", "", published="supported", judged_now="refuted", again="supported")
    assert (verdict.same, verdict.judge_changed) == (True, True)
    assert replace(verdict, again="refuted").same
    assert not replace(verdict, again="inconclusive").same
    assert not replace(verdict, judged_now="supported").judge_changed
    assert not replace(verdict, published="").judge_changed


def test_a_study_is_reproduced_by_every_run_and_every_verdict():
    same, other = (ComparedVerdict("below", "", "supported", "supported", again) for again in ("supported", "refuted"))

    def run(*outcomes):
        return ReproducedRun({}, {}, tuple(Compared("g", "v", one, 1, 0) for one in outcomes), (None, None))

    def reproduced(runs, verdicts):
        return Reproduction("", "", "", Path(), 2, "", (), tuple(runs), tuple(verdicts)).reproduced

    fine = run("identical", "within tolerance")
    assert reproduced([fine, fine], [same, same])
    assert reproduced([fine], [])
    assert not reproduced([], [same])
    assert not reproduced([fine], [same, other])
    for outcome in ("differs", "undecided"):
        assert not reproduced([fine, run("identical", outcome)], [same])


def test_differences_are_numbers_of_json_or_nothing():
    def of(values, attrs):
        seeds = list(range(len(values)))
        status = xr.Dataset({"status": (("seed", "epoch"), np.ones((len(values), 1), "int8"))}, {"epoch": [4]})
        nc1 = {"nc1": (("seed", "epoch"), np.reshape(values, (-1, 1)), attrs)}
        return xr.DataTree.from_dict({"/training": status, "/collapse": xr.Dataset(nc1, {"seed": seeds, "epoch": [4]})})

    def row(*values, **attrs):
        facts = {"title": "", "seeds": "1", "digest": ""}
        both = differences(*(of(part, attrs) for part in values))
        return comparison_facts(ComparedStudies(("a", "b"), (facts, facts), xr.DataTree(), [], both))["differences"][0]

    one = row([1.0], [3.0])
    assert (one["first"], one["second"], one["estimate"], one["lower"], one["seeds"]) == (1.0, 3.0, 2.0, None, 1)
    wide = row([1.0, 1.0], [1e-40, 1e40], value_bounds=["0.0", "inf"])
    assert (wide["estimate"], wide["lower"], wide["upper"]) == (pytest.approx(1.0), 0.0, None), "e^1170 is no float64"
