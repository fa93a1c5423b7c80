"""Rank correlations and lags of locality and collapse, against loops and against courses that follow each other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from elastic.analysis.locality import cross_correlation, lead, matched, tracking
from elastic.errors import NotMeasured, OptionError

SOME = st.sampled_from([0.5, 1.0, 1.5, 2.0, 7.0, math.nan])
PAIRS = st.lists(st.tuples(SOME, SOME), min_size=2, max_size=8)


def along(dim, values, labels=None, name="nc1") -> xr.DataArray:
    return xr.DataArray(values, dims=dim, coords={} if labels is None else {dim: labels}, name=name)


def mean_ranks(values):
    """Rank by counting: those below, and half of the others that are equal."""
    return [sum(v < w for v in values) + (sum(v == w for v in values) - 1) / 2 for w in values]


def correlation_by_hand(first, second):
    a, b = sum(first) / len(first), sum(second) / len(second)
    ab = sum((x - a) * (y - b) for x, y in zip(first, second, strict=True))
    return ab / math.sqrt(sum((x - a) ** 2 for x in first) * sum((y - b) ** 2 for y in second))


def tracking_by_hand(pairs):
    pairs = [pair for pair in pairs if not any(map(math.isnan, pair))]
    if len(pairs) < 3 or any(len(set(column)) == 1 for column in zip(*pairs, strict=True)):
        return math.nan
    return correlation_by_hand(*(mean_ranks(column) for column in zip(*pairs, strict=True)))


def at_lag_by_hand(locality, collapse, lag):
    """Correlate each change of locality with the change of collapse `lag` probes later."""
    changes = [
        [math.log(later / earlier) for earlier, later in itertools.pairwise(values)] for values in (locality, collapse)
    ]
    pairs = [(changes[0][i], changes[1][i + lag]) for i in range(len(changes[0])) if 0 <= i + lag < len(changes[1])]
    return correlation_by_hand(*zip(*pairs, strict=True))


@settings(max_examples=25)
@given(PAIRS)
def test_tracking_is_spearmans_correlation_of_what_both_have(pairs):
    first, second = zip(*pairs, strict=True)
    result = float(tracking(along("layer", list(first)), along("layer", list(second))))
    assert result == pytest.approx(tracking_by_hand(pairs), abs=1e-12, nan_ok=True)
    if not math.isnan(result):
        assert result == pytest.approx(stats.spearmanr(first, second, nan_policy="omit").statistic, abs=1e-12)


@settings(max_examples=25)
@given(PAIRS)
def test_tracking_knows_ranks_only_and_neither_order_nor_side(pairs):
    first, second = (along("layer", list(column)) for column in zip(*pairs, strict=True))
    plain = float(tracking(first, second))
    for other in (
        tracking(first**3, np.log(second)),
        tracking(second, first),
        tracking(first[::-1], second[::-1]),
        -tracking(first, -second),
    ):
        assert float(other) == pytest.approx(plain, abs=1e-12, nan_ok=True)


def test_layers_are_matched_by_name():
    locality = along("layer", [1.0, 2.0, 3.0, 9.0], ["h1", "h2", "h3", "logits"])
    nc1 = along("layer", [0.5, 0.9, 0.1, 0.3], ["input", "h1", "h3", "h2"])
    assert float(tracking(locality, nc1)) == -1


def test_each_epoch_seed_and_layer_is_correlated_alone():
    generator = np.random.default_rng(0)
    dims, shape = ("seed", "epoch", "layer"), (2, 5, 4)
    first, second = (xr.DataArray(generator.normal(size=shape), dims=dims) for _ in range(2))
    by_layer, by_epoch = tracking(first, second), tracking(first, second, over="epoch")
    assert by_layer.dims == ("seed", "epoch")
    assert by_epoch.dims == ("seed", "layer")
    alone = stats.spearmanr(first[1, 3], second[1, 3]).statistic
    assert float(by_layer[1, 3]) == pytest.approx(alone)
    assert float(by_epoch[1, 2]) == pytest.approx(stats.spearmanr(first[1, :, 2], second[1, :, 2]).statistic)


def test_cross_correlation_is_that_of_log_changes_at_every_lag():
    generator = np.random.default_rng(1)
    locality, collapse = generator.lognormal(size=(2, 12))
    estimates = cross_correlation(along("epoch", locality), along("epoch", collapse))
    assert estimates["lag"].values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    expected = [at_lag_by_hand(locality, collapse, lag) for lag in range(-3, 4)]
    np.testing.assert_allclose(estimates, expected, atol=1e-12)


@settings(max_examples=25)
@given(st.integers(-3, 3), st.integers(0, 20))
def test_a_lag_that_is_there_is_found(lag, seed):
    steps = np.random.default_rng(seed).normal(size=40)
    locality, nc1 = np.exp(np.cumsum(steps))[8:32], np.exp(-np.cumsum(np.roll(steps, lag)))[8:32]
    assert float(lead(along("epoch", locality), along("epoch", nc1), reach=4)) == lag


@settings(max_examples=25)
@given(st.integers(0, 20), st.floats(0.1, 10), st.floats(0.1, 3))
def test_units_and_powers_move_no_lag(seed, scale, power):
    first, second = (along("epoch", values) for values in np.random.default_rng(seed).lognormal(size=(2, 14)))
    plain = float(lead(first, second))
    assert float(lead(first * scale, second**power)) == plain
    assert float(lead(second, first)) == -plain


def test_two_trends_do_not_lead_each_other():
    epochs = np.arange(12.0)
    assert np.isnan(lead(along("epoch", np.exp(0.3 * epochs)), along("epoch", np.exp(-0.5 * epochs))))


def test_what_goes_back_and_forth_is_not_said_to_lead():
    values = along("epoch", np.exp(np.cumsum([1.0, -0.5, 0.0] * 4)))
    estimates = cross_correlation(values, 1 / values)
    assert (abs(estimates.sel(lag=[-3, 0, 3])) > 1 - 1e-9).all()
    assert float(lead(values, 1 / values)) == 0


def test_an_epoch_that_one_of_the_two_misses_is_left_out():
    locality, nc1 = np.random.default_rng(3).lognormal(size=(2, 10))
    holed = np.insert(locality, 4, math.nan)
    estimates = cross_correlation(along("epoch", holed), along("epoch", np.insert(nc1, 4, 5.0)), reach=2)
    np.testing.assert_allclose(estimates, cross_correlation(along("epoch", locality), along("epoch", nc1), reach=2))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf])
def test_without_logs_there_is_no_lead(bad):
    values = np.random.default_rng(0).lognormal(size=10)
    assert np.isnan(lead(along("epoch", values), along("epoch", np.append(values[:9], bad))))


def test_few_probes_tell_no_lead():
    values = np.random.default_rng(0).lognormal(size=(2, 4))
    assert np.isnan(lead(*(along("epoch", row) for row in values)))


def test_unrelated_courses_lead_either_way_alike():
    drawn = np.random.default_rng(0).normal(size=(2, 600, 12)).cumsum(axis=-1)
    first, second = (xr.DataArray(np.exp(steps), dims=("seed", "epoch")) for steps in drawn)
    result = lead(first, second)
    assert abs(float(result.mean())) < 4 * float(result.std()) / math.sqrt(600)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(["h1", "h2", "h3"], ["c1", "c2", "c3"]), (None, None)], ids=["labels", "sizes"]
)
def test_what_has_nothing_in_common_is_told(ours, theirs):
    first = along("layer", [1.0, 2.0, 3.0], ours, "locality")
    second = along("layer", [1.0, 2.0, 3.0][: 3 if theirs else 2], theirs)
    with pytest.raises(NotMeasured, match="`layer` should have labels that locality and nc1 share"):
        matched(first, second)


def test_a_wrong_option_is_told():
    values = along("layer", [1.0, 2.0, 3.0])
    with pytest.raises(OptionError, match="`nc1` should lie along epoch"):
        tracking(values, values, over="epoch")
    with pytest.raises(OptionError, match="`reach` should be 0 or more; found -1"):
        cross_correlation(values.rename(layer="epoch"), values.rename(layer="epoch"), reach=-1)
