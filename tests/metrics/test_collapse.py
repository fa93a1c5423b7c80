from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import cases, oracles

from elastic.errors import DegenerateInput
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.collapse import (
    DualityWeights,
    class_cosine,
    class_mean_norm,
    nc1,
    nc2_classifier_equinorm,
    nc2_equiangle,
    nc2_equinorm,
    nc2_etf_error,
    nc3_duality,
    nc4_mismatch,
)
from elastic.metrics.contract import evaluate
from elastic.registry import registry

OF_LAYERS = [e for e in registry("metrics") if e.facts.group == "collapse" and not e.facts.layerless]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 7), min_size=2, max_size=6),
    shape=st.sampled_from([(1,), (2,), (5,), (2, 3), (2, 2, 3), (40,)]),
    seed=st.integers(0, 2**20),
    spread=st.sampled_from([0.05, 0.5, 3.0]),
    offset=st.sampled_from([0.0, 4.0]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    batch_size=st.sampled_from([1, 4, None]),
)
def test_every_metric_agrees_with_its_slow_twin(counts, shape, seed, spread, offset, dtype, batch_size):
    case = cases.clustered(tuple(counts), shape, seed=seed, spread=spread, offset=offset, dtype=dtype)
    values = evaluate("collapse", case.readings(batch_size))
    for entry in OF_LAYERS:
        expected = case.ask(getattr(oracles, entry.name))
        if np.ndim(expected) == 0 and expected > 1e6:
            continue  # means on one another by chance: the oracle's d×d pseudo-inverse has lost its digits
        # What is far smaller than the features themselves is known to the rounding of the features.
        np.testing.assert_allclose(values[entry.name], expected, rtol=1e-6, atol=1e-9, err_msg=entry.name)


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
@pytest.mark.parametrize("shift", [0.0, 5.0])
@pytest.mark.parametrize("d", [10, 40])
def test_an_exact_simplex_is_recognised(classes, shift, d):
    case = cases.simplex_etf(classes, d, shift=shift)
    values = evaluate("collapse", case.readings())
    for name in ("nc1", "nc2_equinorm", "nc2_equiangle", "nc2_etf_error", "nc3_duality", "nc4_mismatch", "cdnv_mean"):
        assert values[name] < 1e-12, name
    apart = ~torch.eye(classes, dtype=torch.bool)
    torch.testing.assert_close(
        values["class_cosine"][apart], torch.full((classes * (classes - 1),), -1 / (classes - 1)).double()
    )
    torch.testing.assert_close(values["class_mean_norm"], torch.ones(classes).double())


def test_collapse_onto_other_means_is_nc1_and_nc4_without_nc2():
    case = cases.exact_collapse()
    values = evaluate("collapse", case.readings())
    assert values["nc1"] < 1e-25
    assert values["ncc_accuracy"] == 1
    for name in ("nc2_equinorm", "nc2_equiangle", "nc2_etf_error"):
        assert values[name] > 0.05, name


def test_an_orthogonal_frame_is_a_simplex_about_its_mean():
    statistics = ClassStatistics.of(torch.eye(5), torch.arange(5))
    assert nc2_etf_error(statistics) < 1e-12
    assert nc2_equiangle(statistics) < 1e-12


def test_nc1_weighs_classes_alike_between_and_samples_alike_within():
    # means -1 and 1, whatever the counts; class 0 has variance 1, class 1 none
    h = torch.tensor([[-2.0], [0.0], [1.0], [1.0], [1.0], [1.0], [1.0], [1.0]])
    y = torch.tensor([0, 0, 1, 1, 1, 1, 1, 1])
    assert nc1(ClassStatistics.of(h, y)).item() == pytest.approx((2 / 8) / 1 / 2)


def test_only_directions_between_the_classes_count_in_nc1():
    case = cases.clustered((6, 6, 6), (4,), seed=3)
    noise = torch.randn(18, 3, generator=torch.Generator().manual_seed(0)).double()
    for k in range(3):
        noise[case.labels == k] -= noise[case.labels == k].mean(0)
    wider = torch.cat([case.features, 100 * noise], dim=1)
    torch.testing.assert_close(nc1(ClassStatistics.of(wider, case.labels)), nc1(case.reading().statistics))


def test_norms_and_angles_are_told_apart():
    simplex = cases.simplex_etf(3, 3).features[:3]
    angles = ClassStatistics.of(simplex, torch.arange(3))
    isosceles = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # a square: norms 1, cosines 0 and -1
    square = ClassStatistics.of(isosceles, torch.arange(4))
    assert nc2_equinorm(angles) < 1e-12
    assert nc2_equinorm(square) < 1e-12
    assert nc2_equiangle(square).item() == pytest.approx(4 / 9)


