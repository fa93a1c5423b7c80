"""The weights of rates in a movement, for rates that are constant: velocities are then geometric series."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from elastic.analysis.step_weights import step_weights

RECORDED = np.arange(4.0)
RATES = np.array([np.nan, 0.5, 0.25, 0.125])


def moved(steps, momentum, nesterov, velocity):
    """Return by exact fractions how far steps of a gradient of 1 go in each epoch, from a velocity on."""
    collected = []
    for rate in (0.5, 0.25, 0.125):
        way = Fraction(0)
        for _ in range(steps):
            velocity = momentum * velocity + 1
            way += Fraction(rate) * (1 + momentum * velocity if nesterov else velocity)
        collected.append(way)
    return collected


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [Fraction(0), Fraction(1, 2), Fraction(3, 4)])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_constant_rate_moves_as_its_steps_do(steps, momentum, nesterov):
    """From epoch 0 at rest; from later on as after a long time, with the velocity 1/(1 − μ)."""
    rule = steps, float(momentum), float(nesterov)
    start = [float(way) for way in moved(steps, momentum, nesterov, Fraction(0))]
    np.testing.assert_allclose(step_weights(RECORDED, RECORDED, RATES, *rule).sum(axis=1), start, rtol=1e-14)
    whole = step_weights(RECORDED[[0, 3]], RECORDED, RATES, *rule).sum()
    assert whole == pytest.approx(sum(start), rel=1e-14)
    long = [float(way) for way in moved(steps, momentum, nesterov, 1 / (1 - momentum))]
    later = step_weights(RECORDED[1:], RECORDED, RATES, *rule)
    np.testing.assert_allclose(later.sum(axis=1), [way * 0.5 for way in long[:2]], rtol=1e-14)


def test_probes_between_which_no_step_is_taken_move_nothing():
    weights = step_weights(np.array([0.0, 0.25, 1.0]), RECORDED, RATES, 1, 0.0)
    np.testing.assert_array_equal(weights, [[0, 0, 0], [0, 0.25, 0.25]])


def test_a_rate_that_is_not_known_makes_its_own_movement_unknown_and_no_later_one():
    weights = step_weights(RECORDED, RECORDED, np.array([np.nan, 0.5, np.nan, 0.125]), 2, 0.5)
    assert np.isnan(weights).any(axis=1).tolist() == [False, True, False]
    beyond = step_weights(np.array([0.0, 3.0, 4.0]), RECORDED, RATES, 1, 0.0)
    assert np.isnan(beyond).any(axis=1).tolist() == [False, True]
