"""Clusters and neighbours by a similarity matrix [n, n], and how well they fit classes; of plain arrays."""

from __future__ import annotations

import numpy as np
import scipy

#: Starts of k-means, and the seed of their draws: the same similarities give the same clusters.
STARTS, DRAWS = 20, 0


def clustered_share(similarity: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples that as many clusters as there are labels put with their own, best named.

    >>> clustered_share(np.kron(np.eye(2), np.ones((3, 3))), np.array([7, 7, 7, 4, 4, 4]))
    1.0
    """
    return best_named_share(kernel_clusters(similarity, len(np.unique(labels))), labels)


def kernel_clusters(similarity: np.ndarray, count: int) -> np.ndarray:
    r"""Return the cluster [n] of each sample by kernel k-means.

    The matrix is made symmetric, (S + Sᵀ)/2 = VΛVᵀ, and the rows of $V\sqrt{\Lambda}$ are clustered by k-means
    (`sklearn.cluster.KMeans`), negative eigenvalues, which no kernel has, left out. Of a Gram matrix HHᵀ that is
    k-means of the rows of H.

    Parameters
    ----------
    similarity
        [n, n], finite.
    count
        Number of clusters, n at most.
    """
    from sklearn.cluster import KMeans  # takes a second to load, and few who read a cube need it
    from threadpoolctl import threadpool_limits

    values, vectors = np.linalg.eigh((similarity + similarity.T) / 2)
    # Positive but for rounding are also those that are nothing but rounding: they would only cost time.
    kept = values > len(values) * np.finfo(float).eps * np.abs(values).max()
    points = vectors[:, kept] * np.sqrt(values[kept]) if kept.any() else np.zeros((len(values), 1))
    kmeans = KMeans(count, n_init=STARTS, random_state=DRAWS)  # type: ignore[no-untyped-call]
    # Threads add up a cluster's samples in the order in which they end: not twice to the same bits.
    with threadpool_limits(1):  # type: ignore[no-untyped-call]
        clusters: np.ndarray = kmeans.fit_predict(points)  # type: ignore[no-untyped-call]
    return clusters


def best_named_share(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples in the right cluster, under the naming of clusters that gets most right.

    >>> best_named_share(np.array([0, 0, 1, 1]), np.array([5, 3, 3, 3]))     # 0 is 5, 1 is 3
    0.75
    """
    shared = np.array(
        [[np.sum((clusters == c) & (labels == y)) for y in np.unique(labels)] for c in np.unique(clusters)]
    )
    best = scipy.optimize.linear_sum_assignment(shared, maximize=True)  # type: ignore[attr-defined]
    return float(shared[best].sum() / len(labels))


def voted_labels(similarity: np.ndarray, labels: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the label [n] that each sample's most similar others (of its column) vote for; the nearest breaks ties.

    >>> voted_labels(np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.3], [0.2, 0.3, 1.0]]), np.array([0, 0, 1]), 1).tolist()
    [0, 0, 0]
    """
    others = np.where(np.eye(len(labels), dtype=bool), -np.inf, similarity)
    order = np.argsort(-others, axis=0, kind="stable")[:neighbours]
    votes = labels[order]  # [neighbours, n], the nearest first
    counts = (votes[:, None] == votes[None, :]).sum(axis=0)
    voted: np.ndarray = votes[counts.argmax(axis=0), np.arange(len(labels))]
    return voted
