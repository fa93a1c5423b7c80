"""Samples without inputs, identified by their index."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from elastic.data.contract import Samples, dataset
from elastic.data.source import GENERATED

Count = Annotated[int, Field(ge=1)]


@dataset(source=GENERATED)
def indices(
    generator: torch.Generator, *, per_class_counts: Annotated[list[Count], Field(min_length=2, max_length=10_000)]
) -> Samples:
    """One-hot indices of N train samples, for models whose features are free parameters.

    Sample i is the i-th unit vector of R^N for any ``data.normalize``; classes are consecutive. There are no other
    samples to test on: the test split equals the train split.

    Parameters
    ----------
    generator
        Not used.
    per_class_counts
        Number of samples n_k of each class; unequal numbers make an imbalanced problem.

    Examples
    --------
    >>> samples = indices(torch.Generator(), per_class_counts=[2, 1])
    >>> samples.labels.tolist(), samples.inputs[:3].tolist()
    ([0, 0, 1, 0, 0, 1], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """
    labels = torch.arange(len(per_class_counts)).repeat_interleave(torch.tensor(per_class_counts))
    samples = len(labels)
    return Samples(
        inputs=torch.eye(samples).repeat(2, 1),
        labels=labels.repeat(2),
        classes=tuple(range(len(per_class_counts))),
        is_test=torch.arange(2 * samples) >= samples,
        fixed=True,
    )
