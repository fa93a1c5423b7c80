"""The fine-structure probe: that its readings are those of the samples told alike, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import elasticity_cases, oracles

from elastic.data.contract import Samples
from elastic.losses import build_loss
from elastic.metrics.contract import evaluate
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.probes.fine_structure import FineProbe


@pytest.fixture
def probed():
    case = elasticity_cases.CASES["hidden"]
    fine = 2 * case.observed_labels + case.fine_labels  # numbered through all classes, as data are
    samples = Samples(case.observed, case.observed_labels, (0, 1, 2), fine_labels=fine, fine_classes=tuple("abcdef"))
    return case, samples


@pytest.mark.parametrize("engine", ["structured", "autodiff"])
def test_what_is_read_gives_what_the_slow_twins_give(probed, engine):
    case, samples = probed
    by_layer, of_network = FineProbe(case.model, build_loss(case.loss), samples).read(engine)
    result = evaluate("elasticity", by_layer[case.layer]) | evaluate("elasticity", of_network, layerless=True)
    assert len(result) == 10
    for name, value in result.items():
        np.testing.assert_allclose(value, case.ask(getattr(oracles, name)), rtol=1e-8, err_msg=name)


def test_names_are_told_without_reading(probed):
    case, samples = probed
    probe = FineProbe(case.model, build_loss(case.loss), samples)
    by_layer, of_network = probe.names()
    read_by_layer, read_of_network = probe.read()
    assert {layer: set(readings) for layer, readings in read_by_layer.items()} == by_layer
    assert set(read_of_network) == of_network


def test_a_small_memory_budget_changes_nothing(probed):
    case, samples = probed
    wide, narrow = (
        FineProbe(case.model, build_loss(case.loss), samples, memory_budget=budget).read()[0][case.layer]
        for budget in (2**30, 2**15)
    )
    for one, other in zip(wide["fine_updates"], narrow["fine_updates"], strict=True):
        if one is not None:
            torch.testing.assert_close(one.norms, other.norms)
            torch.testing.assert_close(one.products, other.products)


def test_relabelled_samples_are_asked_with_those_that_are_told_alike():
    torch.manual_seed(0)
    model = mlp(Task((5,), 2), widths=[4]).eval()
    result, fine = torch.tensor([0, 0, 1, 1, 0, 1]), torch.tensor([0, 1, 2, 3, 3, 0])
    samples = Samples(torch.randn(6, 5), result, ("x", "y"), fine_labels=fine, fine_classes=tuple("abcd"))
    by_layer, _ = FineProbe(model, build_loss("cross_entropy"), samples).read()
    first, second = by_layer["logits"]["fine_updates"]
    assert first.observed.tolist() == [0, 1, 2]
    assert second.observed.tolist() == [1, 2, 0]
    assert (first.classes, second.classes) == (3, 3)
