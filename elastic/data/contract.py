"""The interface of data sets, and their registration.

A data set is a function with the decorator `dataset`. It receives a seeded generator (most ignore it), takes its
options as keyword-only parameters and returns `Samples`. Everything else (class subsets, samples per class, splits,
normalisation) is common to all data sets, in `elastic.data.preparation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from elastic.data.source import OWN, Source
from elastic.registry import registry

#: Function ``(generator, *, options) -> Samples``.
DataFunction = Callable[..., "Samples"]


@dataclass(frozen=True)
class Samples:
    """Labelled inputs.

    Attributes
    ----------
    inputs
        [n, …] floating point, as stored; images are [n, channels, height, width], vectors [n, features].
    labels
        [n] int64, indices into ``classes``: the training labels.
    classes
        The K class names.
    is_test
        [n] bool, the split of the data's authors; None without one.
    fixed
        Whether normalisation must not change the inputs.
    fine_labels
        [n] int64, indices into ``fine_classes``, if the classes are super-classes of fine ones that the network is not
        trained on; otherwise None.
    fine_classes
        Names of the fine classes; empty if there are none.
    targets
        [n, …] targets of a user's own loss other than ``labels``: numbers, probabilities, several labels.
    geodesic
        [n] float64 position of each sample along a curve, if the data lie on one; otherwise None.
    geodesic_period
        Length of a closed curve; None for an open one.
    """

    inputs: Tensor
    labels: Tensor
    classes: tuple[str | int, ...]
    is_test: Tensor | None = None
    fixed: bool = False
    fine_labels: Tensor | None = None
    fine_classes: tuple[str | int, ...] = ()
    targets: Tensor | None = None
    geodesic: Tensor | None = None
    geodesic_period: float | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor | slice) -> Samples:
        """Select samples by indices [m], a mask [n] or a slice."""
        held = (self.is_test, self.fine_labels, self.targets, self.geodesic)
        is_test, fine, targets, geodesic = (None if part is None else part[index] for part in held)
        return replace(
            self, inputs=self.inputs[index], labels=self.labels[index], is_test=is_test, fine_labels=fine,
            targets=targets, geodesic=geodesic,
        )  # fmt: skip

    def geodesic_distances(self, other: Samples) -> Tensor | None:
        """Return the distances [n, m] of these samples from others along their curve; None without a curve.

        On a closed curve the distance is the shorter one, min(|Δ|, period − |Δ|).

        >>> import torch
        >>> part = Samples(torch.zeros(2, 1), torch.tensor([0, 1]), (0, 1), geodesic=torch.tensor([0.5, 3.5]))
        >>> part.geodesic_distances(part)[0].tolist()
        [0.0, 3.0]
        >>> replace(part, geodesic_period=4.0).geodesic_distances(part)[0].tolist()
        [0.0, 1.0]
        """
        if self.geodesic is None or other.geodesic is None:
            return None
        apart = (self.geodesic.double()[:, None] - other.geodesic.double()[None, :]).abs()
        if self.geodesic_period is None:
            return apart
        apart = apart % self.geodesic_period
        return torch.minimum(apart, self.geodesic_period - apart)

    @property
    def for_loss(self) -> Tensor:
        """Targets of the loss [n, …]."""
        return self.labels if self.targets is None else self.targets

    def absent_classes(self) -> list[str | int]:
        """Return the names of classes without samples."""
        counts = self.labels.bincount(minlength=len(self.classes)).tolist()
        return [name for name, count in zip(self.classes, counts, strict=True) if not count]

    @property
    def strata(self) -> tuple[Tensor, tuple[str | int, ...]]:
        """Labels [n] and names of the classes for stratified sampling: the fine ones, if any."""
        return (self.labels, self.classes) if self.fine_labels is None else (self.fine_labels, self.fine_classes)


def dataset(name: str | None = None, *, source: Source = OWN) -> Callable[[DataFunction], DataFunction]:
    """Register a function ``(generator: torch.Generator, *, options) -> Samples`` as a data set.

    Parameters
    ----------
    name
        That of the function by default.
    source
        Where the data come from and under which licence, for the archives of studies that use them.
    """
    return registry("data").register(name, source)
