"""Plateaus and rates, against loops and against courses whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from elastic.analysis.course import plateau, rate
from elastic.errors import OptionError

EPOCHS = [0, 1, 3, 10, 30, 100]
COURSES = st.lists(st.sampled_from([0.0, 1.0, 1.05, 1.2, 4.0, math.nan]), min_size=6, max_size=6)


def course(values, epochs=EPOCHS) -> xr.DataArray:
    return xr.DataArray(values, dims="epoch", coords={"epoch": epochs[: len(values)]}, name="nc1")


def plateau_by_hand(values, factor):
    there = [(epoch, value) for epoch, value in zip(EPOCHS, values, strict=True) if not math.isnan(value)]
    if not there:
        return math.nan, math.nan
    level, since, probes = there[-1][1], math.nan, 0
    for epoch, value in reversed(there):
        if not level / factor <= value <= level * factor:
            break
        since, probes = epoch, probes + 1
    return level, since if probes > 1 else math.nan


@given(COURSES, st.sampled_from([1.01, 1.1, 1.5, 10.0]))
def test_plateau_begins_where_all_later_values_are_near_the_last(values, factor):
    estimates = plateau(course(values), factor=factor)
    expected = plateau_by_hand(values, factor)
    assert (float(estimates["level"]), float(estimates["since"])) == pytest.approx(expected, nan_ok=True)


def test_a_course_that_still_falls_has_no_plateau():
    estimates = plateau(course([32.0, 16.0, 8.0, 4.0, 2.0, 1.0]))
    assert float(estimates["level"]) == 1
    assert np.isnan(estimates["since"])


@given(st.floats(0.01, 5), st.floats(1e-6, 1e6))
def test_rate_is_the_exponent_of_a_power_law_in_any_unit(exponent, scale):
    fall = course([7.0, *(scale * epoch**-exponent for epoch in EPOCHS[1:])])
    assert float(rate(fall)) == pytest.approx(exponent, rel=1e-9)
    assert float(rate(fall.assign_coords(epoch=[5 * e for e in EPOCHS]))) == pytest.approx(exponent, rel=1e-9)


def test_rate_is_least_squares_on_logs():
    values = [9.0, 3.0, 4.0, 0.5, math.nan, 0.6]
    there = [(math.log10(e), math.log10(v)) for e, v in zip(EPOCHS, values, strict=True) if e > 0 and v == v]
    x, y = (sum(column) / len(there) for column in zip(*there, strict=True))
    slope = sum((a - x) * (b - y) for a, b in there) / sum((a - x) ** 2 for a, _ in there)
    assert float(rate(course(values))) == pytest.approx(-slope)


def test_a_constant_falls_at_rate_zero():
    assert str(float(rate(course([0.3, 0.3, 0.1 + 0.2, 0.3])))) == "0.0"


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], [1.0, 2.0, 0.0], [1.0, 2.0, -1.0, 3.0], [math.nan] * 4, [1, 2, math.inf]]
)
def test_where_there_is_no_rate_none_is_given(values):
    assert np.isnan(rate(course(values)))


def test_every_layer_and_seed_has_its_own():
    values = np.random.default_rng(0).lognormal(size=(2, 6, 3))
    cube = xr.DataArray(values, dims=("seed", "epoch", "layer"), coords={"epoch": EPOCHS})
    fall, level = rate(cube), plateau(cube)["level"]
    assert fall.dims == level.dims == ("seed", "layer")
    for seed in range(2):
        for layer in range(3):
            assert float(fall[seed, layer]) == pytest.approx(float(rate(course(values[seed, :, layer]))))
            assert float(level[seed, layer]) == values[seed, -1, layer]


def test_a_wrong_option_is_told():
    with pytest.raises(OptionError, match=r"`factor` should be above 1; found 0\.9; try factor=1.1"):
        plateau(course([1.0, 2.0]), factor=0.9)
    with pytest.raises(OptionError, match=r"`factor` should be above 1; found 1\.0"):
        plateau(course([1.0, 2.0]), factor=1.0)
    with pytest.raises(OptionError, match="`nc1` should lie along epoch"):
        rate(course([1.0, 2.0]).rename(epoch="layer"))
