"""What a step does to losses and outputs, as differences over real steps give it, and where it has no meaning."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import elastic
from elastic.data.contract import Samples
from elastic.losses import build_loss
from elastic.metrics.loss_response import LossUpdate, local_stability, uniform_stability
from elastic.models.taps import Tapped
from elastic.probes.contract import Subject, build_probes

LR = 1e-6


def network(outputs=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, outputs)).double()


def samples(n, seed, classes=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=generator, dtype=torch.float64), torch.arange(n) % classes


def after_steps(net, x, y, observed, criterion):
    """Yield the outputs of observed samples before and after a real step on each sample."""
    for a in range(len(x)):
        moved = copy.deepcopy(net)
        criterion(moved(x[a : a + 1]), y[a : a + 1]).sum().backward()
        with torch.no_grad():
            for parameter in moved.parameters():
                parameter -= LR * parameter.grad
            yield net(observed), moved(observed)


def by_class(values, stepped, observed):
    values = np.asarray(values)
    pairs = [[values[np.ix_(stepped == j, observed == k)] for k in range(3)] for j in range(3)]
    return np.array([[part.mean(axis=(0, 1)) for part in row] for row in pairs])


@pytest.mark.parametrize("engine", ["structured", "autodiff"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_they_are_differences_over_real_steps(loss, engine):
    net, (x, y), (observed, labels) = network(), samples(6, 1), samples(12, 2)
    ds = elastic.measure_elasticity(net, (x, y), (observed, labels), layers=["0"], loss=loss, engine=engine)
    criterion = {
        "cross_entropy": lambda z, t: nn.functional.cross_entropy(z, t, reduction="none"),
        "mse": lambda z, t: (z - nn.functional.one_hot(t, 3)).square().sum(dim=1) / 2,
    }[loss]
    losses, outputs, squeezed = [], [], []
    with torch.no_grad():
        likely = net(observed).argmax(dim=1)
    for before, after in after_steps(net, x, y, observed, criterion):
        losses.append(((criterion(after, labels) - criterion(before, labels)) / LR).detach().numpy())
        outputs.append(((after - before) / LR).detach().numpy())
        change = (after.softmax(dim=1) - before.softmax(dim=1)) / LR
        squeezed.append(change[torch.arange(12), likely].detach().numpy())
    expected = {"loss_response": losses, "logit_response": outputs, "squeezed_probability": squeezed}
    for name, values in expected.items():
        np.testing.assert_allclose(ds[name], by_class(values, y.numpy(), labels.numpy()), rtol=1e-4, atol=1e-5)
    assert float(ds.uniform_stability) == pytest.approx(np.abs(losses).max(), rel=1e-4)
    assert float(ds.local_stability) == pytest.approx(np.abs(losses).mean(axis=0).max(), rel=1e-4)
    assert (ds.loss_response_stderr > 0).all()


def test_how_blocks_are_cut_changes_nothing():
    net, stepped, observed = network(), samples(6, 1), samples(40, 2)
    whole = elastic.measure_elasticity(net, stepped, observed, layers=["0"])
    cut = elastic.measure_elasticity(net, stepped, observed, layers=["0"], memory_budget=60_000)
    for name in ("loss_response", "loss_response_stderr", "logit_response", "logit_response_stderr"):
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-9)


def test_a_step_always_helps_its_own_sample():
    net, (x, y) = network(), samples(3, 1)
    far = x + 1e-9  # not the same sample, byte by byte
    ds = elastic.measure_elasticity(net, (x, y), (far, y), layers=["0"])
    assert (np.diag(ds.loss_response) < 0).all()


def test_outputs_are_told_one_by_one_up_to_thirty_two_of_them():
    net, (x, y) = network(outputs=40), samples(6, 1)
    ds = elastic.measure_elasticity(net, (x, y), (x + 1, y), layers=["0"])
    assert "loss_response" in ds
    assert {"logit_response", "squeezed_probability"}.isdisjoint(ds)
    assert "output" not in ds.dims


def test_a_loss_of_a_whole_batch_has_none():
    x, y = samples(12, 1)
    subject = Subject(
        Tapped(network(), ["0", "1"]), build_loss("supervised_contrastive"), {"train": Samples(x, y, (0, 1, 2))}
    )
    options = {"stepped_per_class": 2, "observed_per_class": 2}
    (probe,) = build_probes(subject, {"elasticity": options}).values()
    assert "output" not in probe.declare().dims
    table = probe.read(0)
    assert {"loss_response", "logit_response"}.isdisjoint(table)
    assert "response" in table


def test_a_recorder_records_them(tmp_path):
    net, (x, y) = network().float(), samples(12, 1)
    asked = {"at": [0, 1], "collapse": None, "elasticity": {"stepped_per_class": 2, "observed_per_class": 2}}
    with elastic.Recorder(
        tmp_path / "mine", net, layers=["0"], loss="cross_entropy", train=(x.float(), y), test=(x.float(), y),
        epochs=1, probes=asked,
    ) as recorder:  # fmt: skip
        recorder.record(0)
        recorder.record(1)
    result = elastic.open_study(tmp_path / "mine").cube["elasticity"].dataset
    assert result["logit_response"].dims[-3:] == ("stepped_class", "observed_class", "output")
    assert result["loss_response"].notnull().all()
    assert result["output"].values.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("counted", "rate"), [(False, 1.0), (True, torch.nan)])
def test_stability_of_no_pair_or_of_an_unknown_effect_is_not_a_number(counted, rate):
    one, known = torch.ones(1, 1).double(), torch.full((1, 1), counted)
    update = LossUpdate(one, one, known, torch.full((1, 1), rate).double())
    assert local_stability(update).isnan()
    assert uniform_stability(update).isnan()
