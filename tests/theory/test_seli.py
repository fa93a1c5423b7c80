"""Simplex-encoded-labels interpolation: against the margin problem that defines it, and as a limit."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from support.objectives import labels_of, one_hot, penalised_loss

from elastic.theory import seli

IMBALANCED = [[8, 4, 1], [10, 10, 1, 1], [7, 3, 2, 5, 1]]


def direction(gram):
    return gram / np.linalg.norm(gram)


@pytest.mark.parametrize("K", [2, 3, 10])
@pytest.mark.parametrize("n", [1, 6])
def test_balanced_it_is_the_simplex(K, n):
    simplex = np.eye(K) - 1 / K
    geometry = seli([n] * K)
    np.testing.assert_allclose(geometry.classifier_gram, np.sqrt(n) * simplex, atol=1e-12)
    np.testing.assert_allclose(geometry.feature_gram, simplex / np.sqrt(n), atol=1e-12)


def test_two_classes_are_a_simplex_at_any_imbalance():
    geometry = seli([50, 2])
    np.testing.assert_allclose(direction(geometry.classifier_gram), [[0.5, -0.5], [-0.5, 0.5]], atol=1e-12)
    np.testing.assert_allclose(direction(geometry.feature_gram), [[0.5, -0.5], [-0.5, 0.5]], atol=1e-12)


@pytest.mark.parametrize("per_class", IMBALANCED)
def test_more_imbalanced_classes_are_none(per_class):
    for gram in (seli(per_class).classifier_gram, seli(per_class).feature_gram):
        norms = np.sqrt(np.diag(gram))
        cosines = (gram / np.outer(norms, norms))[~np.eye(len(gram), dtype=bool)]
        assert np.ptp(cosines) > 0.01
        assert np.ptp(norms) / norms.mean() > 0.01


@pytest.mark.parametrize("per_class", [[3, 3, 3], [5, 1], *IMBALANCED])
def test_it_has_the_least_spectrum_of_all_logits_with_margins(per_class):
    """min ‖Z‖_* where every sample's own logit exceeds each other by 1: Z = Ẑ, and its roots are the geometry."""
    Y, y = one_hot(per_class), labels_of(per_class)
    K, N = Y.shape
    Z = cp.Variable((K, N))
    own = cp.sum(cp.multiply(Y, Z), axis=0)
    margins = [own[i] - Z[k, i] >= 1 for i in range(N) for k in range(K) if k != y[i]]
    cp.Problem(cp.Minimize(cp.normNuc(Z)), margins).solve(solver="CLARABEL")
    V, strengths, Ut = np.linalg.svd(Z.value, full_matrices=False)
    geometry = seli(per_class)
    np.testing.assert_allclose((V * strengths) @ V.T, geometry.classifier_gram, atol=1e-3)
    np.testing.assert_allclose((Ut.T * strengths) @ Ut, geometry.feature_gram[np.ix_(y, y)], atol=1e-3)
    assert strengths.sum() == pytest.approx(np.trace(geometry.classifier_gram), rel=1e-5)


@pytest.mark.parametrize("per_class", [[6, 3, 1], [5, 5, 1, 1], [4, 3, 2, 1]])
def test_vanishing_penalties_lead_to_its_direction(least, per_class):
    K, N, y = len(per_class), sum(per_class), labels_of(per_class)
    geometry = seli(per_class)
    errors, grams = [], []
    for strength in (1e-2, 1e-4, 1e-6):
        _, (W, H) = least(penalised_loss(per_class, strength, strength), [(K, K), (K, N)], 2)
        errors.append(np.linalg.norm(direction(W @ W.T) - direction(geometry.classifier_gram)))
        grams.append((W @ W.T, H.T @ H))
    assert errors[0] > errors[1] > errors[2]
    # The logits grow as log(1/λ) Ẑ + C: what the last two differ by has the limit's direction.
    (one_W, one_H), (two_W, two_H) = grams[1:]
    assert np.linalg.norm(direction(two_W - one_W) - direction(geometry.classifier_gram)) < 0.02
    expected = geometry.feature_gram[np.ix_(y, y)]
    assert np.linalg.norm(direction(two_H - one_H) - direction(expected)) < 0.02


def test_features_of_rare_classes_are_long():
    gram = seli([50, 50, 2, 2]).feature_gram
    assert gram[2, 2] > gram[0, 0]
    assert gram[2, 3] == pytest.approx(gram[3, 2])
