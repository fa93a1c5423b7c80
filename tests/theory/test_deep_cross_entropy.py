"""Cross-entropy over unconstrained features under several linear layers: closed forms against the objective itself."""

from __future__ import annotations

import numpy as np
import pytest
from support.objectives import cross_entropy, one_hot

from elastic.errors import DegenerateInput, OptionError
from elastic.theory import cross_entropy_ufm, deep_cross_entropy_code, deep_cross_entropy_ufm


def objective(factors, per_class, penalties):
    """(1/N) Σ CE(F_m ⋯ F_1, y) + Σ λ_i/2 ‖F_i‖², and its gradients, from the definition."""
    Y = one_hot(per_class)
    before = [np.eye(Y.shape[1])]
    for F in factors:
        before.append(F @ before[-1])
    loss, behind = cross_entropy(before[-1], Y, 1 / Y.shape[1])
    gradients = []
    for F, inner, p in zip(factors[::-1], before[-2::-1], penalties[::-1], strict=True):
        loss += p / 2 * (F**2).sum()
        gradients.append(behind @ inner.T + p * F)
        behind = F.T @ behind
    return loss, gradients[::-1]


def balanced_factors(Z, penalties):
    """Factors of Z with λ_i σ_j(F_i)² the same for every i, over its rank."""
    U, s, V = np.linalg.svd(Z, full_matrices=False)
    rank = int((s > 1e-9 * s[0]).sum())
    U, s, V, m = U[:, :rank], s[:rank], V[:rank], len(penalties)
    c = np.prod(penalties) ** (1 / m)
    values = [np.sqrt(c / p) * s ** (1 / m) for p in penalties]
    return [values[0][:, None] * V, *(np.diag(v) for v in values[1:-1]), U * values[-1]]


