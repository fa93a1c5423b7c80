"""Small cases that many tests share: features with labels, and a network's last layer on top of them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import DualityWeights
from elastic.metrics.least_squares import read_least_squares


@dataclass(frozen=True)
class Case:
    """One layer's features with the classifier that takes them.

    features [N, …], labels [N], weights [K, d] and bias [K] of the classifier, next_weights [d', d] of an inner
    layer, and the ridge of the squared loss.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor
    bias: Tensor | None
    next_weights: Tensor
    ridge: float = 0.01

    @property
    def classes(self) -> int:
        return len(self.weights)

    @property
    def vectors(self) -> Tensor:
        """[N, d] in float64."""
        return self.features.double().flatten(1)

    @property
    def decisions(self) -> Tensor:
        bias = 0.0 if self.bias is None else self.bias.double()
        return (self.vectors @ self.weights.double().T + bias).argmax(1)

    def reading(self, batch_size: int | None = None):
        size = batch_size or len(self.labels)
        batches = [({"layer": f}, y) for f, y in zip(self.features.split(size), self.labels.split(size), strict=True)]
        return read_classes(lambda: batches, self.classes)["layer"]

    def readings(self, batch_size: int | None = None):
        """Return every reading of the group `collapse`, by name."""
        reading = self.reading(batch_size)
        squares = read_least_squares(self.features, self.labels, self.classes, self.weights, self.bias, self.ridge)
        return {
            "statistics": reading.statistics,
            "nearest": reading.nearest,
            "labels": reading.labels,
            "decisions": self.decisions,
            "classifier_weights": self.weights,
            "classifier_bias": torch.zeros(self.classes) if self.bias is None else self.bias,
            "duality_weights": DualityWeights(self.weights, is_classifier=True),
            "least_squares": squares,
        }

    def ask(self, oracle):
        """Call an oracle with the fields that its parameters name, as numpy arrays."""
        fields = {name: getattr(self, name) for name in inspect.signature(oracle).parameters}
        return oracle(**{k: as_numpy(v) for k, v in fields.items()})

    # The same network in other coordinates: features change, logits do not.

    def rotated(self, rotation: Tensor) -> Case:
        return replace(
            self,
            features=self.vectors @ rotation.T,
            weights=self.weights.double() @ rotation.T,
            next_weights=self.next_weights.double() @ rotation.T,
        )

    def scaled(self, factor: float) -> Case:
        return replace(
            self,
            features=self.vectors * factor,
            weights=self.weights.double() / factor,
            next_weights=self.next_weights.double() / factor,
        )

    def shifted(self, shift: Tensor) -> Case:
        bias = 0.0 if self.bias is None else self.bias.double()
        return replace(self, features=self.vectors + shift, bias=bias - self.weights.double() @ shift)

    def relabelled(self, order: Tensor) -> Case:
        """Class ``order[k]`` becomes class k."""
        return replace(
            self,
            labels=order.argsort()[self.labels],
            weights=self.weights[order],
            bias=None if self.bias is None else self.bias[order],
        )


def as_numpy(value):
    """Tensors of any float type as float64 arrays, all else as it is."""
    if not isinstance(value, Tensor):
        return value
    return value.double().numpy() if value.is_floating_point() else value.numpy()


def labels_of(counts) -> Tensor:
    """Return labels with ``counts[k]`` samples of class k, interleaved as far as they go."""
    rounds = [[k for k, n in enumerate(counts) if n > i] for i in range(max(counts))]
    return torch.tensor([k for members in rounds for k in members])


def random_rotation(d: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]


def with_classifier(features, labels, means, generator, *, bias=True, ridge=0.01, inner=4) -> Case:
    """Put a classifier that is roughly, not exactly, aligned with the class means on top of features."""
    K, d = means.shape
    noise = torch.randn(K, d, generator=generator, dtype=torch.float64)
    weights = (means - means.mean(0)) + 0.5 * noise
    offset = -(weights @ means.mean(0)) + 0.1 * torch.randn(K, generator=generator, dtype=torch.float64)
    next_weights = torch.randn(inner, d, generator=generator, dtype=torch.float64)
    return Case(features, labels, weights, offset if bias else None, next_weights, ridge)


def clustered(counts=(7, 7, 7), shape=(5,), *, seed=0, spread=0.6, offset=0.0, dtype=torch.float64, rank=None, **kw):
    """Gaussian clusters around Gaussian class means (of which only ``rank`` directions live, if given)."""
    generator = torch.Generator().manual_seed(seed)
    labels, K, d = labels_of(counts), len(counts), int(torch.tensor(shape).prod())
    means = torch.randn(K, d, generator=generator, dtype=torch.float64)
    if rank is not None:
        means = means[:, :rank] @ torch.randn(rank, d, generator=generator, dtype=torch.float64)
    means = means + offset
    noise = torch.randn(len(labels), d, generator=generator, dtype=torch.float64)
    if rank is not None:  # residuals that sum to zero in every class, so that the means keep their rank exactly
        for k in range(K):
            noise[labels == k] -= noise[labels == k].mean(0)
    features = (means[labels] + spread * noise).to(dtype)
    return with_classifier(features.unflatten(1, shape), labels, means, generator, **kw)


def simplex_etf(classes=4, d=6, per_class=3, *, seed=0, shift=0.0) -> Case:
    """Exact collapse onto the vertices of a simplex, under the classifier that is aligned with them."""
    generator = torch.Generator().manual_seed(seed)
    vertices = (torch.eye(classes) - 1 / classes).double() * (classes / (classes - 1)) ** 0.5
    frame = vertices @ random_rotation(max(d, classes), generator)[:classes, :]
    labels = labels_of([per_class] * classes)
    weights = 1.7 * frame
    return Case(frame[labels] + shift, labels, weights, -shift * weights.sum(1), weights)


def exact_collapse(counts=(3, 4, 5), d=6, *, seed=0) -> Case:
    """Every sample on its class mean; the means are no simplex."""
    return clustered(counts, (d,), seed=seed, spread=0.0)


def dead(value=0.1, counts=(4, 4, 4), d=5, *, dtype=torch.float32) -> Case:
    """A layer that gives every sample the same features."""
    case = clustered(counts, (d,))
    return replace(case, features=torch.full((len(case.labels), d), value, dtype=dtype))


def coincident_means(d=5) -> Case:
    """Classes with the same mean and a living scatter: ±1 in each coordinate, for every class."""
    case = clustered((2, 2, 2), (d,))
    signs = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    return replace(case, features=signs[:, None].expand(6, d).clone())


#: Cases on which every metric has to agree with its oracle.
CASES = {
    "balanced": clustered(),
    "imbalanced": clustered((3, 8, 20, 5), (6,), seed=1),
    "two_classes": clustered((6, 9), (3,), seed=2),
    "single_samples": clustered((1, 1, 5), (4,), seed=3),
    "fewer_dimensions_than_classes": clustered((4, 4, 4, 4, 4), (2,), seed=4),
    "one_dimension": clustered((4, 5, 6), (1,), seed=5),
    "wide": clustered((4, 4, 4), (120,), seed=6),
    "convolutional": clustered((5, 5, 5), (3, 4, 2), seed=7),
    "float32": clustered((6, 6, 6), (5,), seed=8, dtype=torch.float32),
    "bfloat16": clustered((6, 6, 6), (5,), seed=9, dtype=torch.bfloat16),
    "offset": clustered((6, 7, 8), (5,), seed=10, offset=100.0),
    "low_rank_means": clustered((5, 5, 5, 5), (6,), seed=11, rank=2),
    "no_bias": clustered((5, 6, 7), (4,), seed=12, bias=False),
    "no_ridge": clustered((5, 6, 7), (4,), seed=13, ridge=0.0),
    "no_ridge_wide": clustered((2, 3, 4), (30,), seed=14, ridge=0.0),
}
