"""Differences between sets of runs: as scipy's intervals, with an effect size free of the bias of few runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from elastic.analysis.comparison import difference
from elastic.errors import NotMeasured, OptionError

RUNS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2, max_size=6)


def seeds(values, labels=None) -> xr.DataArray:
    labels = list(range(len(values))) if labels is None else labels
    return xr.DataArray(values, dims="seed", coords={"seed": labels}, name="nc1")


def bounds(found: xr.Dataset) -> tuple[float, float]:
    return float(found["lower"]), float(found["upper"])


def variance(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def hedges_by_hand(first, second, paired):
    """Return g with J(f) by its recurrence J(f + 2) = f / (f + 1) · … written out as a product of gammas."""
    n1, n2 = len(first), len(second)
    pooled = ((n1 - 1) * variance(first) + (n2 - 1) * variance(second)) / (n1 + n2 - 2)
    square = (variance(first) + variance(second)) / 2 if paired else pooled
    if square == 0:
        return math.nan
    f = n1 + n2 - 2
    unbiased = math.gamma(f / 2) / (math.sqrt(f / 2) * math.gamma((f - 1) / 2))
    return unbiased * (sum(first) / n1 - sum(second) / n2) / math.sqrt(square)


@settings(max_examples=25)
@given(RUNS)
def test_paired_interval_is_that_of_the_paired_t_test(runs):
    first, second = (list(map(float, column)) for column in zip(*runs, strict=True))
    estimates = difference(seeds(first), seeds(second))
    steps = [a - b for a, b in zip(first, second, strict=True)]
    assert float(estimates["difference"]) == pytest.approx(sum(steps) / len(steps), abs=1e-12)
    assert float(estimates["effect_size"]) == pytest.approx(hedges_by_hand(first, second, True), nan_ok=True)
    if len(set(steps)) > 1:
        expected = stats.ttest_rel(first, second).confidence_interval(0.95)
        assert bounds(estimates) == pytest.approx((expected.low, expected.high))


@settings(max_examples=25)
@given(RUNS, st.integers(2, 5))
def test_unpaired_interval_is_welchs(runs, others):
    first, second = (list(map(float, column)) for column in zip(*runs, strict=True))
    second = (second * 3)[:others]
    estimates = difference(seeds(first), seeds(second), paired=False, level=0.9)
    assert float(estimates["difference"]) == pytest.approx(np.mean(first) - np.mean(second), abs=1e-12)
    assert float(estimates["effect_size"]) == pytest.approx(hedges_by_hand(first, second, False), nan_ok=True)
    assert int(estimates["count"]) == min(len(first), others)
    if len(set(first)) > 1 or len(set(second)) > 1:
        v1, v2 = variance(first) / len(first), variance(second) / others
        freedom = (v1 + v2) ** 2 / (v1**2 / (len(first) - 1) + v2**2 / (others - 1))
        reach = stats.t.ppf(0.95, freedom) * math.sqrt(v1 + v2)
        expected = float(estimates["difference"])
        assert bounds(estimates) == pytest.approx((expected - reach, expected + reach))


@settings(max_examples=25)
@given(RUNS, st.booleans(), st.floats(0.01, 100))
def test_the_other_way_round_the_sign_turns_and_units_leave_the_effect_size(runs, paired, scale):
    first, second = (seeds(list(map(float, column))) for column in zip(*runs, strict=True))
    estimates = difference(first, second, paired=paired)
    turned = difference(second * scale, first * scale, paired=paired)
    assert bounds(turned) == pytest.approx(tuple(-scale * bound for bound in reversed(bounds(estimates))), abs=1e-9)
    assert float(turned["effect_size"]) == pytest.approx(-float(estimates["effect_size"]), abs=1e-9, nan_ok=True)


def test_runs_are_paired_by_seed_wherever_they_stand():
    first, second = seeds([5.0, 1.0, 3.0], [7, 1, 4]), seeds([1.5, 3.5, 4.0, 9.0], [1, 4, 7, 2])
    estimates = difference(first, second)
    assert int(estimates["count"]) == 3
    assert float(estimates["difference"]) == pytest.approx((1.0 - 0.5 - 0.5) / 3)


def test_a_run_without_a_partner_is_left_out():
    estimates = difference(seeds([5.0, math.nan, 3.0]), seeds([1.0, 2.0, math.nan]))
    assert (float(estimates["difference"]), int(estimates["count"])) == (4.0, 1)
    assert np.isnan([*bounds(estimates), float(estimates["effect_size"])]).all()


def test_without_pairing_seeds_need_not_match():
    estimates = difference(seeds([1.0, 2.0, 3.0], [0, 1, 2]), seeds([4.0, 6.0], [10, 11]), paired=False)
    assert float(estimates["difference"]) == -3


def test_pairing_narrows_the_interval_of_runs_that_vary_together_and_leaves_their_effect_size():
    generator = np.random.default_rng(0)
    shared = generator.normal(size=8)
    first, second = seeds(shared + 1), seeds(shared + 0.05 * generator.normal(size=8))
    paired, unpaired = difference(first, second), difference(first, second, paired=False)
    assert np.ptp(bounds(paired)) < np.ptp(bounds(unpaired)) / 5
    assert float(paired["effect_size"]) == pytest.approx(float(unpaired["effect_size"]))


@pytest.mark.parametrize("runs", [3, 5])
def test_the_effect_size_has_no_bias_at_few_runs(runs):
    trials, true = 20_000, 1.5
    drawn = np.random.default_rng(runs).normal(size=(2, trials, runs))
    first, second = (xr.DataArray(values, dims=("trial", "seed")) for values in drawn)
    result = difference(first + true, second)["effect_size"]
    assert float(result.mean()) == pytest.approx(true, abs=4 * float(result.std()) / math.sqrt(trials))


@pytest.mark.parametrize("paired", [True, False])
def test_no_difference_is_seen_as_often_as_the_level_says(paired):
    trials = 2000
    drawn = np.random.default_rng(9).normal(size=(2, trials, 4))
    estimates = difference(*(xr.DataArray(values, dims=("trial", "seed")) for values in drawn), paired=paired)
    covered = float(((estimates["lower"] <= 0) & (estimates["upper"] >= 0)).mean())
    assert 0.93 < covered < (0.97 if paired else 0.985)  # Welch's interval is wide for few runs


@pytest.mark.parametrize("paired", [True, False])
def test_runs_that_do_not_spread_differ_for_certain(paired):
    estimates = difference(seeds([3.0, 3.0]), seeds([1.0, 1.0]), paired=paired)
    assert bounds(estimates) == (2.0, 2.0)
    assert np.isnan(difference(seeds([1.3, 1 + 0.1 + 0.2]), seeds([1.0, 1.0]), paired=paired)["effect_size"])
    assert np.isnan(estimates["effect_size"])


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("unit", [2.0**-40, 2.0**40])
def test_the_effect_size_has_no_unit(paired, unit):
    first, second = seeds([1.0, 3.0, 4.0]), seeds([0.5, 0.25, 1.0])
    plain = float(difference(first, second, paired=paired)["effect_size"])
    assert float(difference(first * unit, second * unit, paired=paired)["effect_size"]) == plain
    far = difference(seeds([1 - 2.0**-53, 1.0]) * unit, seeds([0.5, 0.5]) * unit, paired=paired)
    assert np.isnan(far["effect_size"])


@pytest.mark.parametrize("paired", [True, False])
def test_one_run_has_no_interval(paired):
    estimates = difference(seeds([3.0]), seeds([1.0]), paired=paired)
    assert float(estimates["difference"]) == 2
    assert np.isnan([*bounds(estimates), float(estimates["effect_size"])]).all()


@pytest.mark.parametrize("paired", [True, False])
def test_layers_are_matched_by_name_and_kept(paired):
    first = xr.DataArray([[1.0, 2.0], [2.0, 4.0]], dims=("seed", "layer"), coords={"layer": ["a", "b"]})
    second = xr.DataArray([[0.5, 9.0], [0.0, 9.0]], dims=("seed", "layer"), coords={"layer": ["b", "c"]})
    estimates = difference(first, second, paired=paired)
    assert estimates["layer"].values.tolist() == ["b"]
    assert estimates["difference"].values.tolist() == [2.75]


def test_what_cannot_be_compared_is_told():
    with pytest.raises(NotMeasured, match="`seed` should have labels that nc1 and nc1 share"):
        difference(seeds([1.0, 2.0], [0, 1]), seeds([1.0, 2.0], [2, 3]))
    with pytest.raises(OptionError, match="`nc1` should lie along seed"):
        difference(seeds([1.0, 2.0]).rename(seed="epoch"), seeds([1.0, 2.0]))
