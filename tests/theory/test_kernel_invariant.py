"""The invariant of a class-blocked tangent kernel is conserved along the flow, integrated with the whole kernel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from elastic.errors import DegenerateInput, OptionError
from elastic.theory import kernel_invariant

KERNEL, CLASSES, PER_CLASS, WIDTH = (0.9, 0.4, 0.1), 3, 4, 5
LABELS = np.tile(np.arange(CLASSES), PER_CLASS)


def flow(with_bias, kernel=KERNEL):
    """Return features [d, N] and weights [K, d] at times of the flow, and residuals, with Θ entry by entry."""
    rng = np.random.default_rng(2)
    samples = len(LABELS)
    same = LABELS[:, None] == LABELS
    theta = np.where(np.eye(samples, dtype=bool), kernel[0], np.where(same, kernel[1], kernel[2]))
    targets = np.eye(CLASSES)[:, LABELS]
    sizes = (WIDTH * samples, CLASSES * WIDTH, CLASSES)

    def parts(state):
        features, weights, bias = np.split(state, np.cumsum(sizes)[:-1])
        return features.reshape(WIDTH, samples), weights.reshape(CLASSES, WIDTH), bias

    def velocity(_, state):
        features, weights, bias = parts(state)
        residual = weights @ features + bias[:, None] - targets
        moved = (-weights.T @ residual @ theta, -residual @ features.T, -residual.sum(1) * with_bias)
        return np.concatenate([np.ravel(part) for part in moved])

    start = np.concatenate([rng.normal(size=sum(sizes[:2])), np.zeros(CLASSES)])
    result = solve_ivp(velocity, (0, 3), start, rtol=1e-10, atol=1e-12, t_eval=np.linspace(0, 3, 7))
    return [parts(state)[:2] for state in result.y.T]


@pytest.mark.parametrize("with_bias", [False, True])
def test_it_is_conserved_while_the_kernel_is(with_bias):
    path = flow(with_bias)
    held = [kernel_invariant(h.T, LABELS, w, KERNEL) for h, w in path]
    for later in held[1:]:
        np.testing.assert_allclose(later, held[0], atol=1e-7)
    assert np.abs(path[-1][1].T @ path[-1][1] - path[0][1].T @ path[0][1]).max() > 0.5, "weights moved"
    other = [kernel_invariant(h.T, LABELS, w, (0.9, 0.6, 0.1)) for h, w in (path[0], path[-1])]
    assert np.abs(other[1] - other[0]).max() > 0.1, "of another kernel it is not"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": [0, 0, 1]}, DegenerateInput, "as many samples of each"),
        ({"labels": [0, 0, 0]}, DegenerateInput, "two classes"),
        ({"labels": [0, 1]}, OptionError, "`features` should be"),
        ({"weights": [[1.0]]}, OptionError, "`features` should be"),
        ({"kernel": (1.0, 2.0, 0.0)}, OptionError, "κ_d > κ_c > κ_n"),
        ({"kernel": (3.0, 2.0, float("nan"))}, OptionError, "κ_d > κ_c > κ_n"),
    ],
)
def test_what_makes_no_sense_is_refused(change, error, words):
    given = {"features": np.eye(3)[:, :2], "labels": [0, 1, 2], "weights": np.eye(2), "kernel": KERNEL}
    with pytest.raises(error, match=words):
        kernel_invariant(**given | change)
