"""Singular values and alignment of weights: exact values, known angles, limits, and what is not defined."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import cases, weight_cases
from torch import Tensor

from elastic.errors import DegenerateInput
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.contract import evaluate
from elastic.metrics.weight_alignment import weight_class_alignment, weight_class_cosine
from elastic.metrics.weight_spectrum import (
    WeightSpectrum,
    weight_effective_rank,
    weight_singular_values,
    weight_spectral_norm,
    weight_stable_rank,
)

SPECTRAL = {"weight_spectral_norm", "weight_stable_rank", "weight_effective_rank", "weight_singular_values"}


def spectrum(weights, classes=3):
    return WeightSpectrum(torch.as_tensor(weights), classes)


def on_axes(*means, spread=0.0):
    """Statistics of two samples a class, around these class means."""
    mu = torch.tensor(means, dtype=torch.float64)
    noise = spread * torch.ones_like(mu)
    return ClassStatistics.of(torch.cat([mu - noise, mu + noise]), torch.arange(len(mu)).repeat(2))


@given(
    values=st.lists(st.integers(0, 50), min_size=1, max_size=5).filter(any),
    rows=st.integers(5, 7),
    columns=st.integers(5, 7),
    power=st.sampled_from([-160, 0, 160]),
)
@settings(max_examples=40, deadline=None)
def test_diagonal_matrices_have_the_values_of_exact_fractions(values, rows, columns, power):
    W = torch.zeros(rows, columns, dtype=torch.float64)
    W[range(len(values)), range(len(values))] = torch.tensor(values, dtype=torch.float64) * 10.0**power
    W = W[torch.randperm(rows)][:, torch.randperm(columns)]
    exact = [Fraction(v) for v in sorted(values, reverse=True)]
    reading = spectrum(W, 4)
    stable = sum(v * v for v in exact) / exact[0] ** 2
    assert weight_spectral_norm(reading).item() == pytest.approx(float(exact[0]) * 10.0**power, rel=1e-14)
    assert weight_stable_rank(reading).item() == pytest.approx(float(stable), rel=1e-13)
    shares = [float(v / sum(exact)) for v in exact if v]
    assert weight_effective_rank(reading).item() == pytest.approx(np.prod([p**-p for p in shares]), rel=1e-12)
    leading = [float(v) * 10.0**power for v in (exact + [Fraction(0)] * 4)[:4]]
    np.testing.assert_allclose(weight_singular_values(reading), leading, rtol=1e-13, atol=1e-13 * leading[0])


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_ranks_of_equal_singular_values_are_the_rank(rank):
    generator = torch.Generator().manual_seed(rank)
    left, right = (cases.random_rotation(6, generator)[:, :rank] for _ in range(2))
    reading = spectrum(3.5 * left @ right.T)
    assert weight_stable_rank(reading).item() == pytest.approx(rank, rel=1e-12)
    assert weight_effective_rank(reading).item() == pytest.approx(rank, rel=1e-12)
    assert reading.rank == rank


def test_the_weights_of_an_outer_product_have_one_direction():
    u, v = torch.tensor([1.0, 2.0, 2.0]), torch.tensor([2.0, 3.0, 6.0, 0.0])
    values = evaluate("weights", {"spectrum": spectrum(torch.outer(u, v), 2)})
    assert {name: values[name].tolist() for name in SPECTRAL} == {
        "weight_spectral_norm": pytest.approx(21.0),
        "weight_stable_rank": pytest.approx(1.0),
        "weight_effective_rank": pytest.approx(1.0),
        "weight_singular_values": pytest.approx([21.0, 0.0], abs=1e-12),
    }


@pytest.mark.parametrize("degrees", [0, 30, 45, 60, 90])
def test_two_planes_that_share_a_line_have_the_angle_between_them(degrees):
    angle = np.deg2rad(degrees)
    # Centred class means span the first two axes; W reads the first one, then one that is turned out of the plane.
    statistics = on_axes([1.0, 0.0, 7.0], [-0.5, 3.0**0.5 / 2, 7.0], [-0.5, -(3.0**0.5) / 2, 7.0])
    W = torch.tensor([[2.0, 0.0, 0.0], [0.0, np.cos(angle), np.sin(angle)]], dtype=torch.float64)
    result = weight_class_alignment(spectrum(W), statistics).item()
    assert result == pytest.approx((1 + np.cos(angle) ** 2) / 2, abs=1e-12)


@pytest.mark.parametrize("degrees", [10, 45, 80])
def test_the_mean_cosine_is_about_the_class_means_as_they_are(degrees):
    angle = np.deg2rad(degrees)
    statistics = on_axes([2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0])
    turned = [[2 * np.cos(angle), 0.0, 2 * np.sin(angle), 0.0], [0.0, np.cos(angle / 2), 0.0, np.sin(angle / 2)]]
    W = torch.tensor(turned, dtype=torch.float64)
    result = weight_class_cosine(spectrum(W, 2), statistics).item()
    assert result == pytest.approx((np.cos(angle) + np.cos(angle / 2)) / 2, abs=1e-12)


def test_weights_that_read_only_class_means_are_aligned_whatever_their_rank():
    statistics = on_axes([1.0, 0.0, 0.0, 4.0], [0.0, 2.0, 0.0, 4.0], [0.0, 0.0, 3.0, 4.0])
    first, second, _ = statistics.centred
    for weights in (first[None], torch.outer(torch.ones(5).double(), second), torch.stack([2 * first, second])):
        for metric in (weight_class_alignment, weight_class_cosine):
            assert metric(spectrum(weights), statistics).item() == pytest.approx(1.0, abs=1e-12)


def test_weights_that_read_nothing_of_the_class_means_have_alignment_0():
    statistics = on_axes([1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0])
    W = torch.tensor([[0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
    assert weight_class_alignment(spectrum(W, 2), statistics).item() == pytest.approx(0.0, abs=1e-12)
    assert weight_class_cosine(spectrum(W, 2), statistics).item() == pytest.approx(0.0, abs=1e-12)


def test_random_directions_have_the_share_of_dimensions_on_average():
    generator = torch.Generator().manual_seed(0)
    K, d, trials = 4, 20, 400
    statistics = ClassStatistics.of(torch.randn(40, d, generator=generator).double(), torch.arange(40) % K)
    result = torch.stack([
        weight_class_alignment(spectrum(torch.randn(30, d, generator=generator, dtype=torch.float64)), statistics)
        for _ in range(trials)
    ])  # fmt: skip
    error = result.std() / trials**0.5
    assert abs(result.mean() - (K - 1) / d) < 4 * error
    cosine = weight_class_cosine(spectrum(torch.randn(30, d, generator=generator, dtype=torch.float64)), statistics)
    assert K / d < cosine < 1


def test_narrow_features_are_aligned_with_all_weights_of_full_rank():
    readings = weight_cases.CASES["fewer_dimensions_than_classes"].readings()
    assert weight_class_alignment(**readings).item() == pytest.approx(1.0, abs=1e-12)


rotations = st.integers(0, 2**16)


@given(seed=rotations, factor=st.sampled_from([1e-9, 0.3, 1e5]))
@settings(max_examples=25, deadline=None)
def test_alignment_does_not_change_with_coordinates_of_input_and_output(seed, factor):
    case = weight_cases.random(9, counts=(5, 6, 7), d=8, seed=seed % 50)
    generator = torch.Generator().manual_seed(seed)
    inside, outside = cases.random_rotation(8, generator), cases.random_rotation(9, generator)
    turned = weight_cases.Case(
        factor * outside @ case.weights @ inside.T, case.features.double() @ inside.T / factor, case.labels
    )
    before, after = evaluate("weights", case.readings()), evaluate("weights", turned.readings())
    degrees = dict.fromkeys(before, 0) | {"weight_spectral_norm": 1, "weight_singular_values": 1}
    for name, degree in degrees.items():
        torch.testing.assert_close(after[name] / factor**degree, before[name], rtol=1e-7, atol=1e-9)


def test_a_shift_of_the_input_changes_the_cosine_only():
    case = weight_cases.random(9, d=8, seed=3)
    moved = weight_cases.Case(case.weights, case.features + 2.0, case.labels)
    before, after = evaluate("weights", case.readings()), evaluate("weights", moved.readings())
    torch.testing.assert_close(after["weight_class_alignment"], before["weight_class_alignment"])
    assert (after["weight_class_cosine"] - before["weight_class_cosine"]).abs() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_matrix_of_zeros_has_norm_0_and_no_rank(dtype):
    values = evaluate(
        "weights", {"spectrum": spectrum(torch.zeros(4, 3, dtype=dtype), 2), "input_statistics": STATISTICS}
    )
    assert values["weight_spectral_norm"].item() == 0.0
    assert values["weight_singular_values"].tolist() == [0.0, 0.0]
    for name in ("weight_stable_rank", "weight_effective_rank", "weight_class_alignment", "weight_class_cosine"):
        assert values[name].isnan(), name


STATISTICS = on_axes([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_give_nan(wrong):
    W = torch.ones(2, 3)
    W[1, 1] = wrong
    values = evaluate("weights", {"spectrum": spectrum(W, 4), "input_statistics": STATISTICS})
    assert all(value.isnan().all() for value in values.values())
    assert values["weight_singular_values"].shape == (4,)


def test_coinciding_class_means_give_no_alignment():
    statistics = on_axes([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], spread=1.0)
    reading = spectrum(torch.randn(4, 3), 2)
    assert weight_class_alignment(reading, statistics).isnan()
    assert weight_class_cosine(reading, statistics).isfinite()  # one direction, that of the means themselves


def test_class_means_of_zero_give_no_cosine():
    statistics = on_axes([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], spread=1.0)
    assert weight_class_cosine(spectrum(torch.randn(4, 3), 2), statistics).isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_singular_values_leave_the_leading_directions_undefined(dtype):
    torch.manual_seed(0)
    W = torch.nn.init.orthogonal_(torch.empty(40, 40, dtype=dtype))
    statistics = ClassStatistics.of(torch.randn(30, 40).double(), torch.arange(30) % 3)
    assert weight_class_alignment(spectrum(0.3 * W), statistics).isnan()
    # One larger direction more than the class means have: the first two are still any of three.
    U, _, V = torch.linalg.svd(W.double())
    three = torch.cat([torch.full((3,), 2.0), torch.ones(37)]).double()
    assert weight_class_alignment(spectrum((U * three) @ V), statistics).isnan()
    two = torch.cat([torch.full((2,), 2.0), torch.ones(38)]).double()
    assert weight_class_alignment(spectrum((U * two) @ V), statistics).isfinite()


def test_half_precision_weights_keep_an_alignment():
    case = weight_cases.random(64, d=32, counts=(9,) * 10, seed=1, dtype=torch.bfloat16)
    exact = weight_cases.Case(case.weights.double(), case.features, case.labels)
    torch.testing.assert_close(
        weight_class_alignment(**case.readings()), weight_class_alignment(**exact.readings()), rtol=1e-12, atol=0
    )


def test_weights_of_other_features_are_refused():
    with pytest.raises(DegenerateInput, match=r"`spectrum` should have 3 columns; found \[4, 5\]"):
        weight_class_alignment(spectrum(torch.ones(4, 5)), STATISTICS)


def test_published_code_gives_the_cosine_where_class_means_are_independent():
    """The computation of the source's repository, in NumPy: r = K, class means as they are, mean of the cosines."""
    case = weight_cases.random(20, counts=(6, 6, 6, 6), d=10, seed=4)
    means = np.stack([case.features.numpy()[case.labels.numpy() == k].mean(0) for k in range(4)])
    _, _, right = np.linalg.svd(case.weights.numpy())
    left, _, _ = np.linalg.svd(means.T)
    expected = np.linalg.svd(right[:4] @ left[:, :4], compute_uv=False).sum() / 4
    assert weight_class_cosine(**case.readings()).item() == pytest.approx(expected, rel=1e-10)


def test_a_reading_is_not_changed_by_metrics():
    W: Tensor = torch.randn(5, 3)
    before = W.clone()
    evaluate("weights", {"spectrum": spectrum(W), "input_statistics": STATISTICS})
    assert torch.equal(W, before)
