"""The layer-peeled model: closed form and programme against the objective itself, and against one another."""

from __future__ import annotations

import builtins
import math

import numpy as np
import pytest
from support.objectives import bounded, cross_entropy, labels_of, layer_peeled_loss

from elastic.errors import ElasticError
from elastic.theory import layer_peeled, layer_peeled_imbalanced

#: classes, per_class, e_h, e_w
BALANCED = {
    "two classes": (2, 3, 1.0, 1.0),
    "four classes": (4, 2, 3.0, 0.5),
    "ten classes": (10, 1, 2.0, 2.0),
    "tight bounds": (5, 2, 0.01, 0.04),
}
#: per_class, e_h, e_w
IMBALANCED = {
    "two classes": ([8, 1], 1.0, 2.0),
    "three sizes": ([10, 5, 1], 1.0, 1.0),
    "minority apart": ([6, 6, 3, 3], 5.0, 1.0),
    "minority collapsed": ([20, 20, 1, 1], 1.0, 1.0),
    "all sizes": ([2, 7, 20, 1, 3], 2.0, 0.5),
    "tight bounds": ([20, 1, 1], 0.01, 0.01),
}


def least_layer_peeled(least, per_class, e_h, e_w, d):
    shapes = [(len(per_class), d), (d, sum(per_class))]
    loss, (V, U) = least(layer_peeled_loss(per_class, e_h, e_w), shapes, 3)
    return loss, *bounded(V, U, per_class, e_h, e_w)


def projected_gradient(per_class, e_h, e_w, d, steps=6000, rate=2.0):
    """Descend on W and on one feature vector a class, pulled back to the bounds wherever a step leaves them."""
    K = len(per_class)
    weights, generator = np.array(per_class) / sum(per_class), np.random.default_rng(0)
    W, H = generator.normal(size=(K, d)), generator.normal(size=(d, K))
    for _ in range(steps):
        _, G = cross_entropy(W @ H, np.eye(K), weights)
        W, H = W - rate * G @ H.T, H - rate * W.T @ G
        W *= min(1, math.sqrt(K * e_w) / np.linalg.norm(W))
        H *= min(1, math.sqrt(K * e_h) / np.linalg.norm(H))
    return cross_entropy(W @ H, np.eye(K), weights)[0], W, H


@pytest.mark.parametrize(("K", "n", "e_h", "e_w"), BALANCED.values(), ids=BALANCED)
def test_balanced_the_closed_form_is_the_least_loss(least, K, n, e_h, e_w):
    loss, W, H = least_layer_peeled(least, [n] * K, e_h, e_w, K + 1)
    assert loss == pytest.approx(layer_peeled(K, e_h, e_w).loss, rel=1e-6)
    np.testing.assert_allclose((W**2).sum(1), e_w, rtol=1e-3)
    np.testing.assert_allclose((H**2).sum(0), e_h, rtol=1e-3)


@pytest.mark.parametrize(("K", "n", "e_h", "e_w"), BALANCED.values(), ids=BALANCED)
def test_balanced_the_programme_gives_the_simplex(K, n, e_h, e_w):
    result = layer_peeled_imbalanced([n] * K, e_h, e_w)
    assert result.loss == pytest.approx(layer_peeled(K, e_h, e_w).loss, rel=1e-6)
    simplex = (np.eye(K) * K - 1) / (K - 1)
    np.testing.assert_allclose(result.classifier_gram, e_w * simplex, atol=1e-4 * e_w)
    np.testing.assert_allclose(result.feature_gram, e_h * simplex, atol=1e-4 * e_h)


@pytest.mark.parametrize("d", ["K - 1", "2K"])
@pytest.mark.parametrize(("per_class", "e_h", "e_w"), IMBALANCED.values(), ids=IMBALANCED)
def test_minimising_features_and_weights_reaches_the_programme(least, per_class, e_h, e_w, d):
    K, y = len(per_class), labels_of(per_class)
    optimum = layer_peeled_imbalanced(per_class, e_h, e_w)
    loss, W, H = least_layer_peeled(least, per_class, e_h, e_w, K - 1 if d == "K - 1" else 2 * K)
    assert loss == pytest.approx(optimum.loss, rel=1e-6)
    np.testing.assert_allclose(W @ W.T, optimum.classifier_gram, atol=2e-3 * e_w)
    # Every sample is free, and yet those of a class coincide.
    np.testing.assert_allclose(H.T @ H, optimum.feature_gram[np.ix_(y, y)], atol=2e-3 * e_h)


@pytest.mark.parametrize("name", ["three sizes", "minority apart", "all sizes"])
def test_projected_gradient_descent_ends_at_the_programmes_optimum(name):
    per_class, e_h, e_w = IMBALANCED[name]
    optimum = layer_peeled_imbalanced(per_class, e_h, e_w)
    loss, W, H = projected_gradient(per_class, e_h, e_w, 2 * len(per_class))
    assert loss == pytest.approx(optimum.loss, rel=1e-6)
    np.testing.assert_allclose(W @ W.T, optimum.classifier_gram, atol=2e-3 * e_w)
    np.testing.assert_allclose(H.T @ H, optimum.feature_gram, atol=2e-3 * e_h)


@pytest.mark.parametrize(("per_class", "e_h", "e_w"), IMBALANCED.values(), ids=IMBALANCED)
def test_the_programme_spends_both_bounds_on_vectors(per_class, e_h, e_w):
    result, K = layer_peeled_imbalanced(per_class, e_h, e_w), len(per_class)
    for gram, bound in ((result.classifier_gram, e_w), (result.feature_gram, e_h)):
        assert np.trace(gram) == pytest.approx(K * bound, rel=1e-5)
        np.testing.assert_allclose(gram, gram.T, atol=1e-6 * bound)
        assert np.linalg.eigvalsh(gram).min() > -1e-6 * bound


def test_renumbered_classes_renumber_the_geometry():
    one, other = layer_peeled_imbalanced([9, 4, 2], 1.0, 2.0), layer_peeled_imbalanced([2, 9, 4], 1.0, 2.0)
    order = np.ix_([2, 0, 1], [2, 0, 1])
    np.testing.assert_allclose(one.classifier_gram[order], other.classifier_gram, atol=1e-4)
    np.testing.assert_allclose(one.feature_gram[order], other.feature_gram, atol=1e-4)


def test_the_wider_the_bounds_the_less_the_loss_from_chance_to_nothing():
    losses = [layer_peeled_imbalanced([5, 3, 1], reach, reach).loss for reach in (1e-3, 0.1, 1.0, 5.0, 30.0, 1e3)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(math.log(3), rel=1e-2)
    assert losses[3] > 1e-5
    assert losses[-1] == pytest.approx(0, abs=1e-8)


def test_nothing_allowed_is_chance():
    assert layer_peeled(4, 0.0, 3.0).loss == math.log(4)


def test_without_cvxpy_the_command_that_brings_it_is_told(monkeypatch):
    bring = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.split(".")[0] == "cvxpy":
            raise ImportError("No module named 'cvxpy'")
        return bring(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ElasticError, match=r"No module named 'cvxpy'; try pip install 'elastic-collapse\[theory\]'"):
        layer_peeled_imbalanced([5, 3], 1.0, 1.0)
    assert layer_peeled(2, 1.0, 1.0).loss > 0  # needs none
