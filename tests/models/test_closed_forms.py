"""Trained by elastic's own trainer, the models of free features end where the closed forms say."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from support.free_features import best_trained, layers_of, spectrum, trained

from elastic import measure_collapse, theory

UFM, EXTENDED, DEEP = (f"{kind}unconstrained_features" for kind in ("", "extended_", "deep_"))
CROSS_ENTROPY = ("cross_entropy", {})


def weights_of(snapshot, layer="logits"):
    """Return the matrix of weights that gives a layer."""
    return next(p for p in snapshot.model.stage_parameters(layer) if p.ndim > 1).detach().numpy()


def direction(gram):
    return gram / np.linalg.norm(gram)


def free_bias(first, lambdas):
    """Return penalties that leave out biases: λ on all weights, and what the features' λ (the first) has beyond it."""
    return {"weights": lambdas[-1], first: lambdas[0] - lambdas[-1]}


# Squared error ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "width", "penalties"),
    [
        ((10, 10, 10), 5, (1e-2, 5e-3)),
        ((4, 4, 4, 4, 4), 7, (2e-3, 2e-2)),
        ((3,) * 10, 10, (2e-3, 4e-3)),  # ten classes, just as many features
        ((3,) * 10, 32, (4e-3, 2e-3)),
        ((12, 6, 3), 4, (1e-2, 1e-2)),  # imbalanced: each class has its own value
        ((30, 3, 2), 4, (3e-2, 3e-2)),  # the small classes are given up
        ((4, 4, 4), 6, (0.5, 0.5)),  # all is zero
    ],
)
def test_unconstrained_features_reach_the_optimum_of_squared_error(counts, width, penalties):
    last = trained(UFM, {"width": width}, counts, penalties=penalties)
    assert_optimal(last, counts, theory.mse_factor_model(counts, penalties))


@pytest.mark.parametrize(
    ("name", "options", "counts", "penalties"),
    [
        (EXTENDED, {"widths": [6, 5]}, (8, 8, 8), (5e-3, 5e-3, 5e-3)),
        (EXTENDED, {"widths": [6, 5]}, (12, 8, 4), (2e-3, 8e-3, 4e-3)),
        (EXTENDED, {"widths": [12, 10]}, (3,) * 10, (2e-3, 3e-3, 2e-3)),  # ten classes
        (EXTENDED, {"widths": [5, 5]}, (4, 4, 4), (0.3, 0.2, 0.2)),  # all is zero
        (EXTENDED, {"widths": [4, 4]}, (20, 10, 2, 1), (4e-2, 3e-2, 3e-2)),  # two classes are given up
        (DEEP, {"width": 6, "depth": 3}, (10, 10), (3e-3, 3e-3, 3e-3, 3e-3)),
        (DEEP, {"width": 4, "depth": 3}, (3, 3), (0.2, 0.2, 0.2, 0.2)),  # all is zero
        (DEEP, {"width": 4, "depth": 3}, (30, 3, 3), (5e-2, 5e-2, 5e-2, 5e-2)),  # one class is left
    ],
)
def test_deep_linear_models_reach_the_optimum_of_squared_error(name, options, counts, penalties):
    # For three factors or more any class may be silenced in a local optimum: the best of a few starts counts.
    optimum = theory.mse_factor_model(counts, penalties)
    starts = {"seeds": 2, "scales": (0.5, 1.0)}
    best = best_trained(name, options, counts, optimum=optimum.loss, penalties=penalties, **starts)
    assert_optimal(best, counts, optimum)


