"""Deferred tangents of convolutions: whatever follows one, movements are those of the autodiff engine."""

from __future__ import annotations

import inspect
import sys

import pytest
import torch
from support.engine_cases import CLASSES, J, M, probe, worst
from torch import nn

from elastic.models.contract import Stages
from elastic.probes.engine_selection import choose_engine
from elastic.probes.structured.duals import plain, tangent_of


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


WAYS = {
    "one step at a time": ("ALONE", 0),
    "shared weights for all steps": ("ALONE", 2**40),
    "on a GPU": ("Deferred.__call__", lambda self, gain=None: self._at_once(plain(self.x), tangent_of(self.x), gain)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chain", CHAINS)
def test_movements_past_a_convolution_are_the_autodiff_engine_s(chain, way, monkeypatch):
    name, value = WAYS[way]
    monkeypatch.setattr(f"elastic.probes.structured.deferred.{name}", value)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), *CHAINS[chain](), nn.Flatten())
        x = torch.randn(J + M, 1, 9, 9, dtype=torch.float64)
        width = body.eval()(x[:1].float()).shape[1]
        model = Stages({"penultimate": body, "logits": nn.Linear(width, CLASSES)}).double().eval()
    stepped = x[:J], torch.arange(J) % CLASSES
    expected = probe("autodiff", model, stepped, x[J:])
    assert worst(probe("structured", model, stepped, x[J:]), expected) < 1e-12


@pytest.fixture
def low_stack():
    """Leave Python a stack of 240 calls: for 80 convolutions as many a convolution as it has for 300 otherwise."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 240)
    yield
    sys.setrecursionlimit(usual)


def test_a_long_chain_of_convolutions_is_followed_without_recursion(low_stack):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chain = [part for _ in range(80) for part in (nn.Conv2d(1, 1, 1), nn.Identity(), nn.ReLU())]
        for part in chain[::3]:
            nn.init.constant_(part.weight, 1.01)
            nn.init.constant_(part.bias, 1e-3)
        body = nn.Sequential(*chain, nn.Flatten())
        model = Stages({"penultimate": body, "logits": nn.Linear(4, CLASSES)}).double().eval()
        x = torch.rand(2, 1, 2, 2, dtype=torch.float64)
    assert choose_engine(model, x[:1], engine="auto").name == "structured"
