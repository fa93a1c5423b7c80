"""The structures of the extended unconstrained-features model: at its optimum, in every layer, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from support import cases

import elastic
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.collapse import DualityWeights, nc2_etf_error, nc3_duality
from elastic.metrics.deep_collapse import classifier_frame_error, nc3_duality_uncentred, orthogonal_frame_error
from elastic.models.building import build_model
from elastic.models.contract import Task

K, PER_CLASS, WIDTH = 4, 5, 7


def statistics_of(means):
    return ClassStatistics.of(means, torch.arange(len(means)))


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_frames_simplices_and_single_directions_have_the_distances_that_are_told(classes):
    frame = cases.random_rotation(classes + 2, torch.Generator().manual_seed(0))[:classes]
    simplex = frame - frame.mean(0)
    line = frame[:1].repeat(classes, 1)
    for result, expected in (
        (frame, 0.0),
        (simplex, (2 - 2 * (1 - 1 / classes) ** 0.5) ** 0.5),
        (line, (2 - 2 / classes**0.5) ** 0.5),
    ):
        assert orthogonal_frame_error(statistics_of(3 * result)).item() == pytest.approx(expected, abs=1e-7)
        assert classifier_frame_error(3 * result).item() == pytest.approx(expected, abs=1e-7)


def test_about_its_mean_an_orthogonal_frame_is_a_simplex():
    frame = 2 * cases.random_rotation(6, torch.Generator().manual_seed(1))[:4]
    assert nc2_etf_error(statistics_of(frame)).item() == pytest.approx(0, abs=1e-12)


def test_unequal_lengths_and_angles_both_count():
    assert orthogonal_frame_error(statistics_of(torch.diag(torch.tensor([1.0, 2.0, 1.0])))) > 0.1
    assert orthogonal_frame_error(statistics_of(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))) > 0.1


def test_weights_that_are_aligned_without_centring_are_not_so_with_it():
    frame = statistics_of(torch.eye(3).double())
    aligned = DualityWeights(2.5 * torch.eye(3).double(), True)
    assert nc3_duality_uncentred(frame, aligned).item() == pytest.approx(0, abs=1e-12)
    assert nc3_duality(frame, aligned) > 0.1
    centred = statistics_of(torch.eye(3).double() - 1 / 3)
    torch.testing.assert_close(nc3_duality(centred, aligned), nc3_duality_uncentred(centred, aligned))


def optimum():
    """Train the extended linear model from a random start to its optimum: features, next weights, labels."""
    labels = torch.arange(K).repeat_interleave(PER_CLASS)
    x, N, penalty = torch.eye(K * PER_CLASS).double(), K * PER_CLASS, 5e-3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        task = Task((N,), K, (), labels)
        model = build_model("extended_unconstrained_features", {"widths": [WIDTH] * 2}, task)
    model = model.double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3000, tolerance_grad=1e-12, tolerance_change=1e-16,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def objective():
        optimizer.zero_grad()
        error = (model(x) - torch.eye(K).double()[labels]).square().sum() / (2 * N)
        value = error + penalty / 2 * sum(p.square().sum() for p in model.parameters())
        value.backward()
        return value

    optimizer.step(objective)
    with torch.no_grad():
        return model.taps(x), {layer: linear.weight for layer, linear in model.next_weights().items()}, labels


def test_the_trained_extended_model_has_the_predicted_structures_in_every_layer():
    taps, weights, labels = optimum()
    assert list(taps) == ["free_features", "penultimate", "logits"]
    assert taps["logits"].abs().max() > 0.5  # not the collapse to zero, which strong penalties bring
    ds = elastic.measure_collapse(taps, labels)
    assert float(ds.orthogonal_frame_error.max()) < 1e-4
    assert float(ds.nc1.max()) < 1e-6
    statistics = {layer: ClassStatistics.of(features, labels) for layer, features in taps.items()}
    assert classifier_frame_error(weights["penultimate"]) < 1e-4
    assert nc3_duality_uncentred(statistics["penultimate"], DualityWeights(weights["penultimate"], True)) < 1e-6
    assert nc3_duality_uncentred(statistics["free_features"], DualityWeights(weights["free_features"], False)) < 1e-6


def test_before_training_it_has_none_of_them():
    generator = torch.Generator().manual_seed(3)
    means = torch.randn(K, WIDTH, generator=generator).double()
    weights = torch.randn(K, WIDTH, generator=generator).double()
    assert orthogonal_frame_error(statistics_of(means)) > 0.1
    assert classifier_frame_error(weights) > 0.1
    assert nc3_duality_uncentred(statistics_of(means), DualityWeights(weights, True)) > 0.5
