"""Minimising an objective itself, which knows nothing of the formula that it is to confirm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize


@pytest.fixture
def least():
    """Return ``(objective, shapes, starts, scale) -> (loss, arrays)``: the best of L-BFGS runs from random starts.

    objective: arrays of these shapes -> (value, gradients).
    """

    def best(objective, shapes, starts=4, scale=1.0, seed=0):
        sizes = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])

        def arrays(x):
            return [x[a:b].reshape(shape) for a, b, shape in zip(sizes, sizes[1:], shapes, strict=False)]

        def flat(x):
            value, gradients = objective(*arrays(x))
            return value, np.concatenate([np.ravel(g) for g in gradients])

        options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 30}
        generator = np.random.default_rng(seed)
        collected = [
            minimize(flat, scale * generator.normal(size=sizes[-1]), jac=True, method="L-BFGS-B", options=options)
            for _ in range(starts)
        ]
        result = min(collected, key=lambda r: r.fun)
        return result.fun, arrays(result.x)

    return best
