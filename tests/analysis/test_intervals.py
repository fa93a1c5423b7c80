"""Intervals over seeds: as scipy's, with the coverage they promise, silent about what one run cannot tell."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from elastic.analysis.intervals import interval
from elastic.errors import OptionError

VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=2, max_size=6)


def seeds(values) -> xr.DataArray:
    return xr.DataArray(values, dims="seed", name="nc1")


def bounds(found: xr.Dataset) -> tuple[float, float]:
    return float(found["lower"]), float(found["upper"])


def by_hand(values, level):
    """Mean and t bounds by loops, with the quantile of Student's t found by bisection of its distribution."""
    finite = [value for value in values if math.isfinite(value)]
    n = len(finite)
    mean = sum(finite) / n
    deviation = math.sqrt(sum((value - mean) ** 2 for value in finite) / (n - 1))
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if stats.t.cdf(middle, n - 1) < (1 + level) / 2 else (low, middle)
    return mean, mean - low * deviation / math.sqrt(n), mean + low * deviation / math.sqrt(n)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("values", [[1.0, 4.0], [0.3, 0.1, 0.2], [5.0, math.nan, 7.0, -2.0], [1.0, math.inf, 2.0]])
def test_t_interval_is_the_one_of_its_definition(values, level):
    estimates = interval(seeds(values), level=level)
    assert [float(estimates["estimate"]), *bounds(estimates)] == pytest.approx(by_hand(values, level), rel=1e-9)
    assert int(estimates["count"]) == sum(map(math.isfinite, values))


@settings(max_examples=25)
@given(VALUES)
def test_t_interval_is_that_of_the_t_test(values):
    estimates = interval(seeds(values))
    if np.ptp(values) > 1e-9:
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert bounds(estimates) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)


@settings(max_examples=25)
@given(VALUES, st.floats(0.1, 10), st.floats(-100, 100))
def test_interval_follows_scale_and_shift(values, scale, shift):
    plain, moved = interval(seeds(values)), interval(seeds(values) * scale + shift)
    for name in ("estimate", "lower", "upper"):
        assert float(moved[name]) == pytest.approx(float(plain[name]) * scale + shift, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_order_of_seeds_changes_nothing(method):
    orders = itertools.permutations([0.1, 0.4, 0.9])
    collected = [interval(seeds(list(order)), method=method) for order in orders]
    for other in collected[1:]:
        assert bounds(other) == pytest.approx(bounds(collected[0]))


@pytest.mark.parametrize(("n", "scale"), [(3, 1.0), (5, 1e-6)])
def test_t_interval_covers_the_mean_of_normal_values_as_often_as_it_says(n, scale):
    trials = 4000
    drawn = np.random.default_rng(n).normal(2 * scale, scale, size=(trials, n))
    estimates = interval(xr.DataArray(drawn, dims=("trial", "seed")))
    covered = ((estimates["lower"] <= 2 * scale) & (2 * scale <= estimates["upper"])).mean().item()
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / trials))


def test_bootstrap_is_too_narrow_for_few_values_and_about_right_for_many():
    generator = np.random.default_rng(0)
    covered = {}
    for n in (3, 20):
        estimates = interval(xr.DataArray(generator.normal(size=(150, n)), dims=("trial", "seed")), method="bootstrap")
        covered[n] = ((estimates["lower"] <= 0) & (estimates["upper"] >= 0)).mean().item()
    assert covered[3] < 0.85
    assert 0.87 < covered[20] <= 1.0


def test_bootstrap_is_scipys_and_the_same_each_time():
    values = [1.0, 2.0, 4.0, 7.0, 9.0]
    expected = stats.bootstrap((values,), np.mean, n_resamples=9999, method="BCa", rng=0).confidence_interval
    assert bounds(interval(seeds(values), method="bootstrap")) == (expected.low, expected.high)
    assert interval(seeds(values), method="bootstrap").identical(interval(seeds(values), method="bootstrap"))


@pytest.mark.parametrize("method", ["t", "bootstrap"])
@pytest.mark.parametrize(("values", "count"), [([3.0], 1), ([3.0, math.nan], 1), ([math.nan, math.nan], 0)])
def test_below_two_runs_there_is_no_interval(values, count, method):
    estimates = interval(seeds(values), method=method)
    assert int(estimates["count"]) == count
    assert np.isnan(bounds(estimates)).all()
    assert np.isnan(estimates["estimate"]) == (count == 0)


@pytest.mark.parametrize("method", ["t", "bootstrap"])
@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [0.3, 0.1 + 0.2, 0.3], [0.0, 0.0]])
def test_values_that_differ_by_rounding_alone_have_an_interval_of_no_width(values, method):
    estimates = interval(seeds(values), method=method)
    assert bounds(estimates) == (float(estimates["estimate"]),) * 2


def test_other_dims_and_their_coordinates_stay():
    values = xr.DataArray(
        np.arange(12.0).reshape(2, 3, 2),
        dims=("epoch", "seed", "layer"),
        coords={"layer": ["a", "b"], "depth": ("layer", [1.0, 2.0]), "split": "train"},
    )
    estimates = interval(values)
    assert estimates["upper"].dims == ("epoch", "layer")
    assert set(estimates.coords) == {"layer", "depth", "split"}
    assert estimates["estimate"].sel(layer="b").values.tolist() == [3.0, 9.0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dim": "epoch"}, r"`nc1` should lie along epoch; found dims \(seed\)"),
        ({"level": 95}, "`level` should be between 0 and 1; found 95; try level=0.95"),
        ({"method": "bayes"}, "`method` should be 't' or 'bootstrap'; found 'bayes'"),
    ],
)
def test_a_wrong_option_is_told(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        interval(seeds([1.0, 2.0]), **options)
