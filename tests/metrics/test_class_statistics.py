from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from support import cases, oracles

from elastic.errors import DegenerateInput
from elastic.metrics.class_statistics import ClassStatistics, read_classes
from elastic.metrics.collapse import nc1
from elastic.metrics.contract import evaluate
from elastic.metrics.separation import fuzziness

each_case = pytest.mark.parametrize("case", cases.CASES.values(), ids=cases.CASES.keys())


def assert_close(found, expected, **tolerance):
    np.testing.assert_allclose(np.asarray(found), expected, **{"rtol": 1e-9, "atol": 1e-12, **tolerance})


@each_case
def test_moments_are_those_of_the_loops(case):
    statistics = case.reading().statistics
    assert statistics.counts.tolist() == case.labels.bincount().tolist()
    assert_close(statistics.means, case.ask(oracles.class_means))
    assert_close(statistics.global_mean, case.ask(oracles.class_means).mean(0))
    assert_close(statistics.centred, case.ask(oracles.centred_means))
    assert_close(statistics.within_variance, case.ask(oracles.within_variance))


@each_case
def test_frames_rebuild_both_scatters_between_classes_and_see_the_one_within(case):
    statistics, sigma_w = case.reading().statistics, case.ask(oracles.within_scatter)
    for frame, scatter in (
        (statistics.balanced, case.ask(oracles.between_scatter) * case.classes),
        (statistics.weighted, case.ask(oracles.between_sum_of_squares)),
    ):
        V, s = frame.directions.numpy(), frame.singular_values.numpy()
        assert_close(V @ np.diag(s**2) @ V.T, scatter, atol=1e-10)
        assert_close(V.T @ V, np.eye(len(s)))
        assert_close(frame.within, np.diag(V.T @ sigma_w @ V))
        assert (np.diff(s) <= 0).all()
        assert len(s) <= min(case.classes - 1, V.shape[0])


@each_case
def test_nearest_means_are_those_of_the_loops_in_stream_order(case):
    reading = case.reading(batch_size=4)
    assert reading.nearest.tolist() == case.ask(oracles.nearest_class_means)
    assert reading.labels.tolist() == case.labels.tolist()
    assert reading.nearest.dtype == reading.labels.dtype == torch.int64


@each_case
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_nothing_depends_on_how_the_stream_is_cut(case, batch_size):
    whole, cut = (evaluate("collapse", case.readings(size)) for size in (None, batch_size))
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=1e-9, atol=1e-12, equal_nan=True, msg=name)


def test_layers_read_together_are_the_layers_read_alone():
    a, b = cases.clustered((5, 5, 5), (4,), seed=1), cases.clustered((5, 5, 5), (3, 2, 2), seed=2)
    batches = [({"a": a.features[i], "b": b.features[i]}, a.labels[i]) for i in torch.arange(15).split(4)]
    together = read_classes(lambda: batches, 3)
    assert list(together) == ["a", "b"]
    for name, alone in (("a", a.reading(4)), ("b", b.reading(4))):
        assert torch.equal(together[name].statistics.means, alone.statistics.means)
        assert torch.equal(together[name].statistics.balanced.within, alone.statistics.balanced.within)
        assert torch.equal(together[name].nearest, alone.nearest)


def test_the_stream_is_started_twice_and_empty_batches_do_not_matter():
    case, starts = cases.clustered(), []

    def stream():
        starts.append(1)
        yield {"layer": case.features[:0]}, case.labels[:0]
        yield {"layer": case.features}, case.labels

    assert_close(nc1(read_classes(stream, 3)["layer"].statistics), case.ask(oracles.nc1))
    assert len(starts) == 2


def test_features_are_left_as_they_are_and_gradients_are_not_followed():
    case = cases.clustered()
    features = case.features.clone().requires_grad_()
    statistics = ClassStatistics.of(features, case.labels)
    assert not statistics.means.requires_grad
    assert torch.equal(features.detach(), case.features)


