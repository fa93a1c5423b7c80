"""The optimum of the supervised contrastive loss against the loss itself, as the paper writes it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support import oracles

from elastic.errors import ElasticError
from elastic.theory import supervised_contrastive

#: classes, per_class, temperature
BALANCED = [(2, 2, 1.0), (3, 2, 0.1), (4, 3, 0.5), (5, 2, 0.07)]


def simplex(classes):
    """K unit rows with cosines −1/(K−1)."""
    return (np.eye(classes) - 1 / classes) * math.sqrt(classes / (classes - 1))


@pytest.mark.parametrize(("K", "n", "tau"), BALANCED)
def test_it_is_the_loss_of_a_collapsed_simplex(K, n, tau):
    labels = np.tile(np.arange(K), n)
    values = oracles.supervised_contrastive(simplex(K)[labels], labels, tau)
    assert values == pytest.approx(supervised_contrastive(K, n, tau).loss, rel=1e-9)


@pytest.mark.parametrize(("K", "n", "tau"), BALANCED)
@pytest.mark.parametrize("spread", [1e-2, 0.3, 3.0])
def test_no_features_have_less(K, n, tau, spread):
    labels, generator = np.tile(np.arange(K), n), np.random.default_rng(0)
    least = supervised_contrastive(K, n, tau).loss
    for _ in range(20):
        features = simplex(K)[labels] + spread * generator.normal(size=(len(labels), K))
        assert oracles.supervised_contrastive(features, labels, tau).mean() > least


def test_a_cold_batch_of_pairs_keeps_its_digits():
    # One partner: the loss is n(K−1)e^{−K/((K−1)τ)} itself, far below the rounding of 1
    assert supervised_contrastive(2, 2, 0.02).loss == pytest.approx(2 * math.exp(-100), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((1, 2, 1.0), "classes"), ((3, 1, 1.0), "per_class"), ((3, 2, 0.0), "temperature"), ((3, 2, "x"), "temperature")],
)
def test_numbers_out_of_range_are_told(arguments, named):
    with pytest.raises(ElasticError, match=named):
        supervised_contrastive(*arguments)
