r"""Classes that a network was not told of, found by its local elasticity (he2020local).

He and Su train a network to tell some samples from others, take a step on each, and cluster samples by how far the
steps move them: the similarity of a stepped sample a to an observed one m. It is made of the movements that
``elastic.measure_elasticity(…, pairs=True)`` gives, stepped and observed being the same samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from elastic.analysis.kernel_clusters import clustered_share, voted_labels
from elastic.errors import OptionError


def relative_similarity(response: xr.DataArray, own: xr.DataArray | None = None) -> xr.DataArray:
    r"""Return He and Su's relative similarity of each pair of samples, ‖Δ(m;a)‖/‖Δ(a;a)‖.

    Parameters
    ----------
    response
        [stepped, observed, …] movements ‖Δ(m;a)‖, as ``pair_response``: NaN for a sample with itself.
    own
        [stepped, …] movements ‖Δ(a;a)‖ of the stepped samples themselves. None: each row is divided by its mean, which
        takes the size of the step out as well, and a sample is as near to itself as the nearest other one.

    Returns
    -------
    xarray.DataArray
        1 (or the row's greatest value) for a sample with itself.

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
    r"""Return the share of samples that clusters of similar ones put into their class, under the best naming.

    As the authors: the matrix is made symmetric, (S + Sᵀ)/2, and handed to kernel k-means with as many clusters as
    there are classes (`elastic.analysis.kernel_clusters`). Clusters have no names: the assignment to
    classes with the most samples right is taken, so that chance is above 1/K.

    Parameters
    ----------
    similarity
        [stepped, observed, …], finite, of the same samples in the same order.
    labels
        [n] classes of the samples; the network need not have been told them.

    Returns
    -------
    xarray.DataArray
        Without the two dims.

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
    """Return the share of samples whose most similar others are mostly of their own class.

    The k-nearest-neighbour vote, leaving each sample out of its own neighbourhood; of classes with as many votes the
    one whose nearest member is nearest wins.

    Parameters
    ----------
    similarity
        [stepped, observed, …], finite, of the same samples in the same order: a column holds the similarities of all
        to one, and only they are compared.
    labels
        [n] classes of the samples.
    neighbours
        k, 1 or more and fewer than the samples.

    Raises
    ------
    OptionError
        As `clustering_accuracy`, or if there are not so many neighbours.

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
    found: xr.DataArray = xr.apply_ufunc(
        accuracy, similarity, input_core_dims=[["stepped", "observed"]], vectorize=True, output_dtypes=[float]
    )
    return found
