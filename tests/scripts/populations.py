"""Networks trained by a bare loop, and how far a step on every sample moves every other: nothing of elastic in it.

Movements are Jacobian-vector products of `torch.func`, in each of three layers; the gradient that is stepped along is
found in float64. The mean over all pairs is what an estimate from a few samples is held against.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from torch import Tensor, nn

FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Population:
    """All pairs of samples of one layer.

    Attributes
    ----------
    labels
        [N] class of each sample, 100 a class at least.
    norms
        [N, N] how far a step on the row's sample moves the column's; the diagonal is the sample's own movement.
    """

    labels: np.ndarray
    norms: np.ndarray


@dataclass(frozen=True)
class Case:
    """A network with its data and training; defaults are those of a plain network."""

    data: str
    build: Callable[[int], nn.Sequential]
    layers: tuple[int, ...]  # modules of the sequence whose outputs are read
    epochs: int
    lr: float = 0.05
    decay: float = 5e-4
    batch: int = 50
    adam: bool = False
    squared: bool = False
    seed: int = 0


def mlp(*widths: int, norm: bool = False, activation: type[nn.Module] = nn.ReLU) -> Callable[[int], nn.Sequential]:
    """Return the builder of an MLP for so many inputs."""

    def build(inputs: int) -> nn.Sequential:
        parts: list[nn.Module] = [nn.Flatten()]
        for width in widths:
            parts += [nn.Linear(inputs, width), *([nn.BatchNorm1d(width)] if norm else []), activation()]
            inputs = width
        return nn.Sequential(*parts, nn.Linear(inputs, 10))

    return build


def cnn(channels: int, side: int, norm: bool = False) -> Callable[[int], nn.Sequential]:
    """Return the builder of two convolutions and a linear layer."""

    def build(inputs: int) -> nn.Sequential:
        first = [
            nn.Conv2d(1, channels, 3, stride=2, padding=1),
            *([nn.BatchNorm2d(channels)] if norm else []),
            nn.ReLU(),
        ]
        then = [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()]
        return nn.Sequential(*first, *then, nn.Linear(2 * channels * side * side, 64), nn.ReLU(), nn.Linear(64, 10))

    return build


def digits() -> tuple[Tensor, Tensor]:
    """Return 144 digits of each class, 8 x 8, scaled to mean 0 and variance 1."""
    result = sklearn.datasets.load_digits()
    return _of_each_class(result.images, result.target, 144)


def fashion() -> tuple[Tensor, Tensor]:
    """Return the first 100 pictures of each class of Fashion-MNIST, 28 x 28."""
    images = gzip.decompress((FASHION / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((FASHION / "train-labels-idx1-ubyte.gz").read_bytes())
    pictures = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return _of_each_class(pictures, np.frombuffer(labels, np.uint8, offset=8), 100)


def mixture() -> tuple[Tensor, Tensor]:
    """Return 120 samples of each of ten Gaussians in 20 dimensions that overlap a little."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(10), 120)
    return _of_each_class((rng.normal(size=(10, 20))[labels] * 0.9 + rng.normal(size=(1200, 20)))[:, None], labels, 120)