def test_classes_are_decided_with_the_given_centres():
    h, y = torch.tensor([[0.0], [1.0], [9.0], [10.0]]), torch.tensor([0, 0, 1, 1])
    centres = {"layer": torch.tensor([[10.0], [0.0]])}
    reading = read_classes(lambda: [({"layer": h}, y)], 2, centres=centres)["layer"]
    assert reading.nearest.tolist() == [1, 1, 0, 0]
    assert reading.statistics.means.flatten().tolist() == [0.5, 9.5]


def test_the_first_of_equally_near_means_is_taken():
    h, y = torch.tensor([[-1.0], [0.0], [1.0], [-1.0], [1.0]]), torch.tensor([0, 2, 1, 0, 1])
    centres = {"layer": torch.tensor([[1.0], [-1.0], [-1.0]])}
    reading = read_classes(lambda: [({"layer": h}, y)], 3, centres=centres)["layer"]
    assert reading.nearest.tolist() == [1, 0, 0, 1, 0]


def test_means_that_lie_close_together_far_out_are_told_apart():
    h = torch.tensor([[1.0 - 1e-9], [1.0 + 1e-9], [1e3]] * 2, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    assert read_classes(lambda: [({"layer": h}, y)], 3)["layer"].nearest.tolist() == y.tolist()


def exact_nc1(features: torch.Tensor, labels: torch.Tensor) -> float:
    """Return tr(Σ_W Σ_B⁺)/K = (1/N) Σ_i ‖G⁺ M z_i‖² in rational arithmetic; G = MMᵀ of rank K-1, G1 = 0."""
    h = [[Fraction(x) for x in row] for row in features.double().tolist()]
    y, N = labels.tolist(), len(h)
    K, d = max(y) + 1, len(h[0])
    mu = [[sum(h[i][c] for i in range(N) if y[i] == k) / y.count(k) for c in range(d)] for k in range(K)]
    M = [[mu[k][c] - sum(m[c] for m in mu) / K for c in range(d)] for k in range(K)]
    # (G + 11ᵀ/K) x = b is solved by x = G⁺b for every b that sums to zero, as M z does.
    gram = [[sum(a * b for a, b in zip(M[j], M[k], strict=True)) + Fraction(1, K) for k in range(K)] for j in range(K)]
    total = Fraction(0)
    for i in range(N):
        z = [a - b for a, b in zip(h[i], mu[y[i]], strict=True)]
        total += sum(x * x for x in solve(gram, [sum(a * b for a, b in zip(row, z, strict=True)) for row in M]))
    return float(total / N)


def solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    for p in range(len(rows)):
        pivot = next(r for r in range(p, len(rows)) if rows[r][p])
        rows[p], rows[pivot] = rows[pivot], rows[p]
        rows[p] = [x / rows[p][p] for x in rows[p]]
        for r in range(len(rows)):
            if r != p:
                rows[r] = [x - rows[r][p] * y for x, y in zip(rows[r], rows[p], strict=True)]
    return [row[-1] for row in rows]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("batch_size", [3, None])
def test_nc1_near_collapse_keeps_its_digits_under_an_offset(dtype, offset, batch_size):
    case = cases.clustered((6, 6, 6, 6), (5,), spread=5e-5, offset=offset, dtype=dtype)
    exact = exact_nc1(case.features, case.labels)
    assert 1e-9 < exact < 1e-7
    assert_close(nc1(case.reading(batch_size).statistics), exact, rtol=1e-7, atol=0)


def test_the_offset_may_be_a_million_class_spreads():
    case = cases.clustered((6, 6, 6), (5,), spread=1e-3, offset=1e6)
    exact = exact_nc1(case.features, case.labels)
    assert_close(nc1(case.reading(4).statistics), exact, rtol=1e-6, atol=0)


def test_the_weighted_frame_of_nearly_equal_counts_is_near_the_shared_one_of_equal_counts():
    even, odd = cases.clustered((400, 400), (3,), seed=1), cases.clustered((400, 401), (3,), seed=1)
    ratio = fuzziness(odd.reading().statistics) / nc1(odd.reading().statistics)
    assert_close(fuzziness(even.reading().statistics) / nc1(even.reading().statistics), 2.0)
    assert_close(ratio, 2.0, rtol=1e-4)


# The rank cut


@pytest.mark.parametrize(("dtype", "rank"), [(torch.float32, 1), (torch.float32, 2), (torch.float64, 2)])
def test_directions_that_are_rounding_do_not_count(dtype, rank):
    exact = cases.clustered((5, 5, 5, 5), (6,), rank=rank, offset=3.0)
    statistics = replace(exact, features=exact.features.to(dtype)).reading().statistics
    assert len(statistics.balanced.singular_values) == len(statistics.weighted.singular_values) == rank
    assert_close(nc1(statistics), exact.ask(oracles.nc1), rtol=1e-4)


def test_directions_that_are_weak_but_real_do_count():
    h = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1e-5], [0.0, -1e-5]])
    s = ClassStatistics.of(h, torch.arange(4)).balanced.singular_values
    assert_close(s, [2**0.5, 2**0.5 * 1e-5], rtol=1e-6)


