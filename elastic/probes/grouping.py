"""The order in which a probe passes over observed samples, and the class means of their features."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

from elastic.metrics.update import not_zero
from elastic.probes.engine import Engine


def class_means(stepping: Engine, inputs: Tensor, labels: Tensor, classes: int, batch: int) -> dict[str, Tensor]:
    """Return the class means [K, d] of each layer in float64, NaN for a class without samples; in batches."""
    sums: dict[str, Tensor] = {}
    for some, members in zip(inputs.split(batch), _members(labels, classes).split(batch), strict=True):
        for layer, features in stepping.features(some).items():
            total = members.T @ features.double()
            sums[layer] = sums[layer].add_(total) if layer in sums else total
    count = not_zero(_members(labels, classes).sum(0))[:, None]
    return {layer: total.div_(count) for layer, total in sums.items()}


def _members(labels: Tensor, classes: int) -> Tensor:
    return functional.one_hot(labels, classes).double()


class Grouping:
    """The order of the pass over observed samples: by class, each in the order of its samples.

    Parameters
    ----------
    labels
        [M] classes of the observed samples.
    classes
        Number of classes K.
    counted
        [J, M] bool: which pairs count.

    Attributes
    ----------
    order
        [M] positions of the samples in the order of the pass; None if it is their own order.
    counts
        [J, K] number of counted samples, in float64.
    every_pair
        Whether all pairs count.

    Examples
    --------
    >>> grouping = Grouping(torch.tensor([1, 0, 1, 1]), 3, torch.ones(1, 4, dtype=torch.bool))
    >>> grouping.order.tolist(), grouping.runs(slice(0, 3)), grouping.is_cut(3), grouping.is_cut(4)
    ([1, 0, 2, 3], [(0, 1), (1, 2)], True, False)
    """

    def __init__(self, labels: Tensor, classes: int, counted: Tensor) -> None:
        order = labels.argsort(stable=True)
        self._sorted: list[int] = labels[order].tolist()
        self.order = None if self._sorted == labels.tolist() else order
        self.counted, self.every_pair = counted, bool(counted.all())
        self.members = _members(labels, classes)
        self.counts = counted.double() @ self.members
        self._columns: dict[tuple[tuple[int, int], ...], tuple[Tensor, Tensor]] = {}

    def means(self, features: Tensor) -> Tensor:
        """Return the class means [K, d] in float64 of features [M, d] in the order of the pass; NaN without samples."""
        members = self.members if self.order is None else self.members[self.order]
        means: Tensor = (members.T @ features.double()).div_(not_zero(members.sum(0))[:, None])
        return means

    def runs(self, columns: slice) -> list[tuple[int, int]]:
        """Return the classes of a block with their numbers of samples."""
        return [(label, len(list(run))) for label, run in groupby(self._sorted[columns])]

    def members_of(self, runs: list[tuple[int, int]], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the classes [k] of some runs, and which of their samples is of which class, [m, k] of zeros and ones.

        Kept for the next layer and the next stepped samples: making them takes longer than a product with them.

        >>> grouping = Grouping(torch.tensor([4, 6, 6]), 7, torch.ones(1, 3, dtype=torch.bool))
        >>> classes, member = grouping.members_of([(4, 1), (6, 2)], torch.int)
        >>> classes.tolist(), member.tolist()
        ([4, 6], [[1, 0], [0, 1], [0, 1]])
        """
        key = tuple(runs)
        if key not in self._columns:
            # Made on the CPU: a length that depends on values would have to be read from a GPU.
            places = torch.arange(len(runs)).repeat_interleave(torch.tensor([count for _, count in runs]))
            made = torch.tensor([label for label, _ in runs]), functional.one_hot(places, len(runs))
            classes, member = (part.to(self.counted.device, non_blocking=True) for part in made)
            self._columns[key] = classes, member
        classes, member = self._columns[key]
        if member.dtype != dtype:
            member = member.to(dtype)
            self._columns[key] = classes, member
        return classes, member

    def is_cut(self, place: int) -> bool:
        """Whether a class has samples on both sides of a position in the order."""
        return 0 < place < len(self._sorted) and self._sorted[place - 1] == self._sorted[place]
