from __future__ import annotations

import pytest
import torch
from support import cases

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.collapse import nc1
from elastic.metrics.separation import cdnv, cdnv_mean, fuzziness, ncc_accuracy, within_between_ratio, within_variance

each_case = pytest.mark.parametrize("case", cases.CASES.values(), ids=cases.CASES.keys())


@each_case
def test_fuzziness_is_nc1_times_the_classes_where_counts_are_equal_and_only_there(case):
    statistics = case.reading().statistics
    ratio = (fuzziness(statistics) / (case.classes * nc1(statistics))).item()
    counts = statistics.counts
    same = bool((counts == counts[0]).all())
    assert (ratio == pytest.approx(1.0, rel=1e-10)) == same


def test_fuzziness_of_two_classes_is_weighted_by_their_samples():
    # x̄ = 1, SS_B = (2·3² + 6·1²)/8 = 3, SS_W = 2·1/8
    h = torch.tensor([[-3.0], [-1.0], [2.0], [2.0], [2.0], [2.0], [2.0], [2.0]])
    y = torch.tensor([0, 0, 1, 1, 1, 1, 1, 1])
    assert fuzziness(ClassStatistics.of(h, y)).item() == pytest.approx((2 / 8) / 3)


@each_case
def test_two_pairs_are_one(case):
    value = cdnv(case.reading().statistics)
    assert torch.equal(value.isnan(), torch.eye(case.classes, dtype=torch.bool))
    torch.testing.assert_close(value, value.T, equal_nan=True)
    assert cdnv_mean(case.reading().statistics).item() == pytest.approx(value.nanmean().item())


def test_two_equal_classes_have_half_the_trace_ratio_as_cdnv():
    # ‖μ_0 - μ_1‖² = 4‖μ_0 - μ_G‖², tr Σ_B = ‖μ_0 - μ_G‖²: V = 2v/(2·4·tr Σ_B)
    statistics = cases.clustered((6, 6), (4,)).reading().statistics
    assert cdnv_mean(statistics).item() == pytest.approx(within_between_ratio(statistics).item() / 4)


def test_a_pair_of_coinciding_means_is_not_a_number_and_leaves_the_others():
    h = torch.tensor([[-1.0], [1.0], [-1.0], [1.0], [9.0], [11.0]])
    value = cdnv(ClassStatistics.of(h, torch.tensor([0, 0, 1, 1, 2, 2])))
    assert value.isnan().tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert value[0, 2].item() == pytest.approx(2 / (2 * 100))


def test_close_means_far_from_the_origin_keep_their_distance():
    h = torch.tensor([[0.0, 1e-3], [0.0, -1e-3], [1e-3, 1e-3], [1e-3, -1e-3], [1e4, 0.0], [1e4, 0.0]]).double()
    value = cdnv(ClassStatistics.of(h, torch.tensor([0, 0, 1, 1, 2, 2])))
    assert value[0, 1].item() == pytest.approx(1.0, rel=1e-7)


def test_the_trace_of_the_scatter_within_is_the_weighted_mean_of_variances():
    case = cases.clustered((3, 9, 4), (5,), seed=4)
    statistics = case.reading().statistics
    residuals = case.vectors - statistics.means[case.labels]
    total = (statistics.counts.double() @ within_variance(statistics)) / len(case.labels)
    assert total.item() == pytest.approx(residuals.square().sum(1).mean().item())


def test_samples_beyond_the_middle_are_misclassified():
    h, y = torch.tensor([[-3.0], [-2.0], [2.0], [2.5], [3.0], [3.5]]), torch.tensor([0, 0, 0, 1, 1, 1])
    reading = cases.Case(h, y, torch.ones(2, 1), None, torch.ones(2, 1)).reading()  # means -1 and 3: middle at 1
    assert ncc_accuracy(reading.nearest, reading.labels).item() == pytest.approx(5 / 6)
