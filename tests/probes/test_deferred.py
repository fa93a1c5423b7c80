"""Deferred tangents of convolutions: whatever follows one, movements are those of the autodiff engine."""

from __future__ import annotations

import pytest
import torch
from support.engine_cases import CLASSES, J, M, probe, worst
from torch import nn

from elastic.models.contract import Stages
from elastic.probes.structured import deferred


class Twice(nn.Module):
    """Reads the output of a convolution before its activation and after it."""

    def __init__(self, convolution):
        super().__init__()
        self.convolution = convolution

    def forward(self, x):
        y = self.convolution(x)
        return torch.relu(y) + y.sin()


class Overwrites(Twice):
    """Writes into the output of a convolution after an activation has read it."""

    def forward(self, x):
        y = self.convolution(x)
        z = torch.nn.functional.max_pool2d(torch.relu(y), 2)
        y.add_(1.0)
        return z + torch.nn.functional.max_pool2d(y, 2)


def settled_norm(planes):
    norm = nn.BatchNorm2d(planes)
    norm.running_mean, norm.running_var = torch.linspace(-0.3, 0.2, planes), torch.linspace(0.5, 1.5, planes)
    return norm


CHAINS = {
    "activation, then normalisation": lambda: [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), settled_norm(4)],
    "normalisation, then two activations": lambda: [
        nn.Conv2d(2, 4, 3, padding=1), settled_norm(4), nn.GELU(), nn.LeakyReLU()
    ],
    "activation, then two poolings": lambda: [
        nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.MaxPool2d(2)
    ],
    "pooling, then normalisation": lambda: [nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2), settled_norm(4)],
    "groups": lambda: [nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.MaxPool2d(2)],
    "two convolutions": lambda: [
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2), nn.ELU(), nn.AvgPool2d(2)
    ],
    "output read twice": lambda: [Twice(nn.Conv2d(2, 4, 3))],
    "output written to": lambda: [Overwrites(nn.Conv2d(2, 4, 3, padding=1))],
    "in place": lambda: [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)],
}  # fmt: skip


@pytest.mark.parametrize("alone", [0, 2**40], ids=["one step at a time", "all steps at once"])
@pytest.mark.parametrize("chain", CHAINS)
def test_movements_past_a_convolution_are_the_autodiff_engine_s(chain, alone, monkeypatch):
    monkeypatch.setattr(deferred, "ALONE", alone)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), *CHAINS[chain](), nn.Flatten())
        x = torch.randn(J + M, 1, 9, 9, dtype=torch.float64)
        width = body.eval()(x[:1].float()).shape[1]
        model = Stages({"penultimate": body, "logits": nn.Linear(width, CLASSES)}).double().eval()
    stepped = x[:J], torch.arange(J) % CLASSES
    expected = probe("autodiff", model, stepped, x[J:])
    assert worst(probe("structured", model, stepped, x[J:]), expected) < 1e-12