@pytest.mark.parametrize(
    ("name", "options", "counts", "penalties"),
    [
        (UFM, {"width": 5}, (10, 10, 10), (1e-2, 5e-3)),
        (UFM, {"width": 3}, (5, 5, 5, 5), (1e-2, 5e-3)),  # K - 1 features carry a simplex
        (UFM, {"width": 5}, (12, 6, 3), (1e-2, 1e-2)),
        (UFM, {"width": 5}, (30, 3, 2), (3e-2, 3e-2)),
        (EXTENDED, {"widths": [6, 5]}, (12, 8, 4), (3e-3, 3e-3, 3e-3)),
        (DEEP, {"width": 4, "depth": 3}, (10, 10, 10), (4e-3, 3e-3, 3e-3, 3e-3)),
    ],
)
def test_with_free_biases_models_reach_the_optimum_of_squared_error(name, options, counts, penalties):
    first = "penultimate" if name == UFM else "free_features"
    optimum = theory.mse_factor_model(counts, penalties, bias=True)
    settings = {"seeds": 2, "penalties": free_bias(first, penalties), "optimum": optimum.loss}
    best = best_trained(name, options | {"bias": True}, counts, **settings)
    assert best.objective == pytest.approx(optimum.loss, rel=1e-6)
    logits = layers_of(best, counts)["logits"]
    mean = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    torch.testing.assert_close(logits.mean(dim=0), mean, rtol=1e-4, atol=1e-6)
    result = torch.linalg.svdvals(logits - mean)[: len(counts)]
    np.testing.assert_allclose(result, optimum.singular_values, rtol=1e-4, atol=1e-4)
    if len(set(counts)) == 1:
        assert float(measured(best, counts).sel(layer="penultimate")["nc2_etf_error"]) < 1e-5


@pytest.mark.parametrize(
    ("name", "options", "counts", "penalties", "bias"),
    [
        (UFM, {"width": 5}, (12, 6, 3), (1e-2, 5e-3), False),
        (EXTENDED, {"widths": [6, 5]}, (8, 8, 8), (2e-3, 8e-3, 4e-3), False),
        (EXTENDED, {"widths": [6, 5]}, (12, 8, 4), (7e-3, 3e-3, 3e-3), True),
        (DEEP, {"width": 6, "depth": 3}, (12, 8, 4), (5e-3, 3e-3, 3e-3, 3e-3), False),
        (DEEP, {"width": 6, "depth": 3}, (8, 8, 8), (5e-3, 3e-3, 3e-3, 3e-3), True),
    ],
)
def test_every_layer_has_the_spectrum_that_theory_tells(name, options, counts, penalties, bias):
    first = "penultimate" if name == UFM else "free_features"
    given = free_bias(first, penalties) if bias else penalties
    settings = {"seeds": 2, "penalties": given, "optimum": theory.mse_factor_model(counts, penalties, bias=bias).loss}
    best = best_trained(name, options | {"bias": bias}, counts, **settings)
    close = {"rtol": 1e-4, "atol": 1e-5}
    for number, (layer, features) in enumerate(layers_of(best, counts).items(), start=1):
        result, outcome = (
            theory.mse_factor_layer(counts, penalties, number, bias),
            measured(best, counts).sel(layer=layer),
        )
        centred = features - features.mean(dim=0) if bias else features
        np.testing.assert_allclose(torch.linalg.svdvals(centred)[: len(counts)], result.singular_values, **close)
        factor = np.linalg.svd(weights_of(best, layer), compute_uv=False)[: len(counts)]
        np.testing.assert_allclose(factor, result.factor_singular_values, **close)
        for metric in ("class_mean_spectrum_centred", *(() if bias else ("class_mean_spectrum",))):
            np.testing.assert_allclose(outcome[metric], getattr(result, metric), err_msg=f"{layer} {metric}", **close)


@pytest.mark.parametrize(("depth", "penalty", "seeds"), [(2, 5e-3, 3), (3, 3e-3, 3)])
def test_with_relu_two_classes_reach_the_linear_optimum_and_never_less(depth, penalty, seeds):
    """Deep collapse is optimal for two classes at any depth (sukenik2023deep)."""
    counts, penalties = (8, 8), (penalty,) * (depth + 1)
    options = {"width": 6, "depth": depth, "activation": "relu"}
    collected = [trained(DEEP, options, counts, penalties=penalties, epochs=3, seed=seed) for seed in range(seeds)]
    objectives = [snapshot.objective for snapshot in collected]
    assert min(objectives) == pytest.approx(theory.mse_factor_model(counts, penalties).loss, rel=1e-6)


