"""Cross-entropy with penalties over unconstrained features: the closed form against the objective itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from support.objectives import labels_of, penalised_loss

from elastic.theory import cross_entropy_ufm

#: classes, per_class, lambda_w, lambda_h, smoothing, features
CASES = {
    "two classes": (2, 5, 0.02, 0.03, 0.0, 4),
    "four classes": (4, 3, 0.01, 0.02, 0.0, 6),
    "as few features as carry a simplex": (4, 4, 0.01, 0.01, 0.0, 3),
    "ten classes": (10, 2, 0.004, 0.003, 0.0, 12),
    "weak penalties": (3, 4, 1e-4, 1e-4, 0.0, 5),
    "just alive": (4, 4, 0.124, 0.124, 0.0, 5),
    "silent": (4, 4, 0.13, 0.13, 0.0, 5),
    "smoothed": (3, 4, 0.01, 0.02, 0.1, 5),
    "smoothed, five classes": (5, 3, 0.005, 0.01, 0.3, 6),
    "smoothed until nothing is left": (3, 4, 0.1, 0.02, 0.8, 5),
}


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "free bias"])
@pytest.mark.parametrize(("K", "n", "w", "h", "smoothing", "d"), CASES.values(), ids=CASES)
def test_minimising_features_and_weights_reaches_the_closed_form(least, K, n, w, h, smoothing, d, bias):
    optimum = cross_entropy_ufm(K, n, w, h, smoothing)
    shapes = [(K, d), (d, K * n), *([(K, 1)] if bias else [])]
    loss, (W, H, *_) = least(penalised_loss([n] * K, w, h, smoothing), shapes, 3)
    assert loss == pytest.approx(optimum.loss, rel=1e-6)
    Z, y = W @ H, labels_of([n] * K)
    own = Z[y, np.arange(K * n)]
    others = np.ma.array(Z, mask=np.eye(K)[:, y])
    np.testing.assert_allclose((own - others).compressed(), optimum.logit_gap, rtol=1e-3, atol=2e-3)


def test_the_cases_are_alive_and_silent():
    silent = [cross_entropy_ufm(*case[:5]).logit_gap == 0 for case in CASES.values()]
    assert sum(silent) == 2


@pytest.mark.parametrize("n", [1, 7, 500])
@pytest.mark.parametrize("K", [2, 10])
@pytest.mark.parametrize(("w", "h"), [(1e-3, 1e-5), (5e-4, 5e-4), (1e-2, 1e-4)])
def test_the_norm_of_the_weights_minimises_the_same_number(K, n, w, h):
    """Zhu et al.: over ρ = ‖W‖², with features √(λ_W/nλ_H) times the weights."""

    def loss(rho):
        return math.log1p((K - 1) * math.exp(-rho / (K - 1) * math.sqrt(w / (n * h)))) + w * rho

    result = minimize_scalar(loss, bounds=(0, 1e4), method="bounded", options={"xatol": 1e-9, "maxiter": 2000})
    assert cross_entropy_ufm(K, n, w, h).loss == pytest.approx(result.fun, rel=1e-9)


def test_without_penalties_only_smoothed_labels_have_a_finite_optimum():
    assert cross_entropy_ufm(3, 5, 0.0, 0.1).loss == 0
    assert cross_entropy_ufm(3, 5, 0.0, 0.1).logit_gap == math.inf
    q = np.array([0.8, 0.1, 0.1])  # δ = 0.3
    smoothed = cross_entropy_ufm(3, 5, 0.0, 0.1, 0.3)
    assert smoothed.loss == pytest.approx(-(q * np.log(q)).sum())  # the entropy of the targets
    assert smoothed.logit_gap == pytest.approx(math.log(8))


def test_the_loss_grows_with_penalties_and_smoothing_up_to_chance():
    losses = [cross_entropy_ufm(4, 6, 10.0**-k, 1e-2, 0.1).loss for k in range(6)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == math.log(4)
    assert losses[0] > losses[1] > cross_entropy_ufm(4, 6, 1e-1, 1e-2, 0.0).loss
