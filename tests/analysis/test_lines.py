"""Lines through logarithms: those of powers of two are exact, and what has no logarithm has no line."""

import math

import numpy as np
import pytest

from elastic.analysis.lines import log_line

LOG2 = math.log(2)


def test_powers_of_two_lie_on_a_line():
    line = log_line(np.array([0.0, 1.0, 3.0]), np.array([2.0, 4.0, 16.0]), least=3)
    assert line == pytest.approx((LOG2, LOG2, 1, 3))


def test_the_line_is_that_of_least_squares():
    """Logarithms 0, 0, 1, 0 in units of log 2 at 0 to 3: the slope is Σ(x − 3/2)y/5 = 1/10, r² = (1/2)²/(5 · 3/4)."""
    line = log_line(np.arange(4.0), np.array([1.0, 1.0, 2.0, 1.0]), least=2)
    assert line == pytest.approx((0.1 * LOG2, 0.1 * LOG2, math.sqrt(1 / 15), 4))


def test_equal_values_have_their_logarithm_for_an_intercept_and_no_correlation():
    line = log_line(np.arange(3.0), np.full(3, 4.0), least=3)
    assert line[:2] == (2 * LOG2, 0)
    assert math.isnan(line.r)
    assert log_line(np.arange(3.0), np.array([0.1 + 0.2, 0.3, 0.3]), least=3).slope == 0


def test_missing_points_are_skipped_and_counted_out():
    missing = log_line(np.array([0.0, 1.0, math.nan, 3.0]), np.array([2.0, math.nan, 9.0, 16.0]), least=2)
    assert missing == pytest.approx((LOG2, LOG2, 1, 2))
    too_few = log_line(np.array([0.0, 1.0]), np.array([2.0, 4.0]), least=3)
    assert (math.isnan(too_few.slope), too_few.points) == (True, 2)


@pytest.mark.parametrize(
    ("positions", "values"),
    [([0, 1, 2], [1, 0, 2]), ([0, 1, 2], [1, -1, 2]), ([0, 1, 2], [1, math.inf, 2]), ([1, 1, 1], [1, 2, 3])],
)
def test_what_has_no_logarithm_or_one_position_has_no_line(positions, values):
    line = log_line(np.array(positions, float), np.array(values, float), least=2)
    assert [math.isnan(number) for number in line] == [True, True, True, False]
