"""Features are the same however they are read: kept or computed again, in one batch or in many."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from elastic.errors import ModelError
from elastic.models.cnn import cnn
from elastic.models.contract import Stages, Task
from elastic.models.taps import Tapped
from elastic.probes.features import FeatureStream, flat_taps, gram_matrices

INPUTS = torch.randn(23, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(23) % 3


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cnn(Task((1, 4, 4), 3), channels=[2, 3]).double().train()


def passed(stream):
    batches = list(stream())
    features = {layer: torch.cat([f[layer] for f, _ in batches]) for layer in batches[0][0]}
    return features, torch.cat([labels for _, labels in batches]), len(batches)


def test_features_are_those_of_the_model_in_evaluation_mode(model):
    features, labels, _ = passed(FeatureStream(model, INPUTS, LABELS))
    with torch.no_grad():
        taps = model.eval().taps(INPUTS)
    assert list(features) == ["input", *model.layers]
    assert torch.equal(features["input"], INPUTS.flatten(1))
    for layer, expected in taps.items():
        assert torch.equal(features[layer], expected.flatten(1))
    assert torch.equal(labels, LABELS)


def test_decisions_are_those_of_the_output_whatever_it_is_called():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    stream = FeatureStream(Tapped(net, ["2", "3"], INPUTS[:1]), INPUTS, LABELS)
    assert list(passed(stream)[0]) == ["input", "2", "3"]
    with torch.no_grad():
        assert torch.equal(stream.decisions, net(INPUTS).argmax(1))


@pytest.mark.parametrize("budget", [1, 2**14, 2**30])
def test_inner_products_are_of_all_pairs_whatever_the_blocks(model, budget):
    with torch.no_grad():
        taps = flat_taps(model.eval(), INPUTS)
    result = gram_matrices(model.train(), INPUTS, budget)
    assert model.training
    assert list(result) == list(taps)
    for layer, features in taps.items():
        torch.testing.assert_close(result[layer], features @ features.T)


@pytest.mark.parametrize("budget", [1, 2000])
def test_a_small_budget_cuts_and_repeats_and_changes_nothing(model, budget):
    whole, cut = FeatureStream(model, INPUTS, LABELS), FeatureStream(model, INPUTS, LABELS, memory_budget=budget)
    expected, _, one = passed(whole)
    for _ in range(2):
        result, labels, batches = passed(cut)
        assert one < batches
        assert torch.equal(labels, LABELS)
        for layer in expected:
            torch.testing.assert_close(result[layer], expected[layer], rtol=1e-13, atol=1e-13)
    assert torch.equal(cut.decisions, whole.decisions)


def test_features_that_fit_are_computed_once_and_others_in_every_pass(model, monkeypatch):
    kept, repeated = (FeatureStream(model, INPUTS, LABELS, memory_budget=b) for b in (2**30, 2000))
    forward_passes = []
    taps = type(model).taps
    # On the class: what an attribute of the model itself reaches is restored after a probe.
    monkeypatch.setattr(type(model), "taps", lambda self, x: forward_passes.append(len(x)) or taps(self, x))
    for _ in range(2):
        passed(kept)
    assert forward_passes == [len(INPUTS)]
    forward_passes.clear()
    for _ in range(2):
        passed(repeated)
    assert sum(forward_passes) == 2 * len(INPUTS)
    assert len(forward_passes) > 2


def test_decisions_are_known_after_a_whole_pass_only(model):
    stream = FeatureStream(model, INPUTS, LABELS, memory_budget=1)
    assert stream.decisions is None
    next(iter(stream()))
    assert stream.decisions is None
    features, _, _ = passed(stream)
    assert torch.equal(stream.decisions, features["logits"].argmax(1))


def test_the_model_keeps_its_modes_and_the_generators_their_states(model):
    modes, state = [m.training for m in model.modules()], torch.get_rng_state()
    stream = FeatureStream(model, INPUTS, LABELS, memory_budget=1)
    for _ in stream():
        assert [m.training for m in model.modules()] == modes, "a consumer finds the model as it was"
    assert torch.equal(torch.get_rng_state(), state)


class Pooled(nn.Module):
    def forward(self, x):
        return x.mean(dim=0, keepdim=True)


def test_a_layer_that_mixes_the_samples_is_named():
    model = Stages({"penultimate": nn.Sequential(nn.Flatten(), Pooled()), "logits": nn.Linear(16, 3)}).double()
    with pytest.raises(ModelError, match=r"`layers` penultimate should give one row of features a sample"):
        flat_taps(model, INPUTS)
