"""Clustering and neighbour votes from a similarity matrix [n, n], and their agreement with classes; on NumPy arrays."""

from __future__ import annotations

import numpy as np
import scipy

#: Number of initialisations of k-means, and a fixed seed, so that clusters are reproducible.
STARTS, DRAWS = 20, 0


def clustered_share(similarity: np.ndarray, labels: np.ndarray) -> float:
    """Return the clustering accuracy, with as many clusters as distinct labels.

    >>> clustered_share(np.kron(np.eye(2), np.ones((3, 3))), np.array([7, 7, 7, 4, 4, 4]))
    1.0
    """
    return best_named_share(kernel_clusters(similarity, len(np.unique(labels))), labels)


def kernel_clusters(similarity: np.ndarray, count: int) -> np.ndarray:
    r"""Compute the cluster [n] of each sample by kernel k-means.

    The matrix is made symmetric, (S + Sᵀ)/2 = VΛVᵀ, and the rows of $V\sqrt{\Lambda}$ are clustered by k-means
    (`sklearn.cluster.KMeans`), without negative eigenvalues, which no kernel has. For a Gram matrix HHᵀ this is
    k-means of the rows of H.

    Parameters
    ----------
    similarity
        [n, n], finite.
    count
        Number of clusters, at most n.
    """
    from sklearn.cluster import KMeans  # takes a second to import and is rarely needed
    from threadpoolctl import threadpool_limits

    values, vectors = np.linalg.eigh((similarity + similarity.T) / 2)
    # Eigenvalues at the level of rounding errors are dropped as well: they would only cost time.
    kept = values > len(values) * np.finfo(float).eps * np.abs(values).max()
    points = vectors[:, kept] * np.sqrt(values[kept]) if kept.any() else np.zeros((len(values), 1))
    kmeans = KMeans(count, n_init=STARTS, random_state=DRAWS)  # type: ignore[no-untyped-call]
    # One thread: several sum the samples of a cluster in varying order, which changes the last bits.
    with threadpool_limits(1):  # type: ignore[no-untyped-call]
        clusters: np.ndarray = kmeans.fit_predict(points)  # type: ignore[no-untyped-call]
    return clusters


def best_named_share(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples in the right cluster, under the best assignment of clusters to labels.

    >>> best_named_share(np.array([0, 0, 1, 1]), np.array([5, 3, 3, 3]))     # 0 is 5, 1 is 3
    0.75
    """
    shared = np.array(
        [[np.sum((clusters == c) & (labels == y)) for y in np.unique(labels)] for c in np.unique(clusters)]
    )
    best = scipy.optimize.linear_sum_assignment(shared, maximize=True)  # type: ignore[attr-defined]
    return float(shared[best].sum() / len(labels))


def voted_labels(similarity: np.ndarray, labels: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the majority label [n] among each sample's most similar others (in its column); the nearest breaks ties.

    >>> voted_labels(np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.3], [0.2, 0.3, 1.0]]), np.array([0, 0, 1]), 1).tolist()
    [0, 0, 0]
    """
    others = np.where(np.eye(len(labels), dtype=bool), -np.inf, similarity)
    order = np.argsort(-others, axis=0, kind="stable")[:neighbours]
    votes = labels[order]  # [neighbours, n], the nearest first
    counts = (votes[:, None] == votes[None, :]).sum(axis=0)
    voted: np.ndarray = votes[counts.argmax(axis=0), np.arange(len(labels))]
    return voted
