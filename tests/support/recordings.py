"""A small training loop of a user's own, recorded in well under a second, for tests of the Recorder."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import elastic

#: Probes that read a few samples.
PROBES = {
    "at": [0, 1, 3],
    "collapse": {"per_class": 6},
    "elasticity": {"stepped_per_class": 1, "observed_per_class": 2},
}

#: Probes that cost nothing to speak of, where numbers are not the point.
CHEAP = {"at": [0, 1, 3], "collapse": {"per_class": 6}, "elasticity": None}


def samples(count: int = 24, classes: int = 3, features: int = 5, seed: int = 0):
    """Return inputs [n, features] and labels [n] of a few Gaussian classes, as NumPy arrays."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return (draw.normal(size=(count, features)) + 2 * labels[:, None]).astype("float32"), labels


def network(seed: int = 0, width: int = 6) -> nn.Sequential:
    """Return a network of two hidden layers ("1", "3") and three outputs ("4")."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, 3))


def step(model: nn.Module, lr: float = 0.05) -> None:
    """Take one step of gradient descent on all samples."""
    x, y = map(torch.as_tensor, samples())
    model.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad


def recorder(folder, model=None, **options):
    """Return a Recorder with what these tests mostly want."""
    given = {"layers": ["1", "3"], "train": samples(), "test": samples(12, seed=1), "epochs": 3, "probes": CHEAP}
    return elastic.Recorder(folder, model or network(), **{**given, **options})


def record(folder, *, epochs=range(4), seed=0, width=6, lr=0.05, **options):
    """Train a fresh network and record the epochs; return it."""
    model = network(seed, width)
    with recorder(folder, model, **options) as recording:
        for epoch in epochs:
            if epoch:
                step(model, lr)
            recording.record(epoch, lr=lr)
    return model