@pytest.mark.parametrize("seed", range(20))
def test_a_class_on_the_global_mean_has_no_angle(seed):
    a, b = torch.randn(2, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    statistics = ClassStatistics.of(torch.stack([a, b, (a + b) / 2]), torch.arange(3))
    off, on = [False, False, True], [True, True, True]
    assert class_cosine(statistics).isnan().tolist() == [off, off, on]
    assert nc2_equiangle(statistics).isnan()


def test_the_sample_standard_deviation_is_meant():
    assert nc2_classifier_equinorm(torch.diag(torch.tensor([3.0, 1.0, 2.0]))).item() == pytest.approx(0.5)
    h = torch.tensor([[-3.0], [1.0], [2.0]])
    assert nc2_equinorm(ClassStatistics.of(h, torch.arange(3))).item() == pytest.approx(0.5)


def test_class_mean_norms_are_distances_from_the_mean_of_means():
    h, y = torch.tensor([[0.0], [0.0], [0.0], [4.0]]), torch.tensor([0, 0, 0, 1])
    assert class_mean_norm(ClassStatistics.of(h, y)).tolist() == [2.0, 2.0]


def test_rounding_makes_no_cosine_greater_than_one():
    h = torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cosine = class_cosine(ClassStatistics.of(torch.cat([h, -h]), torch.arange(200)))
    assert (cosine.max(), cosine.min()) == (1, -1)


# NC3


@pytest.mark.parametrize("case", cases.CASES.values(), ids=cases.CASES.keys())
@pytest.mark.parametrize("outputs", [1, 2, 4, 9])
def test_inner_duality_is_the_distance_after_the_best_isometry(case, outputs):
    generator = torch.Generator().manual_seed(outputs)
    weights = torch.randn(outputs, case.vectors.shape[1], generator=generator, dtype=torch.float64)
    value = nc3_duality(case.reading().statistics, DualityWeights(weights, is_classifier=False))
    inner = oracles.nc3_duality_inner(case.features.double().numpy(), case.labels.numpy(), weights.numpy())
    assert value.item() == pytest.approx(inner, rel=1e-9, abs=1e-12)
    assert 0 <= value <= 2


def test_no_other_isometry_comes_nearer():
    case = cases.clustered((4, 4, 4), (5,), inner=6)
    M = torch.as_tensor(case.ask(oracles.centred_means))
    W = case.next_weights
    best = nc3_duality(case.reading().statistics, DualityWeights(W, is_classifier=False))
    for seed in range(200):
        Q = cases.random_rotation(6, torch.Generator().manual_seed(seed))[:, :3]
        assert (W / W.norm() - Q @ M / M.norm()).square().sum() >= best - 1e-12


def test_inner_duality_does_not_see_a_rotation_of_the_outputs_but_the_classifiers_does():
    case = cases.simplex_etf(4, 6)
    statistics = case.reading().statistics
    rotated = cases.random_rotation(4, torch.Generator().manual_seed(1)) @ case.weights
    assert nc3_duality(statistics, DualityWeights(rotated, is_classifier=False)) < 1e-12
    assert nc3_duality(statistics, DualityWeights(rotated, is_classifier=True)) > 0.1


def test_inner_duality_is_at_most_the_classifiers():
    for case in cases.CASES.values():
        statistics = case.reading().statistics
        inner, last = (nc3_duality(statistics, DualityWeights(case.weights, b)) for b in (False, True))
        assert inner <= last + 1e-12


def test_opposite_weights_are_farthest():
    case = cases.simplex_etf()
    value = nc3_duality(case.reading().statistics, DualityWeights(-case.weights, is_classifier=True))
    assert value.item() == pytest.approx(4.0)


def test_the_classifier_is_not_centred():
    case = cases.simplex_etf(4, 6)
    common = case.weights + cases.random_rotation(6, torch.Generator().manual_seed(0))[0]
    assert nc3_duality(case.reading().statistics, DualityWeights(common, is_classifier=True)) > 0.01


@pytest.mark.parametrize("is_classifier", [True, False])
def test_weights_of_nothing_have_no_direction(is_classifier):
    case = cases.clustered()
    for number in (0.0, math.inf):
        only = torch.zeros_like(case.weights)
        only[0, 0] = number
        assert nc3_duality(case.reading().statistics, DualityWeights(only, is_classifier)).isnan()
    given_weights = DualityWeights(case.weights, is_classifier)
    assert nc3_duality(cases.dead().reading().statistics, given_weights).isnan()


@pytest.mark.parametrize(("shape", "is_classifier"), [((3, 4), True), ((2, 5), True), ((7, 4), False)])
def test_weights_that_do_not_take_the_features_are_refused(shape, is_classifier):
    statistics = cases.clustered((3, 3, 3), (5,)).reading().statistics
    with pytest.raises(DegenerateInput, match=r"`duality_weights` should be of shape"):
        nc3_duality(statistics, DualityWeights(torch.ones(shape), is_classifier))


def test_nc4_uses_the_networks_bias():
    case = cases.clustered((5, 5, 5), (4,), seed=2)
    nearest = case.reading().nearest
    biased = cases.Case(case.features, case.labels, case.weights, torch.tensor([1e3, 0.0, 0.0]).double(), case.weights)
    assert (biased.decisions == 0).all()
    assert nc4_mismatch(nearest, biased.decisions) == (nearest != 0).double().mean()