@pytest.mark.parametrize("b", [0.0, 0.1, 0.25, 0.5])
def test_with_relu_the_optimum_does_not_fix_the_free_features(b):
    """Values that ReLU cuts off cost nothing: W₁H₁ = s((1 + b)I - b11ᵀ)Y rectifies to sY at the same penalty.

    Its eigenvalues are 0 or more up to b = 1/(K-1), so that their sum is the trace. The free features are then
    anything from an orthogonal frame (b = 0) to a simplex, and only the rectified ones are told by theory.
    """
    K, n, penalties = 3, 4, [3e-3, 2e-3, 4e-3]
    free, inner, outer = (theory.mse_factor_layer([n] * K, penalties, number) for number in (1, 2, 3))
    size = inner.class_mean_spectrum[0]  # of the rectified class means
    values, vectors = np.linalg.eigh(size * ((1 + b) * np.eye(K) - b))
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    ratio = free.class_mean_spectrum[0] / math.sqrt(size)
    last = trained(EXTENDED, {"widths": [K, K], "activation": "relu"}, [n] * K, penalties=penalties, epochs=0)
    H1, W1, W2 = last.model.parameters()
    for parameter, value in (
        (H1, ratio * np.repeat(root, n, axis=1)),
        (W1, root / ratio),
        (W2, outer.factor_singular_values[0] * np.eye(K)),
    ):
        parameter.data.copy_(torch.tensor(value))
    errors = (layers_of(last, [n] * K)["logits"] - torch.eye(K).repeat_interleave(n, dim=0)).square().sum()
    penalty = sum(p / 2 * x.square().sum() for p, x in zip(penalties, (H1, W1, W2), strict=True))
    total = (errors / (2 * K * n) + penalty).item()
    assert total == pytest.approx(theory.mse_factor_model([n] * K, penalties).loss, rel=1e-12)
    frame = float(measured(last, [n] * K).sel(layer="free_features")["orthogonal_frame_error"])
    assert (frame < 1e-6) == (b == 0)


# Cross-entropy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("K", "n", "width", "lambda_h", "lambda_w", "smoothing", "bias"),
    [
        (4, 5, 6, 2e-3, 8e-3, 0.0, False),
        (4, 5, 6, 2e-3, 8e-3, 0.1, False),
        (2, 5, 4, 3e-2, 2e-2, 0.0, False),
        (10, 3, 12, 3e-3, 4e-3, 0.0, False),
        (4, 4, 3, 1e-2, 1e-2, 0.0, False),  # as few features as carry a simplex
        (3, 4, 5, 1e-4, 1e-4, 0.0, False),  # weak penalties
        (4, 4, 5, 0.124, 0.124, 0.0, False),  # just alive: τ = 0.248
        (4, 4, 5, 0.13, 0.13, 0.0, False),  # all is zero: τ = 0.26
        (3, 4, 5, 2e-2, 0.1, 0.8, False),  # smoothed until nothing is left
        (4, 5, 6, 8e-3, 2e-3, 0.0, True),
        (4, 5, 6, 8e-3, 2e-3, 0.1, True),
    ],
)
def test_unconstrained_features_reach_the_optimum_of_cross_entropy(K, n, width, lambda_h, lambda_w, smoothing, bias):
    penalties = free_bias("penultimate", (lambda_h, lambda_w)) if bias else (lambda_h, lambda_w)
    loss = ("cross_entropy", {"smoothing": smoothing})
    last = trained(UFM, {"width": width, "bias": bias}, [n] * K, loss=loss, penalties=penalties)
    optimum = theory.cross_entropy_ufm(K, n, lambda_w, lambda_h, smoothing)
    assert last.objective == pytest.approx(optimum.loss, rel=1e-6)
    logits = layers_of(last, [n] * K)["logits"].sort(dim=1).values
    gaps = logits[:, -1] - logits[:, -2]
    torch.testing.assert_close(gaps, torch.full_like(gaps, optimum.logit_gap), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "free bias"])
