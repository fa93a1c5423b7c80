from __future__ import annotations

import numpy as np
import pytest
import torch
from support import cases

from elastic import measure_collapse
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.spectrum import class_mean_spectrum, class_mean_spectrum_centred


@pytest.mark.parametrize("case", cases.CASES.values(), ids=cases.CASES)
def test_squares_sum_to_the_means_squared_norms(case):
    statistics = case.reading().statistics
    for result, means in (
        (class_mean_spectrum(statistics), statistics.means),
        (class_mean_spectrum_centred(statistics), statistics.centred),
    ):
        torch.testing.assert_close(result.square().sum(), means.square().sum())
        assert (result.diff() <= 0).all()


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_a_simplex_has_all_but_one_alike_and_an_orthogonal_frame_all(classes):
    simplex = class_mean_spectrum_centred(cases.simplex_etf(classes, shift=3.0).reading().statistics)
    expected = [(classes / (classes - 1)) ** 0.5] * (classes - 1) + [0.0]
    np.testing.assert_allclose(simplex, expected, atol=1e-12)
    frame = ClassStatistics.of(2.0 * torch.eye(classes + 3)[:classes], torch.arange(classes))
    np.testing.assert_allclose(class_mean_spectrum(frame), [2.0] * classes)


def test_as_many_components_as_the_means_span_are_not_zero():
    for name, rank in (("low_rank_means", 2), ("one_dimension", 1), ("fewer_dimensions_than_classes", 2)):
        statistics = cases.CASES[name].reading().statistics
        assert int((class_mean_spectrum(statistics) > 1e-10).sum()) == rank, name


def test_collapsed_samples_have_the_means_spectrum_times_the_root_of_their_number():
    case = cases.exact_collapse((7, 7, 7), 5)
    of_samples = torch.linalg.svdvals(case.vectors)[:3]
    torch.testing.assert_close(7**0.5 * class_mean_spectrum(case.reading().statistics), of_samples)


def test_components_are_numbered_from_one_whatever_the_classes_are_called():
    h = np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    result = measure_collapse(h, ["cat", "dog", "eel"])["class_mean_spectrum"]
    assert result.dims == ("layer", "component")
    assert result["component"].values.tolist() == [1, 2, 3]
    assert result.sel(layer="features").values.tolist() == [4.0, 3.0, 0.0]
