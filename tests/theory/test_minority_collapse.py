"""Where classifiers of rare classes become one: the thresholds against the optima on both sides of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.objectives import bounded, layer_peeled_loss, penalised_loss

from elastic.theory import layer_peeled_imbalanced, minority_collapse_count, minority_collapse_ratio
from elastic.theory.minority_collapse import _threshold_of


def cosine(W, j, k):
    return W[j] @ W[k] / np.sqrt((W[j] @ W[j]) * (W[k] @ W[k]))


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "free bias"])
@pytest.mark.parametrize("per_class", [[20, 20, 5, 5], [30, 12, 5, 5], [40, 3, 3, 3]])
@pytest.mark.parametrize("side", [1.06, 1 / 1.06])
def test_with_penalties_minority_classifiers_coincide_up_to_the_count(least, per_class, side, bias):
    n, N = per_class[-1], sum(per_class)
    strength = math.sqrt(n * side) / N  # the count is n·side
    assert minority_collapse_count(N, 2 * strength, strength / 2) == pytest.approx(n * side)
    shapes = [(4, 5), (5, N), *([(4, 1)] if bias else [])]
    _, (W, *_) = least(penalised_loss(per_class, 2 * strength, strength / 2), shapes, 3)
    if side > 1:
        assert cosine(W, 2, 3) > 1 - 1e-6
    else:
        assert cosine(W, 2, 3) < 1 - 1e-2


#: classes, majority classes, e_h, e_w
RATIOS = [(3, 1, 1.0, 1.0), (4, 2, 5.0, 1.0), (5, 1, 0.5, 2.0), (5, 3, 1.0, 0.3), (10, 5, 5.0, 1.0), (10, 8, 2.0, 0.5)]


@pytest.mark.parametrize(("K", "K_A", "e_h", "e_w"), RATIOS)
def test_beyond_the_ratio_the_programmes_minority_is_one_and_below_it_is_not(K, K_A, e_h, e_w):
    ratio = minority_collapse_ratio(K, K_A, e_h, e_w)

    def minority_cosine(R):
        per_class = [round(10_000 * R)] * K_A + [10_000] * (K - K_A)
        gram = layer_peeled_imbalanced(per_class, e_h, e_w).classifier_gram
        return gram[K - 2, K - 1] / math.sqrt(gram[K - 2, K - 2] * gram[K - 1, K - 1])

    assert minority_cosine(1.02 * ratio) > 1 - 1e-5
    assert minority_cosine(0.98 * ratio) < 1 - 1e-3
    assert minority_cosine(0.9 * ratio) < minority_cosine(0.98 * ratio)


@pytest.mark.parametrize("side", [1.15, 1 / 1.15])
def test_beyond_the_ratio_minimising_makes_the_minority_one_and_below_it_does_not(least, side):
    K, K_A, e_h, e_w = 4, 2, 1.0, 1.5
    n_A = minority_collapse_ratio(K, K_A, e_h, e_w) * side * 2
    per_class = [round(n_A)] * K_A + [2] * (K - K_A)
    _, (V, U) = least(layer_peeled_loss(per_class, e_h, e_w), [(K, 2 * K), (2 * K, sum(per_class))], 3)
    W, _ = bounded(V, U, per_class, e_h, e_w)
    assert (cosine(W, 2, 3) > 1 - 1e-5) == (side > 1)


@pytest.mark.parametrize(("K", "K_A"), [(3, 1), (10, 5), (100, 2), (100, 98)])
def test_the_wider_the_bounds_the_rarer_a_minority_may_be(K, K_A):
    ratios = [minority_collapse_ratio(K, K_A, 10.0**k, 1.0) for k in range(-8, 4)]
    assert ratios == sorted(ratios)
    assert ratios[0] == pytest.approx(1, abs=1e-2)
    assert ratios[-1] > 1e3
    assert minority_collapse_ratio(K, K_A, 4.0, 1.0) == minority_collapse_ratio(K, K_A, 0.5, 8.0)


@pytest.mark.parametrize(("K_A", "K_B"), [(1, 2), (2, 2), (5, 5), (1, 99), (98, 2)])
def test_every_ratio_is_the_threshold_of_one_bound_only(K_A, K_B):
    log_ratios = np.concatenate([np.logspace(-9, 0, 50), np.linspace(1.1, 690, 300)])
    assert (np.diff([_threshold_of(K_A, K_B, x) for x in log_ratios]) > 0).all()


def test_bounds_beyond_any_ratio():
    assert minority_collapse_ratio(3, 1, 1e6, 1e6) == math.inf
    assert minority_collapse_ratio(3, 1, 0.0, 5.0) == 1