def test_the_rank_cut_can_be_given():
    h = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1e-2], [0.0, -1e-2]])
    batches = [({"layer": h}, torch.arange(4))]
    ranks = [
        len(read_classes(lambda: batches, 4, rank_tolerance=t)["layer"].statistics.balanced.singular_values)
        for t in (0.0, 0.005, 0.05)
    ]
    assert ranks == [2, 2, 1]


def test_no_more_directions_count_than_centred_means_can_span():
    case = cases.clustered((1,) * 40, (50,), offset=1e-3)
    batches = [({"layer": case.features}, case.labels)]
    statistics = read_classes(lambda: batches, 40, rank_tolerance=0.0)["layer"].statistics
    assert len(statistics.balanced.singular_values) == 39


def test_short_float_types_keep_the_directions_of_many_classes():
    case = cases.clustered((2,) * 130, (140,), dtype=torch.bfloat16)
    assert len(case.reading().statistics.balanced.singular_values) == 129


def test_integer_features_are_read():
    h, y = torch.tensor([[0], [2], [4], [6]], dtype=torch.uint8), torch.tensor([0, 0, 1, 1])
    assert_close(nc1(ClassStatistics.of(h, y)), 1 / 4 / 2)


def test_no_d_by_d_matrix_is_formed():
    d, y = 100_000, torch.arange(30) % 3  # a d×d matrix would take 80 GB
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(3, d, generator=generator)
    features = means[y] + 0.1 * torch.randn(30, d, generator=generator)
    batches = list(zip(({"wide": part} for part in features.split(7)), y.split(7), strict=True))
    reading = read_classes(lambda: batches, 3)["wide"]
    case = cases.Case(features, y, means, None, means)
    values = evaluate("collapse", {**case.readings(), "statistics": reading.statistics})
    assert all(v[~v.isnan()].isfinite().all() for v in values.values())
    # Residuals have variance 0.01·(1 - 1/10) in each direction, every sᵣ² is near d: nc1 = Σᵣ 0.009/d.
    assert_close(nc1(reading.statistics), 2 * 0.009 / d, rtol=0.3)


# Nothing between the classes


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("counts", [(4, 4, 4), (3, 5, 7)])
def test_a_dead_layer_has_no_direction_and_no_infinite_metric(value, dtype, counts):
    case = cases.dead(value, counts, dtype=dtype)
    statistics = case.reading(5).statistics
    assert statistics.balanced.singular_values.numel() == 0
    assert statistics.weighted.singular_values.numel() == 0
    assert (statistics.centred == 0).all()
    values = evaluate("collapse", case.readings(5))
    assert not any(v.isinf().any() for v in values.values())
    for name in ("nc1", "fuzziness", "within_between_ratio", "cdnv", "cdnv_mean", "nc2_equinorm", "nc2_equiangle",
                 "nc2_etf_error", "nc3_duality", "class_cosine"):  # fmt: skip
        assert values[name].isnan().all(), name
    assert (values["class_mean_norm"] == 0).all()


