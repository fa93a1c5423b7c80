from __future__ import annotations

import pytest
import torch
from support import cases

from elastic import measure_collapse
from elastic.metrics.classifier import classifier_cosine


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_a_simplex_has_one_cosine(classes):
    cosine = classifier_cosine(cases.simplex_etf(classes).weights)
    expected = torch.full((classes, classes), -1 / (classes - 1)).double().fill_diagonal_(1)
    torch.testing.assert_close(cosine, expected)


def test_minority_classifiers_that_have_become_one_have_cosine_one_at_any_length():
    w = torch.randn(5, generator=torch.Generator().manual_seed(0))
    cosine = classifier_cosine(torch.stack([-w.roll(1), w, 1e-8 * w, 1e8 * w]))
    torch.testing.assert_close(cosine[1:, 1:], torch.ones(3, 3).double())
    assert cosine[0, 1] < 0.999


def test_the_rows_are_not_centred():
    common = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert classifier_cosine(common)[0, 1].item() == pytest.approx(0.5**0.5)


def test_a_row_of_zeros_has_no_direction():
    cosine = classifier_cosine(torch.tensor([[1.0, 2.0], [0.0, 0.0], [2.0, 4.0]]))
    assert cosine.isnan().tolist() == [[False, True, False], [True, True, True], [False, True, False]]


def test_rounding_makes_no_cosine_greater_than_one():
    w = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = w / w.norm(dim=1, keepdim=True)
    assert (directions @ directions.T).max() > 1
    assert classifier_cosine(w).max() == 1
    assert classifier_cosine(torch.cat([w, -w])).min() == -1


def test_it_is_measured_in_the_layer_that_the_classifier_reads():
    case = cases.clustered()
    layers = {"hidden": case.vectors, "penultimate": case.vectors}
    result = measure_collapse(layers, case.labels, classifier=(case.weights, case.bias))["classifier_cosine"]
    assert result.dims == ("layer", "class", "other_class")
    assert result.sel(layer="hidden").isnull().all()
    torch.testing.assert_close(torch.tensor(result.sel(layer="penultimate").values), classifier_cosine(case.weights))
