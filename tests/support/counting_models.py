"""Models that keep state in their forward passes, named by import path in protocols of tests."""

from __future__ import annotations

import torch
from torch import nn


class Counting(nn.Module):
    """Counts its forward passes in every way, and lets the training passes' count shrink its features."""

    def __init__(self, input_shape, classes):
        super().__init__()
        self.enter, self.head = nn.Linear(input_shape[-1] * input_shape[-2], 8), nn.Linear(8, classes)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(8))
        self.attribute, self.cache = 0, None

    def forward(self, x):
        h = torch.tanh(self.enter(x.flatten(1))) / (1 + 0.01 * self.calls + 0.01 * self.attribute)
        self.calls = self.calls + 1
        self.attribute += 1
        self.cache = h
        logits = self.head(h + self.mean)
        self.mean.mul_(0.9).add_(0.1 * h.detach().mean())
        return logits


class Coupled(nn.Module):
    """Centres its features by the batch."""

    def __init__(self, input_shape, classes):
        super().__init__()
        self.enter, self.head = nn.Linear(input_shape[-1] * input_shape[-2], 8), nn.Linear(8, classes)

    def forward(self, x):
        h = torch.tanh(self.enter(x.flatten(1)))
        return self.head(h - h.mean(0))
