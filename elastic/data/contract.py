"""What a data set is, and how one is added.

A data set is one function under `dataset`. It is handed a seeded generator (most ignore it), takes its options
as keyword-only parameters and returns `Samples`. Everything else (class subsets, samples per class, splits,
normalisation) is done for all data sets alike in `elastic.data.preparation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from elastic.data.source import OWN, Source
from elastic.registry import registry

#: Reads ``(generator, *, options) -> Samples``.
DataFunction = Callable[..., "Samples"]


@dataclass(frozen=True)
class Samples:
    """Labelled inputs.

    Attributes
    ----------
    inputs
        [n, …] floating point, as stored; images are [n, channels, height, width], vectors [n, features].
    labels
        [n] int64, positions in ``classes``: what a network is told.
    classes
        The K class names in the order of their positions.
    is_test
        [n] bool where the data's authors made a split of their own, otherwise None.
    fixed
        Whether the inputs mean what they are, so that no normalisation may change them.
    fine_labels
        [n] int64, positions in ``fine_classes``, where the classes are super-classes of finer ones that the network
        is not told; otherwise None.
    fine_classes
        Names of the fine classes, empty where there are none.
    targets
        [n, …] what a user's own loss takes, where that is not ``labels``: numbers, probabilities, several labels.
    geodesic
        [n] float64 place of each sample along a curve, where the data lie on one; otherwise None.
    geodesic_period
        Length after which that place begins anew on a closed curve; None: the curve is open.
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
        """Return the samples at the positions ``index`` [m] (or under the mask [n], or in a slice)."""
        held = (self.is_test, self.fine_labels, self.targets, self.geodesic)
        is_test, fine, targets, geodesic = (None if part is None else part[index] for part in held)
        return replace(
            self, inputs=self.inputs[index], labels=self.labels[index], is_test=is_test, fine_labels=fine,
            targets=targets, geodesic=geodesic,
        )  # fmt: skip

    def geodesic_distances(self, other: Samples) -> Tensor | None:
        """Return the distances [n, m] of these samples from others along their curve; None where there is none.

        On a closed curve the shorter way counts, min(|Δ|, period − |Δ|).

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
        """What a loss takes [n, …]."""
        return self.labels if self.targets is None else self.targets

    def absent_classes(self) -> list[str | int]:
        """Return the names of the classes that have no samples."""
        counts = self.labels.bincount(minlength=len(self.classes)).tolist()
        return [name for name, count in zip(self.classes, counts, strict=True) if not count]

    @property
    def strata(self) -> tuple[Tensor, tuple[str | int, ...]]:
        """Labels [n] and names of the classes that draws are balanced over: the fine ones, where there are any."""
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
