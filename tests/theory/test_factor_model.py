"""The squared loss of a product of factors: the closed form against the objective itself."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.objectives import factors_loss, one_hot

from elastic import measure_collapse
from elastic.theory import mse_factor_layer, mse_factor_model


def shapes_of(per_class, penalties, width):
    widths = [sum(per_class), *[width] * (len(penalties) - 1), len(per_class)]
    return list(zip(widths[1:], widths, strict=False))


#: per_class, penalties, width of every layer
CASES = {
    "one factor": ([3, 5], [0.07], None),
    "one factor without penalty": ([3, 5], [0.0], None),
    "two, two classes": ([4, 4], [0.02, 0.05], 2),
    "two, wide": ([3, 3, 3], [0.01, 0.03], 7),
    "two, imbalanced": ([12, 5, 2, 1], [0.01, 0.02], 4),
    "two, some classes silent": ([12, 8, 2, 1], [0.06, 0.1], 4),
    "two, all silent": ([4, 4, 4], [0.2, 0.2], 5),
    "two, at the threshold": ([4, 4, 4], [1 / 6, 1 / 6], 3),
    "two, no penalty at all": ([4, 4], [0.0, 0.0], 3),
    "two, ten classes": ([2] * 10, [0.004, 0.002], 10),
    "three": ([5, 5, 5], [0.01, 0.02, 0.01], 3),
    "three, wide and imbalanced": ([10, 6, 3], [0.005, 0.01, 0.02], 6),
    "three, some classes silent": ([20, 10, 2, 1], [0.04, 0.03, 0.03], 4),
    "three, all silent": ([4, 4, 4], [0.3, 0.2, 0.2], 5),
    "three, just alive": ([4, 4], [0.118, 0.118, 0.118], 3),
    "three, just silent": ([4, 4], [0.135, 0.135, 0.135], 3),
    "four": ([6, 6, 6], [0.01, 0.01, 0.02, 0.02], 4),
    "four, imbalanced": ([9, 4, 2], [0.01, 0.02, 0.01, 0.02], 3),
    "four, some classes silent": ([30, 3, 3], [0.05, 0.05, 0.05, 0.05], 4),
    "four, all silent": ([3, 3], [0.2, 0.2, 0.2, 0.2], 4),
}


@pytest.mark.parametrize(("per_class", "penalties", "width"), CASES.values(), ids=CASES)
def test_minimising_the_factors_reaches_the_closed_form(least, per_class, penalties, width):
    optimum = mse_factor_model(per_class, penalties)
    shapes = shapes_of(per_class, penalties, width)
    # From three factors on, local minima silence any of the classes: starts of several sizes find the deepest.
    runs = [least(factors_loss(per_class, penalties), shapes, 4, scale) for scale in (0.1, 0.5, 1.0)]
    loss, factors = min(runs, key=lambda run: run[0])
    assert loss == pytest.approx(optimum.loss, rel=1e-6, abs=1e-12)
    Z = reduce(lambda inner, F: F @ inner, factors)
    spectrum = np.linalg.svd(Z, compute_uv=False)
    np.testing.assert_allclose(spectrum, np.sort(optimum.singular_values)[::-1], atol=2e-3)
    own = np.diag(Z @ one_hot(per_class).T) / np.sqrt(per_class)
    np.testing.assert_allclose(own, optimum.singular_values, atol=2e-3)


@pytest.mark.parametrize("per_class", [[12, 8, 2, 1], [5, 5]])
@pytest.mark.parametrize("strength", [0.01, 0.06, 0.2])
def test_under_one_layer_of_weights_a_class_is_silent_if_the_penalties_outweigh_its_samples(per_class, strength):
    silent = mse_factor_model(per_class, [strength / 2, 2 * strength]).singular_values == 0
    assert silent.tolist() == [n**0.5 <= sum(per_class) * strength for n in per_class]


@pytest.mark.parametrize(
    ("per_class", "penalties", "width"),
    [
        ([4, 4], [0.02, 0.05], 1),  # K - 1 units carry the simplex
        ([3, 3, 3], [0.01, 0.03], 7),
        ([12, 5, 2, 1], [0.01, 0.02], 4),
        ([12, 8, 2, 1], [0.06, 0.1], 4),
        ([4, 4, 4], [0.2, 0.2], 5),
        ([10, 6, 3], [0.005, 0.01, 0.02], 6),
        ([20, 10, 2, 1], [0.04, 0.03, 0.03], 4),
        ([6, 6, 6], [0.01, 0.01, 0.02, 0.02], 4),
    ],
)
def test_minimising_the_factors_and_a_free_bias_reaches_the_closed_form(least, per_class, penalties, width):
    optimum = mse_factor_model(per_class, penalties, bias=True)
    shapes = [*shapes_of(per_class, penalties, width), (len(per_class), 1)]
    runs = [least(factors_loss(per_class, penalties), shapes, 4, scale) for scale in (0.1, 0.5, 1.0)]
    loss, (*factors, bias) = min(runs, key=lambda run: run[0])
    assert loss == pytest.approx(optimum.loss, rel=1e-6)
    Z = reduce(lambda inner, F: F @ inner, factors)
    np.testing.assert_allclose(np.linalg.svd(Z, compute_uv=False)[: len(per_class)], optimum.singular_values, atol=2e-3)
    np.testing.assert_allclose(Z.sum(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(bias[:, 0], np.array(per_class) / sum(per_class), atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(per_class=st.lists(st.integers(1, 50), min_size=2, max_size=8), m=st.integers(1, 5))
def test_a_bias_never_costs_and_leaves_one_direction_less(per_class, m):
    penalties = [1e-3] * m
    without, free = mse_factor_model(per_class, penalties), mse_factor_model(per_class, penalties, bias=True)
    assert free.loss <= without.loss * (1 + 1e-12)
    assert free.singular_values[-1] == 0
    assert (np.diff(free.singular_values) <= 1e-12).all()
    if len(set(per_class)) == 1:
        K = len(per_class)
        np.testing.assert_allclose(free.singular_values[:-1], without.singular_values[1:], rtol=1e-9)
        assert free.loss == pytest.approx(without.loss * (K - 1) / K, rel=1e-9)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("per_class", [[5, 5, 5], [9, 4, 2]])
def test_layers_multiply_to_the_logits_and_share_the_penalty_alike(per_class, bias):
    penalties = [2e-3, 8e-3, 4e-3]
    layers = [mse_factor_layer(per_class, penalties, number, bias) for number in (1, 2, 3)]
    result = np.sort(mse_factor_model(per_class, penalties, bias).singular_values)[::-1]
    np.testing.assert_allclose(layers[-1].singular_values, result, rtol=1e-12, atol=1e-15)
    shares = [p * layer.factor_singular_values**2 for p, layer in zip(penalties, layers, strict=True)]
    np.testing.assert_allclose(shares[1:], np.broadcast_to(shares[0], (2, 3)), rtol=1e-12, atol=1e-15)
    if len(set(per_class)) == 1:
        for layer in layers:
            spectrum = layer.class_mean_spectrum_centred if bias else layer.class_mean_spectrum
            np.testing.assert_allclose(spectrum, layer.singular_values / np.sqrt(5), rtol=1e-12, atol=1e-12)


def test_the_cases_reach_every_kind_of_optimum():
    silent = [np.mean(mse_factor_model(n, p).singular_values == 0) for n, p, _ in CASES.values()]
    assert {0.0, 1.0} < set(silent)


def test_penalties_are_shared_alike_between_the_factors(least):
    per_class, penalties = [4, 4, 4], [0.002, 0.02, 0.01]
    _, factors = least(factors_loss(per_class, penalties), shapes_of(per_class, penalties, 4), 4, 0.7)
    shares = [p * np.linalg.svd(F, compute_uv=False)[:3] ** 2 for p, F in zip(penalties, factors, strict=True)]
    np.testing.assert_allclose(shares[1:], np.broadcast_to(shares[0], (2, 3)), rtol=1e-4)


@settings(max_examples=200, deadline=None)
@given(
    n=st.integers(1, 500),
    m=st.integers(1, 9),
    strength=st.floats(1e-6, 3.0),
)
def test_no_singular_value_on_a_fine_grid_is_better(n, m, strength):
    N = 2 * n
    penalties = [strength / N * n ** (1 - 1 / m)] * m
    optimum = mse_factor_model([n, n], penalties)
    s = np.linspace(0, 1.1 * np.sqrt(n), 20001)
    values = (np.sqrt(n) - s) ** 2 / (2 * N) + m / 2 * penalties[0] * s ** (2 / m)
    assert optimum.loss / 2 <= values.min() * (1 + 1e-12)
    assert optimum.loss / 2 == pytest.approx(values.min(), rel=1e-6, abs=1e-9)


def test_only_the_product_of_the_penalties_counts():
    one, other = mse_factor_model([5, 9], [1e-3, 4e-3, 2e-3]), mse_factor_model([5, 9], [2e-3, 2e-3, 2e-3])
    assert one.loss == pytest.approx(other.loss, rel=1e-14)


def test_many_tiny_penalties_do_not_vanish_together():
    assert mse_factor_model([1, 1], [1e-80] * 6).loss == pytest.approx(6 * 1e-80, rel=1e-9, abs=0)  # m/2 · c a class


@pytest.mark.parametrize("c", [0.0, 0.3, 0.9, 1.0, 1.7])
def test_tirer_and_brunas_constants(c):
    K, n, lambda_w, lambda_h = 5, 8, 2 * c, c / 2
    optimum = mse_factor_model([n] * K, [lambda_h / (K * n), lambda_w / K])
    np.testing.assert_allclose(optimum.singular_values, np.sqrt(n) * max(1 - c, 0), atol=1e-12)
    assert optimum.loss == pytest.approx(c - c**2 / 2 if c <= 1 else 0.5, rel=1e-12, abs=1e-12)


def test_the_measured_spectrum_of_a_collapsed_model_is_the_predicted_one(least):
    per_class, penalties = [6, 6, 6], [0.01, 0.01, 0.02]
    _, factors = least(factors_loss(per_class, penalties), shapes_of(per_class, penalties, 5), 4, 0.7)
    logits = reduce(lambda inner, F: F @ inner, factors).T
    measured = measure_collapse({"logits": logits}, one_hot(per_class).argmax(0)).sel(layer="logits")
    optimum = mse_factor_model(per_class, penalties)
    np.testing.assert_allclose(np.sqrt(6) * measured["class_mean_spectrum"], optimum.singular_values, rtol=1e-4)
    # About their mean, the orthogonal means have lost one direction.
    np.testing.assert_allclose(
        np.sqrt(6) * measured["class_mean_spectrum_centred"], [*optimum.singular_values[:2], 0], rtol=1e-4, atol=1e-4
    )