def _of_each_class(images: np.ndarray, labels: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    kept = np.concatenate([np.flatnonzero(labels == k)[:count] for k in range(10)])
    result = images[kept].astype(np.float64)
    scaled = (result - result.mean()) / result.std()
    return torch.tensor(scaled, dtype=torch.float32)[:, None], torch.tensor(labels[kept].astype(np.int64))


DATA = {"digits": digits, "fashion": fashion, "mixture": mixture}

#: Networks that were fixed before any of them was looked at.
CASES = {
    "Fashion-MNIST, 128-128-128, epoch 100": Case("fashion", mlp(128, 128, 128), (2, 6, 7), 100),
    "Fashion-MNIST, 64-64, epoch 10": Case("fashion", mlp(64, 64), (2, 4, 5), 10, seed=1),
    "Fashion-MNIST, 128-128-128 batch norm, epoch 60": Case("fashion", mlp(128, 128, 128, norm=True), (3, 9, 10), 60),
    "Fashion-MNIST, CNN, epoch 60": Case("fashion", cnn(8, 7), (1, 6, 7), 60, lr=0.02, seed=2),
    "Fashion-MNIST, 64-64-64, squared error, epoch 80": Case("fashion", mlp(64, 64, 64), (2, 6, 7), 80, squared=True),
    "digits, 32-32, epoch 200": Case("digits", mlp(32, 32), (2, 4, 5), 200, seed=3),
    "digits, 64-64-64-64 tanh, epoch 40": Case("digits", mlp(64, 64, 64, 64, activation=nn.Tanh), (2, 8, 9), 40),
    "digits, CNN batch norm, epoch 30": Case("digits", cnn(8, 2, norm=True), (2, 7, 8), 30, lr=0.02, seed=4),
    "digits, 128-128, Adam, no decay, epoch 60": Case("digits", mlp(128, 128), (2, 4, 5), 60, 1e-3, 0.0, adam=True),
    "mixture, 64-64-64, epoch 150": Case("mixture", mlp(64, 64, 64), (2, 6, 7), 150, seed=6),
}
#: Those that were looked at when the variance of the corrected locality was doubled.
DEVELOPMENT = ("Fashion-MNIST, 64-64, epoch 10", "Fashion-MNIST, 64-64-64, squared error, epoch 80",
               "digits, 64-64-64-64 tanh, epoch 40")  # fmt: skip
LAYERS = ("first", "penultimate", "logits")


def trained(case: Case) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return the network in evaluation mode, with its train samples."""
    torch.manual_seed(case.seed)
    inputs, labels = DATA[case.data]()
    model = case.build(inputs[0].numel()).train()
    if case.adam:
        optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), case.lr, weight_decay=case.decay)
    else:
        optimizer = torch.optim.SGD(model.parameters(), case.lr, momentum=0.9, weight_decay=case.decay)
    for _ in range(case.epochs):
        for batch in torch.randperm(len(inputs)).split(case.batch):
            optimizer.zero_grad()
            _loss(case, model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval(), inputs, labels


def _loss(case: Case, outputs: Tensor, labels: Tensor) -> Tensor:
    if case.squared:
        return (outputs - nn.functional.one_hot(labels, 10)).square().sum(1).mean() / 2
    return nn.functional.cross_entropy(outputs, labels)


def populations(case: Case) -> Iterator[Population]:
    """Yield the movements of all train samples under steps on all of them, layer by layer."""
    model, inputs, labels = trained(case)
    parameters = {name: one.detach() for name, one in model.named_parameters()}
    buffers = dict(model.named_buffers())
    exact = {name: one.double() for name, one in (parameters | buffers).items()}

    def features(weights: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(_read(model, weights | buffers, inputs, case.layers))

    def loss(weights: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        return _loss(case, torch.func.functional_call(model, exact | weights, one[None]), label[None])

    gradient, norms = torch.func.grad(loss), [np.empty((len(labels), len(labels))) for _ in case.layers]
    weights = {name: exact[name] for name in parameters}
    for number, (one, label) in enumerate(zip(inputs.double(), labels, strict=True)):
        step = gradient(weights, one, label)
        length = torch.stack([part.square().sum() for part in step.values()]).sum().sqrt()
        tangent = {name: (part / length.clamp(min=1e-300)).float() for name, part in step.items()}
        _, moved = torch.func.jvp(features, (parameters,), (tangent,))
        for result, layer in zip(norms, moved, strict=True):
            result[number] = layer.flatten(1).double().norm(dim=1).numpy() * length.item()
    yield from (Population(labels.numpy(), result) for result in norms)


def _read(model: nn.Sequential, weights: dict[str, Tensor], inputs: Tensor, layers: tuple[int, ...]) -> list[Tensor]:
    collected, current = [], inputs
    for place, part in enumerate(model):
        own = {name.split(".", 1)[1]: one for name, one in weights.items() if name.split(".", 1)[0] == str(place)}
        current = torch.func.functional_call(part, own, (current,)) if own else part(current)
        if place in layers:
            collected.append(current)
    return collected
