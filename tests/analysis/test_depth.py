"""The law of equi-separation and the effective depth, against loops and against what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from elastic.analysis.depth import effective_depth, separation_law
from elastic.errors import OptionError

STATISTICS = ("intercept", "slope", "ratio", "r", "r_squared")


def layered(values, depth=None) -> xr.DataArray:
    coords = {} if depth is None else {"depth": ("layer", depth)}
    return xr.DataArray(values, dims="layer", coords=coords, name="fuzziness")


def line_by_hand(depth, values):
    """Intercept, slope and r of log values on depth, by sums."""
    logs, n = [math.log(value) for value in values], len(values)
    x, y = sum(depth) / n, sum(logs) / n
    xy = sum((a - x) * (b - y) for a, b in zip(depth, logs, strict=True))
    xx, yy = sum((a - x) ** 2 for a in depth), sum((b - y) ** 2 for b in logs)
    return y - xy / xx * x, xy / xx, xy / math.sqrt(xx * yy)


def effective_depth_by_hand(errors, tolerance):
    last = errors[-1]
    for depth in range(len(errors)):
        if all(error <= last + tolerance + 1e-12 for error in errors[depth:]):
            return depth
    raise AssertionError("the last layer always qualifies")


@pytest.mark.parametrize("depth", [None, [1.0, 2.0, 3.0, 5.0], [3.0, 1.0, 0.0, 2.0]])
def test_fit_is_least_squares_on_log_values(depth):
    values = [7.0, 3.0, 2.5, 0.2]
    fit = separation_law(layered(values, depth))
    intercept, slope, r = line_by_hand(depth or [0, 1, 2, 3], values)
    collected = [float(fit[name]) for name in STATISTICS]
    assert collected == pytest.approx([intercept, slope, math.exp(slope), r, r * r], rel=1e-12)
    scipys = stats.linregress(depth or [0, 1, 2, 3], np.log(values))
    assert [collected[1], collected[0], collected[3]] == pytest.approx([scipys.slope, scipys.intercept, scipys.rvalue])


@settings(max_examples=25)
@given(st.floats(0.05, 3), st.floats(1e-8, 1e8), st.integers(3, 8))
def test_a_law_that_holds_is_found(ratio, first, layers):
    fit = separation_law(layered([first * ratio**depth for depth in range(layers)]))
    assert float(fit["ratio"]) == pytest.approx(ratio, rel=1e-9)
    assert float(np.exp(fit["intercept"])) == pytest.approx(first, rel=1e-7)
    if abs(ratio - 1) > 1e-3:
        assert float(fit["r"]) == pytest.approx(math.copysign(1, ratio - 1))


@settings(max_examples=25)
@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=7), st.floats(1e-6, 1e6))
def test_scale_moves_the_intercept_alone(values, scale):
    plain, scaled = separation_law(layered(values)), separation_law(layered(values) * scale)
    assert float(scaled["slope"]) == pytest.approx(float(plain["slope"]), abs=1e-9)
    assert float(scaled["intercept"]) == pytest.approx(float(plain["intercept"]) + math.log(scale), abs=1e-8)


def test_every_slice_is_fitted_alone():
    values = np.random.default_rng(0).lognormal(size=(2, 3, 5))
    cube = xr.DataArray(values, dims=("seed", "epoch", "layer"), coords={"seed": [4, 9]})
    fit = separation_law(cube)
    assert fit["r"].dims == ("seed", "epoch")
    for seed in range(2):
        for epoch in range(3):
            alone = separation_law(layered(values[seed, epoch]))
            for name in STATISTICS:
                assert float(fit[name][seed, epoch]) == pytest.approx(float(alone[name]))


def test_layers_that_are_not_there_are_left_out():
    whole = separation_law(layered([8.0, 3.0, 2.0], [1.0, 2.0, 4.0]))
    ragged = separation_law(layered([8.0, 3.0, math.nan, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0, math.nan]))
    assert int(ragged["layers"]) == 3
    xr.testing.assert_allclose(whole, ragged)


def test_depths_may_differ_along_an_axis():
    depth = xr.DataArray([[1.0, 2.0, 3.0], [1.0, 2.0, 7.0]], dims=("net", "layer"))
    values = np.exp(-0.5 * depth).assign_coords(depth=depth)
    np.testing.assert_allclose(separation_law(values)["slope"], [-0.5, -0.5])


@pytest.mark.parametrize(
    "values", [[2.0, 1.0], [4.0, 0.0, 1.0], [4.0, -1.0, 1.0], [4.0, math.inf, 1.0], [math.nan] * 4]
)
def test_where_no_line_can_be_fitted_there_is_none(values):
    fit = separation_law(layered(values))
    assert all(np.isnan(fit[name]) for name in STATISTICS)


def test_no_fall_is_a_slope_of_zero_without_correlation():
    fit = separation_law(layered([0.3, 0.1 + 0.2, 0.3]))
    assert float(fit["slope"]) == 0
    assert not np.signbit(fit["slope"])
    assert float(fit["ratio"]) == 1
    assert np.isnan(fit["r"])


@settings(max_examples=25)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(0, 8))
def test_effective_depth_is_the_first_layer_from_which_all_are_good_enough(hundredths, tolerance):
    errors = [error / 100 for error in hundredths]
    estimates = effective_depth(layered(errors), tolerance=tolerance / 100)
    assert float(estimates) == effective_depth_by_hand(errors, tolerance / 100)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_effective_depth_falls_as_the_tolerance_grows(errors):
    depths = [float(effective_depth(layered(errors), tolerance=tolerance)) for tolerance in (0, 0.1, 0.3, 1)]
    assert depths == sorted(depths, reverse=True)
    assert depths[-1] == 0


def test_a_layer_that_is_good_by_chance_does_not_count():
    assert float(effective_depth(layered([0.0, 0.5, 0.1, 0.1]), tolerance=0.01)) == 2


def test_effective_depth_reads_the_depth_and_skips_what_is_missing():
    estimates = effective_depth(layered([0.5, 0.1, 0.1, math.nan], [1.0, 3.0, 5.0, 7.0]), tolerance=0.01)
    assert float(estimates) == 3
    assert np.isnan(effective_depth(layered([math.nan, math.nan]), tolerance=0.01))


def test_rounding_of_decimals_is_no_error():
    assert 0.8 - 0.7 > 0.1
    assert float(effective_depth(layered([0.8, 0.7]), tolerance=0.1)) == 0


@pytest.mark.parametrize("tolerance", [-0.1, math.nan])
def test_a_wrong_option_is_told(tolerance):
    with pytest.raises(OptionError, match="`tolerance` should be 0 or more"):
        effective_depth(layered([0.1, 0.2]), tolerance=tolerance)
    with pytest.raises(OptionError, match=r"`fuzziness` should lie along layer; found dims \(epoch\)"):
        separation_law(layered([1.0, 2.0, 3.0]).rename(layer="epoch"))