def simplices(K, g):
    return np.kron(np.eye(K // g), (g * np.eye(g) - 1) / (g - 1))


CASES = {
    "collapse of ten": (10, 5, [2**-10] * 4, None),
    "pairs of ten": (10, 5, [2**-10] * 4, 2),
    "five simplices": (10, 5, [2**-10] * 4, 5),
    "two simplices of three": (6, 2, [1e-3, 4e-3, 2e-3], 3),
    "pairs of four": (4, 3, [1e-3, 2e-3, 1e-3, 5e-4, 1e-3], 2),
    "one weight layer": (4, 3, [1e-2, 2e-2], None),
}


@pytest.mark.parametrize(("K", "n", "penalties", "group"), CASES.values(), ids=CASES)
def test_factors_of_the_family_have_the_loss_and_no_gradient(K, n, penalties, group):
    optimum = deep_cross_entropy_ufm(K, n, penalties, group)
    Z = optimum.scale * np.repeat(simplices(K, group or K), n, axis=1)
    np.testing.assert_allclose(np.linalg.svd(Z, compute_uv=False), optimum.singular_values, atol=1e-9)
    assert optimum.rank == K - K // (group or K) == np.linalg.matrix_rank(Z)
    loss, gradients = objective(balanced_factors(Z, penalties), [n] * K, penalties)
    assert loss == pytest.approx(optimum.loss, rel=1e-10)
    assert max(abs(G).max() for G in gradients) < 1e-9


@pytest.mark.parametrize("group", [None, 2, 5])
def test_no_other_scale_is_better(group):
    optimum = deep_cross_entropy_ufm(10, 5, [2**-10] * 4, group)
    for scale in [1e-3, *np.geomspace(0.01, 100, 400)]:
        Z = scale * np.repeat(simplices(10, group or 10), 5, axis=1)
        assert objective(balanced_factors(Z, [2**-10] * 4), [5] * 10, [2**-10] * 4)[0] >= optimum.loss - 1e-12


@pytest.mark.parametrize("K", [2, 3, 10])
@pytest.mark.parametrize(("w", "h"), [(1e-3, 1e-3), (5e-3, 1e-4), (0.05, 0.05), (0.5, 0.5)])
def test_one_weight_layer_is_the_model_of_zhu(K, w, h):
    deep, known = deep_cross_entropy_ufm(K, 4, [h, w]), cross_entropy_ufm(K, 4, w, h)
    assert deep.loss == pytest.approx(known.loss, rel=1e-9)
    assert deep.scale * K / (K - 1) == pytest.approx(known.logit_gap, rel=1e-6, abs=1e-5)


def test_training_comes_below_full_collapse_and_to_the_pairs_or_lower(least):
    """What Garrod and Keating prove: for K = 6 and three weight layers collapse is not optimal."""
    K, n, penalties, d = 6, 2, [2**-9] * 4, 6
    shapes = [(d, K * n), (d, d), (d, d), (K, d)]
    loss, _ = least(lambda *factors: objective(factors, [n] * K, penalties), shapes, 12)
    assert loss < deep_cross_entropy_ufm(K, n, penalties).loss - 1e-3
    assert loss <= deep_cross_entropy_ufm(K, n, penalties, group=2).loss + 1e-6


def test_a_code_is_as_good_as_its_factors():
    generator = np.random.default_rng(0)
    code = generator.normal(size=(3, 8))
    code /= np.linalg.norm(code, axis=0)
    optimum = deep_cross_entropy_code(code, 4, [1e-3, 2e-3, 5e-4])
    assert optimum.rank == 3
    Z = optimum.scale * np.repeat(code.T @ code, 4, axis=1)
    loss, _ = objective(balanced_factors(Z, [1e-3, 2e-3, 5e-4]), [4] * 8, [1e-3, 2e-3, 5e-4])
    assert loss == pytest.approx(optimum.loss, rel=1e-10)


def test_a_code_of_unequal_norms_is_scaled_without_overflow():
    """A short vector beside a long one of the same direction: its class is decided for the other at every scale."""
    optimum = deep_cross_entropy_code([[1.0, 3.0, -1.0]], 2, [1e-3, 1e-3, 1e-3])
    assert np.isfinite(optimum.loss)
    assert optimum.loss < np.log(3)


def test_strong_penalties_silence_all_logits():
    optimum = deep_cross_entropy_ufm(4, 2, [1.0, 1.0, 1.0])
    assert (optimum.scale, optimum.rank, optimum.loss) == (0.0, 0, pytest.approx(np.log(4), rel=1e-15))


@pytest.mark.parametrize(
    ("call", "error", "word"),
    [
        (lambda: deep_cross_entropy_ufm(10, 5, [1e-3] * 3, group=3), OptionError, "try 2, 5, 10"),
        (lambda: deep_cross_entropy_ufm(10, 5, [1e-3] * 3, group=1), DegenerateInput, "`group`"),
        (lambda: deep_cross_entropy_ufm(10, 5, [0.0, 1e-3]), OptionError, r"penalties\[0\]"),
        (lambda: deep_cross_entropy_ufm(1, 5, [1e-3]), DegenerateInput, "`classes`"),
        (lambda: deep_cross_entropy_ufm(2, 0, [1e-3]), DegenerateInput, "`per_class`"),
        (lambda: deep_cross_entropy_code([[0, 0]], 5, [1e-3]), OptionError, "not all 0"),
        (lambda: deep_cross_entropy_code([1, 2], 5, [1e-3]), OptionError, "matrix"),
        (lambda: deep_cross_entropy_code([[1, 2], [3]], 5, [1e-3]), OptionError, "matrix"),
        (lambda: deep_cross_entropy_code([["a", 2]], 5, [1e-3]), OptionError, "matrix"),
        (lambda: deep_cross_entropy_code([[1.0], [2.0]], 5, [1e-3]), DegenerateInput, "2 classes"),
        (lambda: deep_cross_entropy_code(7, 5, [1e-3]), OptionError, "`code`"),
    ],
)
def test_what_is_no_model_is_refused(call, error, word):
    with pytest.raises(error, match=word):
        call()
