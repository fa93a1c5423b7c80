"""Readings of fine classes inside a super-class, and the accuracy of clusters of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from elastic.analysis.kernel_clusters import clustered_share
from elastic.metrics.update import UpdateResponse

OF_A_SUPERCLASS = ("stepped_class",)

Reading = TypeVar("Reading")
#: One reading per super-class; None for a super-class of a single fine class.
OfEach = Sequence[Reading | None]


@dataclass(frozen=True)
class FineFeatures:
    """Features of the n samples of a super-class, reduced for k-means and nearest neighbours.

    Attributes
    ----------
    products
        [n, n] inner products, float64.
    fine
        [n] fine class of each sample.
    """

    products: Tensor
    fine: Tensor


def of_each(readings: OfEach[Reading], value: Callable[[Reading], float]) -> Tensor:
    """Return a value for each super-class [K]; NaN for a single fine class.

    >>> of_each(["ab", None], len).tolist()
    [2.0, nan]
    """
    values = [torch.nan if reading is None else value(reading) for reading in readings]
    return torch.tensor(values, dtype=torch.float64)


def clustered(similarity: Tensor, fine: Tensor) -> float:
    """Return the accuracy of kernel k-means on [n, n] for fine classes, under the best assignment of clusters.

    Samples with non-finite rows are skipped; NaN if fewer than two fine classes remain.

    >>> clustered(torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.1], [0.1, 0.1, 1.0]]), torch.tensor([0, 0, 1]))
    1.0
    """
    known = similarity.isfinite().all(dim=1)
    if len(fine[known].unique()) < 2:
        return torch.nan
    return clustered_share(as_array(similarity[known][:, known]), as_array(fine[known]))


def as_array(values: Tensor) -> np.ndarray:
    """Return a tensor as a NumPy array."""
    return np.asarray(values.cpu().numpy())


def example_fine_update() -> UpdateResponse:
    """Return steps on four samples of two fine classes: each moves its own 3, the others 1 along its own way.

    >>> example_fine_update().norms.tolist()[0]
    [3.0, 3.0, 1.0, 1.0]
    """
    fine = torch.tensor([0, 0, 1, 1])
    norms = torch.where(fine[:, None] == fine, 3.0, 1.0).double()
    nothing, ones = torch.zeros(4, 2).double(), torch.ones(4).double()
    return UpdateResponse(
        2, fine, fine, ~torch.eye(4, dtype=torch.bool), norms, 3 * norms, 3 * ones,
        nothing, nothing, nothing, nothing, 9 * ones,
    )  # fmt: skip


def example_fine_features() -> FineFeatures:
    """Return the features 0, 1 of one fine class and 5, 6 of another.

    >>> example_fine_features().products[3].tolist()
    [0.0, 6.0, 30.0, 36.0]
    """
    h = torch.tensor([0.0, 1.0, 5.0, 6.0]).double()
    return FineFeatures(torch.outer(h, h), torch.tensor([0, 0, 1, 1]))