@pytest.mark.parametrize("counts", [(20, 20, 5, 5), (40, 3, 3, 3)])
@pytest.mark.parametrize("side", [1.06, 1 / 1.06])
def test_minority_classifiers_coincide_up_to_the_count_and_not_above(counts, side, bias):
    strength = math.sqrt(counts[-1] * side) / sum(counts)
    penalties = (1.25 * strength, 0.8 * strength)
    assert theory.minority_collapse_count(sum(counts), *penalties) == pytest.approx(counts[-1] * side)
    settings = {"penalties": free_bias("penultimate", penalties) if bias else penalties, "epochs": 15}
    last = trained(UFM, {"width": 5, "bias": bias}, counts, loss=CROSS_ENTROPY, **settings)
    one, other = weights_of(last)[-2:]
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert cosine > 1 - 1e-6 if side > 1 else cosine < 1 - 1e-2


@pytest.mark.parametrize("counts", [(6, 3, 1), (5, 5, 1, 1)])
def test_vanishing_penalties_lead_to_the_geometry_of_simplex_encoded_labels(counts):
    geometry, of_samples = theory.seli(counts), np.repeat(range(len(counts)), counts)
    grams = []
    for strength in (1e-4, 1e-6):
        last = trained(UFM, {"width": len(counts)}, counts, loss=CROSS_ENTROPY, penalties=(strength,) * 2, epochs=30)
        H, W = layers_of(last, counts)["penultimate"].numpy(), weights_of(last)
        grams.append((W @ W.T, H @ H.T))
    # The logits grow as log(1/λ) Ẑ + C: what the two differ by has the limit's direction.
    expected = geometry.classifier_gram, geometry.feature_gram[np.ix_(of_samples, of_samples)]
    for weak, weaker, limit in zip(*grams, expected, strict=True):
        assert np.linalg.norm(direction(weaker - weak) - direction(limit)) < 0.02


@pytest.mark.parametrize(("e_h", "e_w"), [(1.0, 1.0), (4.0, 0.5)])
def test_the_layer_peeled_model_reaches_its_optimum(e_h, e_w):
    options, descent = {"width": 8, "e_h": e_h, "e_w": e_w}, ("sgd", {"lr": 6.0})
    last = trained("layer_peeled", options, [5, 5, 5], loss=CROSS_ENTROPY, optimizer=descent, epochs=200)
    assert last.objective == pytest.approx(theory.layer_peeled(3, e_h, e_w).loss, rel=1e-6)


@pytest.mark.parametrize(
    ("counts", "e_h", "e_w", "lr", "collapsed"),
    [
        ((10, 5, 1), 1.0, 1.0, 16.0, False),  # three sizes
        ((6, 6, 3, 3), 5.0, 1.0, 10.0, False),  # R = 2, R₀ = 47.7
        ((6, 6, 2, 2), 1.0, 1.5, 8.0, False),  # R = 3, R₀ = 5.2
        ((12, 12, 2, 2), 1.0, 1.5, 8.0, True),  # R = 6
        ((20, 20, 1, 1), 1.0, 1.0, 8.0, True),  # R = 20, R₀ = 3.4
    ],
)
def test_the_imbalanced_layer_peeled_model_reaches_the_programmes_optimum(counts, e_h, e_w, lr, collapsed):
    options, descent = {"width": 2 * len(counts), "e_h": e_h, "e_w": e_w}, ("sgd", {"lr": lr})
    last = trained("layer_peeled", options, counts, loss=CROSS_ENTROPY, optimizer=descent, epochs=300)
    optimum = theory.layer_peeled_imbalanced(counts, e_h, e_w)
    assert last.objective == pytest.approx(optimum.loss, rel=1e-6)
    W, H = weights_of(last), layers_of(last, counts)["penultimate"].numpy()
    of_samples = np.repeat(range(len(counts)), counts)
    np.testing.assert_allclose(W @ W.T, optimum.classifier_gram, atol=1e-3 * e_w)
    np.testing.assert_allclose(H @ H.T, optimum.feature_gram[np.ix_(of_samples, of_samples)], atol=1e-3 * e_h)
    assert (np.linalg.norm(W[-1] - W[-2]) < 1e-3 * np.linalg.norm(W[-1])) == collapsed


