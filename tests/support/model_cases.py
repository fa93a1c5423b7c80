"""A small network of every built-in model, and samples for it."""

from __future__ import annotations

import torch

from elastic.data.contract import Samples
from elastic.models.building import build_model
from elastic.models.contract import Task

CLASSES, COUNT = 3, 15
VECTOR, IMAGE = (6,), (3, 8, 8)

#: By name: (registered model, options, shape of an input; None for models of one feature vector a sample).
MODELS = {
    "mlp": ("mlp", {"widths": [7, 6]}, VECTOR),
    "mlp_batch_norm": ("mlp", {"widths": [7, 6], "norm": "batch", "activation": "gelu"}, VECTOR),
    "deep_linear": ("deep_linear", {"widths": [7, 6]}, VECTOR),
    "cnn": ("cnn", {"channels": [4, 6]}, IMAGE),
    "resnet": ("resnet", {"width": 4}, IMAGE),
    "vgg": ("vgg", {"width": 4}, (3, 32, 32)),
    "vit": ("vit", {"width": 8, "depth": 2, "heads": 2}, IMAGE),
    "layer_peeled": ("layer_peeled", {"width": 5}, None),
    "unconstrained_features": ("unconstrained_features", {"width": 5}, None),
    "extended_unconstrained_features": ("extended_unconstrained_features", {"widths": [5, 4]}, None),
    "deep_unconstrained_features": ("deep_unconstrained_features", {"width": 5, "depth": 3}, None),
}


def samples_of(name: str) -> Samples:
    """Return float64 samples of three classes; one-hot ones for a model of free features."""
    shape = MODELS[name][2]
    labels = torch.arange(COUNT) % CLASSES
    if shape is None:
        return Samples(torch.eye(COUNT, dtype=torch.float64), labels, tuple(range(CLASSES)))
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(COUNT, *shape, dtype=torch.float64, generator=draw)
    return Samples(inputs, labels, tuple(range(CLASSES)))


def build(name: str, dtype: torch.dtype = torch.float64):
    """Return a freshly drawn model in evaluation mode, on the processor; the same at every call."""
    registered, options, _ = MODELS[name]
    samples = samples_of(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        task = Task(tuple(samples.inputs.shape[1:]), CLASSES, labels=samples.labels)
        return build_model(registered, options, task).to(dtype).eval()
