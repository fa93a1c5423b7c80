"""Recording within other modes of torch gives the same numbers and changes nothing."""

from __future__ import annotations

import random
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from support.recordings import PROBES, recorder, samples
from torch import nn
from torch.nn import functional

import elastic
from elastic.errors import ModelError

pytestmark = pytest.mark.usefixtures("unsealed")


class Moody(nn.Module):
    """A network that counts its calls, caches, draws and has statistics: all that a forward pass may change."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 6))
        self.norm, self.frozen, self.drop = nn.BatchNorm1d(6), nn.BatchNorm1d(6), nn.Dropout()
        self.last = nn.Linear(6, 3)
        self.calls, self.cache = 0, None

    def forward(self, inputs):
        self.calls += 1
        self.cache = self.frozen(self.norm(self.hidden(inputs))).relu()
        random.random()
        np.random.rand()
        return self.last(self.drop(self.cache))


def moody():
    torch.manual_seed(0)
    model = Moody().train()
    model.frozen.eval()
    model.last.bias.requires_grad_(False)
    x, y = map(torch.as_tensor, samples())
    functional.cross_entropy(model(x), y).backward()
    model.cache = model.cache.detach()
    return model


def state(model):
    """Return what recording might change, as one text."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    parts = [(name, id(t), t._version, t.requires_grad, t.tolist(), id(t.grad)) for name, t in tensors]
    grads = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
    modules = [
        (name, type(m), m.training, sorted(vars(m)), len(m._forward_hooks), len(m._forward_pre_hooks))
        for name, m in model.named_modules()
    ]
    modes = (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_anomaly_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
    )
    draws = (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate())
    return repr((parts, grads, modules, modes, draws, model.calls, id(model.cache)))


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES = {
    "plain": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default dtype": lambda: default_dtype(torch.float64),
    "default device": lambda: torch.device("meta"),
}


def numbers(folder, inside, outside=nullcontext):
    model = moody()
    with outside():
        recording = recorder(folder, model, layers=["hidden", "norm"], probes={**PROBES, "weights": {}})
    with recording, inside():
        before = state(model)
        recording.record(0)
        assert state(model) == before
    return elastic.open_study(folder).assemble()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return numbers(tmp_path_factory.mktemp("plain"), nullcontext)


@pytest.mark.parametrize("mode", MODES)
def test_a_record_within_another_mode_is_the_same_and_changes_nothing(tmp_path, plain, mode):
    estimates = numbers(tmp_path, MODES[mode])
    for group in plain.children:
        xr_plain, xr_found = plain[group].to_dataset(), estimates[group].to_dataset()
        assert xr_found.identical(xr_plain), group


@pytest.mark.parametrize("mode", ["inference_mode", "autocast", "default device"])
def test_a_recorder_that_is_made_within_another_mode_records_the_same(tmp_path, plain, mode):
    estimates = numbers(tmp_path, nullcontext, MODES[mode])
    assert estimates["elasticity"].to_dataset().identical(plain["elasticity"].to_dataset())


def test_a_graph_that_waits_for_its_backward_pass_survives_a_record(tmp_path):
    model = moody()
    x, y = map(torch.as_tensor, samples())
    loss = functional.cross_entropy(model(x), y)
    with recorder(tmp_path, model, layers=["hidden", "norm"], probes=PROBES) as recording:
        recording.record(0)
    loss.backward()


def test_a_record_that_fails_changes_nothing(tmp_path, monkeypatch):
    model = moody()
    with recorder(tmp_path, model, layers=["hidden", "norm"], probes=PROBES) as recording:
        before = state(model)
        monkeypatch.setattr(
            Moody, "forward", lambda self, inputs: self.last(self.hidden(inputs)) / len(vars(self)["x"])
        )
        with torch.inference_mode(), pytest.raises(ModelError, match="found KeyError: 'x'"):
            recording.record(0)
        monkeypatch.undo()
        assert state(model) == before
        recording.record(0)
