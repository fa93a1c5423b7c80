"""Outputs and labels for testing a user's loss: real ones, mixtures, and widely spread numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Size of the real batch (one sample of each label first), and of the others.
MOST, FEW = 64, 7
#: Number of labels in the small batches: most samples then share their label with another one.
LABELS = 3


@dataclass(frozen=True)
class Batch:
    """Outputs [n, d] in float64 with labels, and whether the loss must accept them."""

    outputs: Tensor
    labels: Tensor
    real: bool


def trial_batches(outputs: Tensor, labels: Tensor) -> list[Batch]:
    """Return batches of finite outputs [n, d]: real ones, mixtures of them, and numbers of both signs and in (0, 1).

    Mixtures stay in the range of the outputs: probabilities remain in [0, 1], their logarithms below 0. The other
    numbers may be outside the domain of the loss; they are evenly spread and the same in every run.
    """
    outputs = outputs.detach().double()
    finite = outputs.isfinite().all(dim=1)
    outputs, labels = outputs[finite], labels[finite]
    if not len(outputs):
        return []
    chosen = one_of_each(labels)
    different = labels.unique(dim=0).shape[0]
    few = chosen[torch.arange(FEW, device=outputs.device) % min(LABELS, different)]
    places = torch.arange(FEW, device=outputs.device) * max(1, len(outputs) // FEW) % len(outputs)
    shares = spread(FEW, 2).to(outputs)
    mixed = (outputs[places] * shares[:, :1] + outputs[few] * (1 - shares[:, :1])) * (1 + shares[:, 1:]) / 2
    normal = (2 * spread(FEW, outputs.shape[1]).to(outputs) - 1).erfinv() * 2
    return [
        Batch(outputs[chosen], labels[chosen], True),
        Batch(mixed, labels[few], True),
        Batch(normal, labels[few], False),
        Batch(normal[:-2].sigmoid(), labels[few][:-2], False),
    ]


def spread(rows: int, columns: int) -> Tensor:
    """Return numbers in (0, 1) [rows, columns], float64, evenly spread by multiples of the golden ratio.

    >>> spread(1, 3).mul(1000).round().tolist()
    [[618.0, 236.0, 854.0]]
    """
    numbers = torch.arange(1, rows * columns + 1, dtype=torch.float64) * ((5**0.5 - 1) / 2)
    return (numbers % 1).clamp(1e-6, 1 - 1e-6).reshape(rows, columns)


def one_of_each(labels: Tensor) -> Tensor:
    """Return indices of at most `MOST` samples, one of each label first."""
    codes = labels.unique(dim=0, return_inverse=True)[1].reshape(-1)
    order = codes.argsort(stable=True)
    starts = torch.ones_like(order, dtype=torch.bool)
    starts[1:] = codes[order][1:] != codes[order][:-1]
    return torch.cat([order[starts], order[~starts]])[:MOST]
