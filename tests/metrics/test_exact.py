"""Metrics of collapse where class means coincide, lie on a line or on their mean, or have a size of 1e±100."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import cases, exact_trials
from support.exact import Exact

from elastic import measure_collapse
from elastic.metrics.class_statistics import ClassStatistics, read_classes
from elastic.metrics.contract import evaluate
from elastic.metrics.fine_features import fine_variance_share
from elastic.metrics.fine_structure import FineFeatures
from elastic.metrics.least_squares import read_least_squares
from elastic.registry import registry

#: NaN where all class means coincide, as each of them documents.
UNDEFINED = (
    "nc1", "fuzziness", "within_between_ratio", "cdnv", "cdnv_mean", "nc2_equinorm", "nc2_equiangle", "nc2_etf_error",
    "nc3_duality", "class_cosine",
)  # fmt: skip
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


#: Of the drawn arrays that are small, and one that is large.
SEEDS = [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 15]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(random=st.randoms(use_true_random=False))
def test_every_metric_is_that_of_exact_arithmetic(random):
    assert exact_trials.disagreements(exact_trials.draw(random)) == []


@pytest.mark.parametrize(
    "seed", [*SEEDS, *(pytest.param(seed, marks=pytest.mark.long) for seed in sorted({*range(60)} - {*SEEDS}))]
)
def test_every_metric_is_that_of_exact_arithmetic_on_drawn_arrays(seed):
    assert exact_trials.disagreements(exact_trials.draw(Random(seed))) == []


def test_the_exact_twins_are_those_of_the_metrics_that_stand_alone():
    named = {e.name for e in registry("metrics") if e.facts.group == "collapse" and not e.facts.layerless}
    assert named - {"ncc_accuracy", "nc4_mismatch"} <= set(dir(Exact))


def about(centre, count, seed, size=1.0):
    """Return samples whose mean is ``centre`` up to rounding, however they are drawn."""
    noise = np.random.default_rng(seed).normal(size=(count, len(centre))) * size
    return noise - noise.mean(axis=0) + np.array(centre)


def as_case(parts, dtype=torch.float64):
    features = torch.tensor(np.concatenate(parts)).to(dtype)
    labels = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    means = torch.tensor(np.stack([part.mean(axis=0) for part in parts]))
    return cases.with_classifier(features, labels, means, torch.Generator().manual_seed(0))


def test_means_on_one_line_have_one_direction_however_wide_the_samples_lie():
    h, y = [[-10, -2], [8, 4], [2, 10], [-4, -8], [-10, -4], [6, 8]], [0, 0, 1, 1, 2, 2]
    exact = Exact([[Fraction(x) for x in row] for row in h], y, [[Fraction(1)] * 2] * 3)
    for scale in (1, 0.1, 1e-9, 1e12):
        measured = measure_collapse(np.array(h) * scale, y).sel(layer="features")
        assert float(measured["nc1"]) == pytest.approx(float(exact.nc1()), rel=1e-9) == pytest.approx(9.5)
        assert float(measured["class_mean_rank"]) == 1
        assert measured["cdnv"].isnull().values.tolist() == [
            [True, True, False],
            [True, True, False],
            [False, False, True],
        ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("counts", [(2, 2), (5, 9), (40, 3, 17)])
@pytest.mark.parametrize("offset", [0.0, 1.7])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_equal_means_of_different_samples_leave_nothing_defined_between_them(dtype, counts, offset, scale):
    parts = [scale * about([offset, 0.3, -0.1], n, seed, size=seed + 1) for seed, n in enumerate(counts)]
    values = evaluate("collapse", as_case(parts, dtype).readings())
    for name in UNDEFINED:
        assert values[name].isnan().all(), name
    assert (values["class_mean_norm"] == 0).all()
    assert values["class_mean_rank"] == 0
    assert not any(value.isinf().any() for value in values.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(5))
def test_a_pair_of_equal_means_among_others_is_not_a_number(dtype, seed):
    parts = [about(c, n, 10 * seed + n) for c, n in (([1, 2, 3], 6), ([9, 0, 0], 7), ([1, 2, 3], 11), ([0, -9, 0], 8))]
    values = evaluate("collapse", as_case(parts, dtype).readings())
    expected = torch.eye(4, dtype=torch.bool)
    expected[0, 2] = expected[2, 0] = True
    assert torch.equal(values["cdnv"].isnan(), expected)
    assert values["cdnv_mean"].isnan()
    assert values["class_mean_rank"] == 2
    assert values["nc1"] < 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(5))
def test_a_class_on_the_global_mean_has_no_direction_whatever_its_samples(dtype, seed):
    centres = ([1.3, 2.1, 3.7], [-5.1, 0.4, 2.2], [-1.9, 1.25, 2.95])  # the last is the mean of the others
    parts = [about(c, n, 10 * seed + n, size=3) for c, n in zip(centres, (6, 9, 11), strict=True)]
    values = evaluate("collapse", as_case(parts, dtype).readings())
    assert values["nc2_equiangle"].isnan()
    assert values["class_cosine"].isnan().tolist() == [[False, False, True], [False, False, True], [True, True, True]]
    assert values["class_mean_rank"] == 1
    assert values["nc1"].isfinite()


@pytest.mark.parametrize("dtype", DTYPES)
def test_means_that_are_zero_up_to_rounding_have_no_frame(dtype):
    parts = [about([0, 0, 0], n, n) for n in (3, 8)]
    values = evaluate("collapse", as_case(parts, dtype).readings())
    for name in ("orthogonal_frame_error", "nc3_duality_uncentred"):
        assert values[name].isnan(), name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_roundings_of_short_types_average_out_only_where_samples_spread_over_them(seed, offset):
    # Three means on one line. bfloat16 has numbers 64 apart at 10⁴, where samples within 10 are rounded alike.
    way = np.random.default_rng(seed).normal(size=8) * (30 if offset else 1)
    parts = [about(k * way + offset, 2000, 10 * seed + k) for k in range(3)]
    case = as_case(parts, torch.bfloat16)
    values = evaluate("collapse", {"statistics": case.reading(700).statistics})
    assert values["class_mean_rank"] <= 1
    if not offset:
        assert values["class_mean_rank"] == 1


@pytest.mark.parametrize(
    ("dtype", "apart"), [(torch.float32, 1e-5), (torch.float32, 1e-6), (torch.float64, 1e-12), (torch.float64, 1e-14)]
)
@pytest.mark.parametrize("d", [1, 30])
def test_small_distances_far_out_are_distances(dtype, apart, d):
    step = torch.full((4, d), apart, dtype=torch.float64) * torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    h, y = (1 + step).to(dtype), torch.tensor([0, 0, 1, 1])
    exact = Exact([[Fraction(x) for x in row] for row in h.double().tolist()], y.tolist(), [[Fraction(1)] * d] * 2)
    values = evaluate("collapse", {"statistics": ClassStatistics.of(h, y)})
    for name in ("nc1", "cdnv_mean", "within_between_ratio", "fuzziness"):
        assert values[name].item() == pytest.approx(float(getattr(exact, name)()), rel=1e-9), name


@pytest.mark.parametrize("exponent", [-300, -200, -100, -30, 30, 100, 200, 290])
def test_scale_invariant_metrics_are_so_at_any_scale(exponent):
    case = cases.clustered((6, 9, 7), (5,), seed=3)
    h, y, factor = case.vectors.numpy(), case.labels.numpy(), 10.0**exponent
    W, b = case.weights.numpy(), case.bias.numpy()
    degrees = {**exact_trials.DEGREES, "within_variance": None if abs(exponent) > 150 else 2}
    plain = measure_collapse(h, y, classifier=(W, b))
    for shrunk, weights in (((W / factor, b), W / factor), ((W * factor if abs(exponent) < 200 else W), None)):
        measured = measure_collapse(h * factor, y, classifier=shrunk)
        for name, values in plain.data_vars.items():
            if name in ("nc4_mismatch", "centre_logit_norm") and weights is None:
                continue  # the bias has another weight, or the logits another size
            if (degree := degrees.get(name, 0)) is not None:
                np.testing.assert_allclose(measured[name] / factor**degree, values, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("scale", [1e-100, 1e-12, 1e100])
@pytest.mark.parametrize("bias", [True, False])
def test_the_squared_loss_without_a_penalty_knows_no_unit_of_the_features(scale, bias):
    case = cases.clustered((4, 5, 6), (3,), bias=bias, ridge=0.0, seed=2)
    one = read_least_squares(case.features, case.labels, 3, case.weights, case.bias, 0.0)
    other = read_least_squares(case.features * scale, case.labels, 3, case.weights / scale, case.bias, 0.0)
    for name in ("optimum", "perpendicular", "nc1", "nc23"):
        assert getattr(other, name).item() == pytest.approx(getattr(one, name).item(), rel=1e-9, abs=1e-14), name


@pytest.mark.parametrize(("scale", "limit"), [(1e-200, 1e-9), (1e200, 1e9)])
def test_a_penalty_beside_features_of_any_size_gives_what_it_tends_to(scale, limit):
    case = cases.clustered((4, 5, 6), (3,), seed=2)
    zero = torch.zeros_like(case.weights)
    extreme, near = (read_least_squares(case.features * c, case.labels, 3, zero, None, 0.01) for c in (scale, limit))
    for name in ("optimum", "perpendicular", "nc1", "nc23"):
        assert getattr(extreme, name).item() == pytest.approx(getattr(near, name).item(), rel=1e-9, abs=1e-12), name


def low_rank(noise):
    """Return features whose means span two directions, and noise in all."""
    generator = torch.Generator().manual_seed(0)
    case = cases.clustered((20, 20, 20, 20, 20), (8,), rank=2)
    extra = torch.randn(5, 8, generator=generator, dtype=torch.float64)[case.labels]
    return case.features + noise * extra, case.labels


def test_a_rank_tolerance_makes_the_number_independent_of_the_type_and_the_rank_tells_when_it_is_not():
    h, y = low_rank(1e-9)
    double, single = measure_collapse(h, y), measure_collapse(h.float(), y)
    assert (float(double["class_mean_rank"][0]), float(single["class_mean_rank"][0])) == (4, 2)
    assert float(double["nc1"][0]) > 1e6 * float(single["nc1"][0])
    double, single = (measure_collapse(part, y, rank_tolerance=1e-6) for part in (h, h.float()))
    assert (float(double["class_mean_rank"][0]), float(single["class_mean_rank"][0])) == (2, 2)
    assert float(double["nc1"][0]) == pytest.approx(float(single["nc1"][0]), rel=1e-5)
    wide = measure_collapse(*low_rank(1e-3), rank_tolerance=0.0)
    assert float(wide["class_mean_rank"][0]) == 4


@pytest.mark.parametrize(
    ("first", "middle"),
    [([0, 9, 6, 7, 3, 9, -8], -1), ([7, -2, -9, -3, 8, 8, -2], -3), ([-2, -1, -6, -4, 2, 0, -7], -1)],
)
@pytest.mark.parametrize("scale", [1.0, 2.0**-400])
def test_equally_near_means_are_decided_for_the_first_up_to_rounding(first, middle, scale):
    # Means of sevenths, which float64 cannot write; samples of class 1 mirror those of class 0 about the middle.
    h = torch.tensor([*first, *(2 * middle - x for x in first), middle, middle, 100, 100]).double()[:, None] * scale
    y = torch.tensor([0] * 7 + [1] * 7 + [2] * 4)
    assert read_classes(lambda: [({"h": h}, y)], 3)["h"].nearest[14:].tolist() == [0, 0, 2, 2]
    centres = {"h": torch.tensor([[0.3], [-0.3], [9.0]]).double() * scale}
    zero = torch.zeros(18, 1, dtype=torch.float64)
    assert read_classes(lambda: [({"h": zero}, y)], 3, centres=centres)["h"].nearest.tolist() == [0] * 18


def test_a_super_class_without_variance_has_no_share_of_it():
    h = torch.full((6, 40), 0.1, dtype=torch.float64) * torch.linspace(0.5, 1.7, 40, dtype=torch.float64)
    h = h + 1e-17 * torch.randn(6, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = FineFeatures(h @ h.T, torch.tensor([0, 0, 0, 1, 1, 1]))
    layer.products[0, 1] += 1e-16
    assert fine_variance_share([layer]).isnan().all()
