"""Training sets in which some classes have fewer samples than others."""

from __future__ import annotations

from typing import Literal

import torch

from elastic.data.contract import Samples
from elastic.data.transforms import choose_per_class
from elastic.errors import DataError

#: "step": two sizes of class; "exponential": each class smaller than the one before by one factor.
Profile = Literal["step", "exponential"]


def class_sizes(
    classes: int, largest: int, *, ratio: float, profile: Profile = "step", minority_classes: int | None = None
) -> list[int]:
    """Return how many samples each class keeps, from the first class to the last; one at least.

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
    """Return random samples of each class, as many as `class_sizes` says of the smallest class's number, in order.

    It is the classes that a network is told which are large or small. Where they are super-classes, each of their fine
    classes has the size of its super-class, in terms of the smallest fine class's number.

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
    # One permutation a class, whatever the ratio: the samples of a smaller class are some of a larger one's.
    owners = torch.zeros(len(names), dtype=torch.int64).scatter(0, strata, samples.labels)
    kept = choose_per_class(strata, None, generator, sizes=[sizes[owner] for owner in owners.tolist()])
    return samples.take(kept)
