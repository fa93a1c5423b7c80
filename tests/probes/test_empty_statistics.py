"""Batch norm whose running statistics are empty is no normalisation: what `elasticity_and_collapse.md` says of epoch 0.

Locality is computed here by real float64 steps too, which share no code with the engines.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import elastic

WIDTHS = (64, 128, 128, 128, 128)
HIDDEN_3 = "8"


def network():
    """Return an MLP of four layers of 128 with batch norm, its statistics empty."""
    layers = [
        part
        for fan_in, width in pairwise(WIDTHS)
        for part in (nn.Linear(fan_in, width), nn.BatchNorm1d(width), nn.ReLU())
    ]
    return nn.Sequential(*layers, nn.Linear(128, 10))


def of_each(labels, first, count):
    return torch.cat([(labels == k).nonzero()[first : first + count, 0] for k in range(10)])


def by_real_steps(net, stepped, observed):
    """Return locality of hidden_3: responses over self-responses, within classes over between, by steps of 1e-6."""
    part = copy.deepcopy(net).double().eval()
    inputs = torch.cat([stepped[0], observed[0]]).double()
    before, lengths = part[: int(HIDDEN_3) + 1](inputs).detach(), []
    for x, y in zip(*stepped, strict=True):
        one = copy.deepcopy(part)
        nn.functional.cross_entropy(one(x[None].double()), y[None]).backward()
        with torch.no_grad():
            for p in one.parameters():
                p -= 1e-6 * p.grad
            lengths.append((one[: int(HIDDEN_3) + 1](inputs) - before).norm(dim=1) / 1e-6)
    own, others = torch.stack(lengths).split([len(stepped[0]), len(observed[0])], dim=1)
    response = others.unflatten(1, (10, -1)).mean(2).unflatten(0, (10, -1)).mean(1)
    similarity = response / own.diagonal().unflatten(0, (10, -1)).mean(1, keepdim=True)
    within = torch.eye(10, dtype=torch.bool)
    return float(similarity[within].mean() / similarity[~within].mean())


def test_filling_the_statistics_of_batch_norm_raises_locality_without_a_step_of_training():
    x, y = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    x = (x.float() - x.float().mean()) / x.float().std()
    places = of_each(y, 0, 3), of_each(y, 3, 6)
    stepped, observed = ((x[some], y[some]) for some in places)
    torch.manual_seed(0)
    net, collected = network(), []
    for filled in (False, True):
        if filled:
            net.train()
            with torch.no_grad():
                for _ in range(20):
                    net(x[torch.randperm(1000)[:50]])
        measured = elastic.measure_elasticity(net.eval(), stepped, observed, layers=[HIDDEN_3])
        collected.append(float(measured["locality"].sel(layer=HIDDEN_3)))
        assert collected[-1] == pytest.approx(by_real_steps(net, stepped, observed), rel=1e-3)
    assert collected == pytest.approx([1.36, 2.33], abs=0.01)  # as the page says
