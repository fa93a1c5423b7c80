r"""Clustering of samples by local elasticity, which recovers classes that the network is not trained on (he2020local).

He and Su train a network to separate two sets of samples, take a step on each sample, and cluster samples by how far
the steps move them: the similarity of a stepped sample a to an observed one m. It is computed from the movements in
``elastic.measure_elasticity(…, pairs=True)`` with the same samples stepped and observed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from elastic.analysis.kernel_clusters import clustered_share, voted_labels
from elastic.errors import OptionError


def relative_similarity(response: xr.DataArray, own: xr.DataArray | None = None) -> xr.DataArray:
    r"""Compute He and Su's relative similarity of each pair of samples, ‖Δ(m;a)‖/‖Δ(a;a)‖.

    Parameters
    ----------
    response
        [stepped, observed, …] movements ‖Δ(m;a)‖, such as ``pair_response``: NaN for a sample with itself.
    own
        [stepped, …] movements ‖Δ(a;a)‖ of the stepped samples themselves. None: each row is divided by its mean, which
        also removes the size of the step; the similarity of a sample to itself is that of its nearest other.

    Returns
    -------
    xarray.DataArray
        Similarities; 1 (or the row's maximum) for a sample with itself.

    Examples
    --------
    >>> moved = xr.DataArray([[np.nan, 3.0], [2.0, np.nan]], dims=("stepped", "observed"))
    >>> relative_similarity(moved, xr.DataArray([6.0, 2.0], dims="stepped")).values.tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    if own is not None:
        return (response / own.where(own > 0)).fillna(1.0)
    size = response.mean("observed")
    relative = response / size.where(size > 0)
    return relative.fillna(relative.max("observed"))


def clustering_accuracy(similarity: xr.DataArray, labels: xr.DataArray | np.ndarray) -> xr.DataArray:
    r"""Compute the accuracy of clustering by similarity, under the best assignment of clusters to classes.

    As in the paper, the matrix is made symmetric, (S + Sᵀ)/2, and passed to kernel k-means with one cluster per class
    (`elastic.analysis.kernel_clusters`). The assignment of clusters to classes with the most correct samples is used,
    so that the chance level is above 1/K.

    Parameters
    ----------
    similarity
        [stepped, observed, …], finite, of the same samples in the same order.
    labels
        [n] classes of the samples, which need not be the training labels.

    Returns
    -------
    xarray.DataArray
        Accuracy, without the two dims.

    Raises
    ------
    OptionError
        If the similarity is not square, not finite, or has other samples than the labels.

    Examples
    --------
    >>> blocks = xr.DataArray(np.kron(np.eye(2), np.ones((3, 3))), dims=("stepped", "observed"))
    >>> float(clustering_accuracy(blocks, np.array([7, 7, 7, 4, 4, 4])))
    1.0
    """
    labels = _checked(similarity, labels)
    return _of_each(similarity, lambda matrix: clustered_share(matrix, labels))


def neighbour_accuracy(
    similarity: xr.DataArray, labels: xr.DataArray | np.ndarray, *, neighbours: int = 1
) -> xr.DataArray:
    """Compute the accuracy of a k-nearest-neighbour vote by similarity.

    Each sample is excluded from its own neighbourhood; of classes with equal votes the one with the nearest member
    wins.

    Parameters
    ----------
    similarity
        [stepped, observed, …], finite, of the same samples in the same order. Similarities are compared within a
        column, i.e. of all samples to one.
    labels
        [n] classes of the samples.
    neighbours
        k, at least 1 and less than the number of samples.

    Raises
    ------
    OptionError
        See `clustering_accuracy`; if there are too few neighbours.

    Examples
    --------
    >>> near = xr.DataArray([[1.0, 0.9, 0.2], [0.9, 1.0, 0.3], [0.2, 0.3, 1.0]], dims=("stepped", "observed"))
    >>> round(float(neighbour_accuracy(near, np.array([0, 0, 1]))), 4)         # the third has no one of its own
    0.6667
    """
    labels = _checked(similarity, labels)
    if not 1 <= neighbours < len(labels):
        raise OptionError("`neighbours`", f"be 1 to {len(labels) - 1}", repr(neighbours), "neighbours=1")
    return _of_each(similarity, lambda matrix: float(np.mean(voted_labels(matrix, labels, neighbours) == labels)))


def _checked(similarity: xr.DataArray, labels: xr.DataArray | np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    sizes = {dim: similarity.sizes.get(dim, 0) for dim in ("stepped", "observed")}
    if labels.ndim != 1 or set(sizes.values()) != {len(labels)}:
        found = f"{sizes['stepped']} stepped and {sizes['observed']} observed ones for {labels.size} labels"
        raise OptionError("`similarity`", "be of the labelled samples with each other", found, "stepped = observed")
    if not bool(np.isfinite(similarity).all()):
        raise OptionError("`similarity`", "be finite", "entries that are not", "relative_similarity(response, own)")
    return labels


def _of_each(similarity: xr.DataArray, accuracy: Callable[[np.ndarray], float]) -> xr.DataArray:
    accuracies: xr.DataArray = xr.apply_ufunc(
        accuracy, similarity, input_core_dims=[["stepped", "observed"]], vectorize=True, output_dtypes=[float]
    )
    return accuracies
