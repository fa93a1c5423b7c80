"""Small cases of the group `weights`: a weight matrix, and the features that enter it with their labels."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.weight_spectrum import WeightSpectrum
from support import cases


@dataclass(frozen=True)
class Case:
    """weights [rows, d] that take the features [N, …] with labels [N]."""

    weights: Tensor
    features: Tensor
    labels: Tensor

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    def readings(self):
        """Return every reading of the group `weights`, by name."""
        return {
            "spectrum": WeightSpectrum(self.weights, self.classes),
            "input_statistics": ClassStatistics.of(self.features, self.labels),
        }

    def ask(self, oracle):
        """Call an oracle with the fields that its parameters name, as numpy arrays."""
        fields = {name: getattr(self, name) for name in inspect.signature(oracle).parameters}
        return oracle(**{name: cases.as_numpy(value) for name, value in fields.items()})


def random(rows, *, counts=(7, 7, 7), d=5, seed=0, dtype=torch.float64, rank=None, weight_rank=None, offset=0.0):
    """Gaussian weights (of a given rank) under Gaussian clusters."""
    features = cases.clustered(counts, (d,), seed=seed, rank=rank, offset=offset)
    generator = torch.Generator().manual_seed(seed + 100)
    weights = torch.randn(rows, d, generator=generator, dtype=torch.float64)
    if weight_rank is not None:
        second = torch.randn(weight_rank, d, generator=generator, dtype=torch.float64)
        weights = weights[:, :weight_rank] @ second
    return Case(weights.to(dtype), features.features, features.labels)


def of_classifier(case: cases.Case) -> Case:
    return Case(case.weights, case.features, case.labels)


CASES = {
    "tall": random(9),
    "wide": random(3, d=12, seed=1),
    "square": random(6, d=6, seed=2, counts=(4, 9, 5, 6)),
    "fewer_rows_than_classes": random(2, counts=(4, 4, 4, 4, 4), d=7, seed=3),
    "fewer_dimensions_than_classes": random(8, counts=(4, 4, 4, 4, 4), d=2, seed=4),
    "two_classes": random(7, counts=(6, 9), d=4, seed=5),
    "low_rank_weights": random(7, counts=(4, 4, 4, 4, 4), d=8, seed=6, weight_rank=2),
    "rank_one": random(5, d=6, seed=7, weight_rank=1),
    "low_rank_means": random(6, counts=(5, 5, 5, 5), d=8, seed=8, rank=2),
    "float32": random(9, seed=9, dtype=torch.float32),
    "float16": random(9, seed=10, dtype=torch.float16),
    "bfloat16": random(9, seed=11, dtype=torch.bfloat16),
    "offset": random(9, d=8, seed=12, offset=5.0),
    "aligned": of_classifier(cases.clustered((6, 6, 6, 6), (9,), seed=13)),
}
