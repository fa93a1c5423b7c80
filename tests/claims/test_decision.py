"""Where the interval lies decides, and nothing else; what cannot be known from so few seeds is not said."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from elastic.claims.contract import Evidence
from elastic.claims.decision import judge
from elastic.claims.verdicts import findings, together

POSITIVE = (0.0, math.inf)


def evidence(*seeds, region=POSITIVE, **facts):
    return Evidence(xr.DataArray(list(seeds), dims="seed"), region, "effect", **facts)


def verdict(*seeds, **facts):
    (finding,) = findings(evidence(*seeds, **facts))
    return finding.verdict


def test_the_interval_is_student_s():
    sample = np.random.default_rng(0).normal(size=7)
    result = judge(evidence(*sample))
    expected = stats.t.interval(0.95, 6, sample.mean(), stats.sem(sample))
    np.testing.assert_allclose([result["lower"], result["upper"]], expected)


@pytest.mark.parametrize(
    ("seeds", "region", "expected"),
    [
        ((1.0, 1.1, 0.9), POSITIVE, "supported"),
        ((-1.0, -1.1, -0.9), POSITIVE, "refuted"),
        ((1.0, 5.0, 0.1), POSITIVE, "inconclusive"),
        ((1.0, 1.1, 0.9), (-math.inf, 0.0), "refuted"),
        ((1.0, 1.1, 0.9), (0.5, 1.5), "supported"),
        ((1.0, 1.1, 0.9), (0.99, 1.01), "inconclusive"),
        ((1.0, 1.1, 0.9), (0.5, 1.01), "inconclusive"),
        ((1.0, 1.1, 0.9), (0.99, 1.5), "inconclusive"),
        ((1.0, 1.1, 0.9), (2.0, 3.0), "refuted"),
        ((4.0, 4.1, 3.9), (2.0, 3.0), "refuted"),
        ((1.0, 1.0, 1.0), POSITIVE, "supported"),
        ((0.0, 0.0, 0.0), POSITIVE, "refuted"),
    ],
)
def test_inside_is_supported_and_outside_is_refuted(seeds, region, expected):
    assert verdict(*seeds, region=region) == expected


@pytest.mark.parametrize(
    ("seeds", "reason"), [((9.0,), "one seed"), ((9.0, math.nan), "one seed"), ((math.nan, math.inf), "no seed has a")]
)
def test_fewer_than_two_seeds_decide_nothing(seeds, reason):
    (finding,) = findings(evidence(*seeds))
    assert finding.verdict == "inconclusive"
    assert finding.reason.startswith(reason)
    assert finding.lower is None


def test_seeds_without_a_number_are_left_out_and_counted():
    (finding,) = findings(evidence(1.0, math.nan, 1.1, -math.inf, 0.9))
    assert (finding.verdict, finding.seeds) == ("supported", 3)
    assert finding.per_seed == [1.0, None, 1.1, None, 0.9]
    assert finding.effect == pytest.approx(1.0)


def test_seeds_do_not_agree_better_than_the_effect_can_tell():
    assert verdict(0.1, 0.1, 0.1) == "supported"
    assert verdict(0.1, 0.1, 0.1, resolution=0.1) == "inconclusive"
    assert verdict(1.0, 1.0, 1.0, resolution=0.1) == "supported"


def test_one_of_many_settings_is_refuted_only_beyond_chance():
    inside, edge, outside = [1.0, 1.1, 0.9], [-0.2, -0.3, -0.1], [-2.0, -2.1, -1.9]

    def of(*settings):
        effect = xr.DataArray(list(settings), dims=("decay", "seed"), coords={"decay": list(range(len(settings)))})
        return findings(Evidence(effect, POSITIVE, ""))

    assert [finding.verdict for finding in of(edge)] == ["inconclusive"]  # −0.2 ± 0.25
    nearly = [-0.3, -0.4, -0.2]
    assert [finding.verdict for finding in of(nearly)] == ["refuted"]
    among = of(nearly, *[inside] * 9)
    assert among[0].verdict == "inconclusive"
    assert "by chance" in among[0].reason
    assert [finding.verdict for finding in of(outside, *[inside] * 9)] == ["refuted"] + ["supported"] * 9
    assert among[1].setting == {"decay": 1}


@pytest.mark.parametrize("region", [(0.5, 1.01), (0.99, 1.5), (0.99, 1.01)])
def test_an_interval_over_an_edge_is_not_said_to_be_outside(region):
    (finding,) = findings(evidence(1.0, 1.1, 0.9, region=region))
    assert (finding.verdict, finding.reason) == ("inconclusive", "")


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["supported"] * 3, "supported"), (["supported", "inconclusive"], "inconclusive"), ([], "inconclusive"),
        (["supported", "inconclusive", "refuted"], "refuted"),
    ],
)  # fmt: skip
def test_a_claim_holds_if_it_holds_everywhere(verdicts, whole):
    assert together(verdicts) == whole


@pytest.mark.parametrize("shown", [math.exp, lambda x: math.exp(-x)], ids=["rising", "falling"])
def test_readers_are_shown_the_same_verdict_on_their_own_scale(shown):
    (finding,) = findings(evidence(1.0, 1.1, 0.9, region=(0.0, math.inf), shown=shown))
    assert finding.lower < finding.effect < finding.upper
    assert {bound for bound in finding.region if bound is not None} == {1.0}
    least, greatest = finding.region
    assert (least is None) != (greatest is None)
    assert finding.lower > least if least is not None else finding.upper < greatest


def test_what_grows_beyond_all_numbers_is_not_shown():
    (finding,) = findings(evidence(1000.0, 1001.0, 1002.0, shown=math.exp))
    assert (finding.verdict, finding.effect, finding.upper) == ("supported", None, None)