# Where collapse is not the optimum ----------------------------------------------------------------------------


def test_with_cross_entropy_and_three_weight_layers_a_square_beats_the_simplex():
    """Four classes on a square: two singular values, twice as large, cost less than a simplex's three.

    A logit gap of α takes √n α three times on the simplex, 2√n α twice on the square (whose opposite class is 2α
    away); of the penalty's powers 2/m, m = 4 factors, the square's sum is 2√2 < 3 times as large.
    """
    K, n, depth, penalty = 4, 2, 3, 1e-4
    m = depth + 1

    def least(gaps, strengths):
        def objective(a):
            loss = math.log1p(sum(math.exp(-gap * a) for gap in gaps))
            return loss + m / 2 * penalty * sum((s * math.sqrt(n) * a) ** (2 / m) for s in strengths)

        return minimize_scalar(objective, bounds=(1, 60), method="bounded", options={"xatol": 1e-9}).fun

    simplex, square = least((1, 1, 1), (1, 1, 1)), least((1, 1, 2), (2, 2))
    settings = {"loss": CROSS_ENTROPY, "penalties": (penalty,) * m, "epochs": 20}
    best = best_trained(DEEP, {"width": 8, "depth": depth}, (n,) * K, scales=(0.5,), optimum=square, **settings)
    assert best.objective == pytest.approx(square, rel=1e-6)
    assert square < 0.95 * simplex
    assert (spectrum(best, (n,) * K)[2:] < 1e-3).all()


# Helpers ------------------------------------------------------------------------------------------------------


def measured(snapshot, counts):
    return measure_collapse(layers_of(snapshot, counts), np.repeat(range(len(counts)), counts))


def assert_optimal(snapshot, counts, optimum):
    assert snapshot.objective == pytest.approx(optimum.loss, rel=1e-6)
    expected = np.sort(optimum.singular_values)[::-1]
    np.testing.assert_allclose(spectrum(snapshot, counts)[: len(counts)], expected, rtol=1e-4, atol=1e-4)


# Supervised contrastive loss ----------------------------------------------------------------------------------

DESCENT = ("sgd", {"lr": 2.0, "momentum": 0.9})


@pytest.mark.parametrize(
    ("counts", "width", "temperature", "settings"),
    [
        ((6, 6, 6), 4, 0.5, {}),
        ((4,) * 5, 4, 0.2, {}),
        ((3, 3), 3, 1.0, {}),
        ((3, 3), 3, 1.0, {"epochs": 300, "optimizer": DESCENT}),
    ],
)
def test_the_supervised_contrastive_loss_ends_in_a_simplex_of_directions(counts, width, temperature, settings):
    loss = ("supervised_contrastive", {"temperature": temperature})
    last = trained(UFM, {"width": width}, counts, loss=loss, **settings)
    assert last.loss["train"] == pytest.approx(
        theory.supervised_contrastive(len(counts), counts[0], temperature).loss, rel=1e-6
    )
    labels = torch.arange(len(counts)).repeat_interleave(counts[0])
    simplex = torch.where(labels[:, None] == labels, 1.0, -1 / (len(counts) - 1)).double()
    u = torch.nn.functional.normalize(layers_of(last, counts)["penultimate"])
    torch.testing.assert_close(u @ u.T, simplex, rtol=0, atol=1e-3)
    # The classifier, which the loss leaves out, was fitted beside it.
    assert last.accuracy["train"] == 1