def test_rounding_between_equal_features_is_no_spread():
    case = cases.dead(0.1, (4, 4, 4), d=50)
    jitter = 1 + torch.finfo(torch.float32).eps * torch.randint(0, 2, (12, 50), generator=torch.manual_seed(0))
    readings = replace(case, features=case.features * jitter).readings()
    statistics = readings["statistics"]
    assert statistics.balanced.singular_values.numel() == 0
    assert (statistics.centred == 0).all()
    values = evaluate("collapse", readings)
    assert (values["class_mean_norm"] == 0).all()
    for name in ("nc1", "cdnv", "nc2_equinorm", "nc2_equiangle", "nc2_etf_error", "nc3_duality", "class_cosine"):
        assert values[name].isnan().all(), name


def test_coinciding_means_of_living_classes_divide_nothing_by_zero():
    values = evaluate("collapse", cases.coincident_means().readings())
    assert_close(values["within_variance"], [5.0, 5.0, 5.0])
    for name in ("nc1", "fuzziness", "within_between_ratio", "cdnv_mean"):
        assert values[name].isnan(), name


# What cannot be read


def read(features, labels, classes):
    return read_classes(lambda: [({"hidden_3": features}, labels)], classes)


@pytest.mark.parametrize("classes", [0, 1])
def test_one_class_is_refused(classes):
    with pytest.raises(DegenerateInput, match="`classes` should be at least 2"):
        read(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), classes)


def test_a_class_without_samples_is_refused_by_name():
    with pytest.raises(DegenerateInput, match=r"hidden_3.*should name every class.*found none of \[1, 3\]"):
        read(torch.ones(3, 2), torch.tensor([0, 2, 0]), 4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", [0, 3])
def test_features_that_are_not_finite_are_refused_with_their_layer(bad, where):
    features = torch.ones(4, 2)
    features[where, 1] = bad
    with pytest.raises(DegenerateInput, match="features of layer 'hidden_3' should be finite"):
        read(features, torch.tensor([0, 1, 0, 1]), 2)


@pytest.mark.parametrize(("labels", "found"), [([0, 1, 2], "found 2"), ([0, 1, -1], "found -1")])
def test_labels_outside_the_classes_are_refused(labels, found):
    with pytest.raises(DegenerateInput, match=rf"`labels` should lie in 0\.\.1; {found}"):
        read(torch.ones(3, 2), torch.tensor(labels), 2)


def test_no_samples_at_all_are_refused():
    with pytest.raises(DegenerateInput, match="at least one layer"):
        read_classes(list, 2)
    with pytest.raises(DegenerateInput, match="at least 2"):
        ClassStatistics.of(torch.ones(0, 2), torch.zeros(0, dtype=torch.int64))


def test_a_stream_that_can_be_read_only_once_is_refused():
    case = cases.clustered()
    once = iter([({"layer": case.features}, case.labels)])
    with pytest.raises(DegenerateInput, match="same in both passes"):
        read_classes(lambda: once, 3)


@pytest.mark.parametrize("change", ["more", "other classes"])
def test_a_stream_with_other_samples_in_the_second_pass_is_refused(change):
    case, passes = cases.clustered(), []

    def stream():
        passes.append(1)
        if len(passes) == 1:
            return [({"layer": case.features}, case.labels)]
        if change == "more":
            return [({"layer": case.features}, case.labels)] * 2
        return [({"layer": case.features}, case.labels.clamp(max=1))]

    with pytest.raises(DegenerateInput, match=r"same in both passes; found \d+ in the first, \d+ or other classes"):
        read_classes(stream, 3)
