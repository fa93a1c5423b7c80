"""Imbalanced training sets."""

from __future__ import annotations

from typing import Literal

import torch

from elastic.data.contract import Samples
from elastic.data.transforms import choose_per_class
from elastic.errors import DataError

#: "step": two class sizes; "exponential": class sizes in geometric progression.
Profile = Literal["step", "exponential"]


def class_sizes(
    classes: int, largest: int, *, ratio: float, profile: Profile = "step", minority_classes: int | None = None
) -> list[int]:
    """Compute the number of samples of each class, at least one.

    Parameters
    ----------
    classes
        Number of classes K.
    largest
        Samples of the largest class, n.
    ratio
        Of the largest class to the smallest, R ≥ 1.
    profile
        ``step``: n for the first classes and n/R for the last ones (fang2021exploring); ``exponential``:
        n·R^(−k/(K−1)) for k = 0 … K−1 (cui2019class).
    minority_classes
        With ``step``, how many are small; half of them (rounded down) by default.

    Raises
    ------
    DataError
        If the number of minority classes leaves no majority, or is given for another profile.

    Examples
    --------
    >>> class_sizes(4, 100, ratio=10), class_sizes(3, 100, ratio=100, profile="exponential")
    ([100, 100, 10, 10], [100, 10, 1])
    """
    field = "`data.imbalance.minority_classes`"
    if profile == "exponential":
        if minority_classes is not None:
            raise DataError(field, "be left out", str(minority_classes), "profile: step")
        return [max(1, round(largest * ratio ** (-k / (classes - 1)))) for k in range(classes)]
    few = classes // 2 if minority_classes is None else minority_classes
    if not 1 <= few < classes:
        raise DataError(field, f"be 1 to {classes - 1}", str(few), f"minority_classes: {classes // 2}")
    return [largest] * (classes - few) + [max(1, round(largest / ratio))] * few


def take_imbalanced(
    samples: Samples,
    generator: torch.Generator,
    *,
    ratio: float,
    profile: Profile = "step",
    minority_classes: int | None = None,
) -> Samples:
    """Subsample each class to its size from `class_sizes`, relative to the smallest class, preserving the order.

    The training classes are large or small. If they are super-classes, each of their fine classes has the size of its
    super-class, relative to the smallest fine class.

    Examples
    --------
    >>> samples = Samples(torch.zeros(40, 1), torch.arange(40) % 4, (0, 1, 2, 3))
    >>> take_imbalanced(samples, torch.Generator(), ratio=5).labels.bincount().tolist()
    [10, 10, 2, 2]
    """
    strata, names = samples.strata
    counts = strata.bincount(minlength=len(names))
    sizes = class_sizes(
        len(samples.classes), int(counts.min()), ratio=ratio, profile=profile, minority_classes=minority_classes
    )
    # One permutation per class for any ratio: smaller sizes select a subset of the samples of larger ones.
    owners = torch.zeros(len(names), dtype=torch.int64).scatter(0, strata, samples.labels)
    kept = choose_per_class(strata, None, generator, sizes=[sizes[owner] for owner in owners.tolist()])
    return samples.take(kept)
