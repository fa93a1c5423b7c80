"""Evaluation by oneDNN: the numbers of float64 to rounding; what it is not made for is left to torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from elastic.models.building import build_model
from elastic.models.contract import Task
from elastic.models.fast_products import FastProducts


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_forward_pass_is_that_of_float64(norm):
    torch.manual_seed(0)
    net = build_model("mlp", {"widths": [96, 128], "norm": norm}, Task((80,), 10)).eval()
    inputs = torch.randn(130, 80)
    with torch.no_grad(), FastProducts():
        result = net(inputs)
    exact = net.double()(inputs.double())
    assert torch.linalg.vector_norm(result - exact) <= 1e-6 * torch.linalg.vector_norm(exact)


@pytest.mark.parametrize(
    ("dtype", "rows", "width", "is_taken"),
    [(torch.float32, 64, 64, True), (torch.float64, 64, 64, False), (torch.float32, 63, 64, False),
     (torch.float32, 64, 63, False)],
)  # fmt: skip
def test_large_layers_of_float32_are_taken(monkeypatch, dtype, rows, width, is_taken):
    taken = []

    def onednn(rows, weight, bias, *rest):
        taken.append(len(rows))
        return nn.functional.linear(rows, weight, bias)

    monkeypatch.setattr("elastic.models.fast_products._ONEDNN", onednn)
    with torch.no_grad(), FastProducts():
        nn.Linear(64, width, bias=False, dtype=dtype)(torch.zeros(rows, 64, dtype=dtype))
        nn.Linear(64, 64, dtype=dtype)(torch.zeros(2, rows, 64, dtype=dtype))  # of sequences, as they are
    assert bool(taken) == is_taken
