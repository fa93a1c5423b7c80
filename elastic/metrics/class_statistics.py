"""Class means, their singular value decomposition and the scatter around them, in two passes over a stream of features.

Σ_B has rank at most K-1, so the metrics need only the second moments of the scatter Σ_W along the directions of the
class means. Memory is O(K·d) plus one batch per layer; no d×d matrix is formed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from elastic.errors import DegenerateInput, ElasticError
from elastic.metrics.feature_batches import Features, FeatureStream, labelled_batches
from elastic.metrics.mean_directions import Between
from elastic.metrics.moments import LayerMoments, vectors
from elastic.metrics.rounding import norm, pair_distances


@dataclass(frozen=True)
class ClassStatistics:
    """First and second moments of one layer's features, class by class (all float64).

    Attributes
    ----------
    counts
        [K] samples n_k of each class.
    means
        [K, d] class means μ_k; exactly zero if all are zero up to rounding.
    global_mean
        [d] unweighted mean μ_G of the class means.
    centred
        [K, d] centred class means M; exactly zero if they coincide up to rounding.
    mean_rounding
        [K] rounding error of each class mean (`elastic.metrics.rounding`); closer means coincide.
    within_deviation
        [K] root mean square distance √v_k of class k's features from their mean.
    balanced
        Decomposition of the K×d matrix M of rows μ_k - μ_G, so that Σ_B = MᵀM/K.
    weighted
        Decomposition of the rows √(n_k/N)(μ_k - sample mean), so that SS_B = M̃ᵀM̃.
    """

    counts: Tensor
    means: Tensor
    global_mean: Tensor
    centred: Tensor
    mean_rounding: Tensor
    within_deviation: Tensor
    balanced: Between
    weighted: Between

    @property
    def within_variance(self) -> Tensor:
        """Mean squared distance v_k of class k's features from their mean, ‖h - μ_k‖² over class k [K]."""
        return self.within_deviation.square()

    @property
    def on_global_mean(self) -> Tensor:
        """Whether each class mean lies on the global mean, up to rounding [K]."""
        return norm(self.centred, dim=1) <= self.mean_rounding + self.mean_rounding.mean()

    @property
    def mean_distances(self) -> Tensor:
        """Distances ‖μ_j - μ_k‖ between class means [K, K]; exactly zero where they coincide up to rounding."""
        distances = pair_distances(self.centred)
        return distances.masked_fill(distances <= self.mean_rounding[:, None] + self.mean_rounding, 0.0)

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, classes: int | None = None) -> ClassStatistics:
        """Return the statistics of features [N, …] in memory; ``classes`` is by default the largest label + 1.

        >>> import torch
        >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
        >>> ClassStatistics.of(h, y).within_variance.tolist()
        [0.25, 0.25]
        """
        if classes is None:
            classes = int(labels.max()) + 1 if len(labels) else 0
        return read_classes(lambda: [({"features": features}, labels)], classes)["features"].statistics


@dataclass(frozen=True)
class ClassReading:
    """One layer's statistics and nearest-mean decisions, in the order of the stream's second pass.

    Attributes
    ----------
    statistics
        Moments of the features.
    short_nearest, short_labels
        [N] `nearest` and `labels` in the shortest sufficient integer type.
    """

    statistics: ClassStatistics
    short_nearest: Tensor
    short_labels: Tensor

    @property
    def nearest(self) -> Tensor:
        """Class with the nearest mean for each sample (the first of equally near ones), [N] int64."""
        return self.short_nearest.long()

    @property
    def labels(self) -> Tensor:
        """Class of each sample, [N] int64."""
        return self.short_labels.long()


def read_classes(
    stream: FeatureStream,
    classes: int,
    *,
    centres: Mapping[str, Tensor] | None = None,
    rank_tolerance: float | None = None,
) -> dict[str, ClassReading]:
    r"""Compute the class statistics of every layer in two passes over a stream: means, then the scatter around them.

    A direction of the class means counts if its singular value exceeds both ``rank_tolerance`` times the largest one
    and the rounding error of the means (`elastic.metrics.rounding`); at most K-1 directions count. By default
    ``rank_tolerance`` is K·ε with ε of the features' dtype, or float32's for shorter dtypes (K·ε of bfloat16 exceeds 1
    from K = 128 on).

    Parameters
    ----------
    stream
        Called once per pass; yields the same samples each time.
    classes
        Number of classes K.
    centres
        Class means [K, d] by layer for ``nearest``, for instance those of the train split if the stream is the test
        split; by default the stream's own.
    rank_tolerance
        Relative cut of the singular values, at least 0 and below 1; by default K·ε. Weak directions have full weight in
        tr(Σ_W Σ_B⁺): a fixed cut makes it independent of the features' dtype.

    Returns
    -------
    dict
        A `ClassReading` for each layer, float64: decisions and labels on the features' device (on the CPU if that lacks
        float64), statistics on the CPU unless they are large (`elastic.metrics.on_processor`).

    Raises
    ------
    DegenerateInput
        For fewer than two classes, a class without samples, labels outside 0..K-1, non-finite features, and a stream
        whose passes differ.
    ElasticError
        For a ``rank_tolerance`` outside [0, 1).

    Examples
    --------
    >>> import torch
    >>> h, y = torch.tensor([[-1.5, 0.0], [-0.5, 0.0], [0.5, 0.0], [1.5, 0.0]]), torch.tensor([0, 0, 1, 1])
    >>> batches = [({"hidden": h[:2]}, y[:2]), ({"hidden": h[2:]}, y[2:])]
    >>> reading = read_classes(lambda: batches, 2)["hidden"]
    >>> reading.statistics.means.tolist(), reading.nearest.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [0, 0, 1, 1])
    >>> round(reading.statistics.balanced.singular_values.item() ** 2, 12)
    2.0
    """
    if classes < 2:
        raise DegenerateInput("`classes`", "be at least 2", str(classes), "data of two or more classes")
    _check_tolerance(rank_tolerance)
    layers: dict[str, LayerMoments] = {}
    for features, labels in labelled_batches(stream, classes):
        for name, values in features.items():
            if name not in layers:
                layers[name] = LayerMoments(name, values, classes)
            layers[name].add(vectors(values), labels)
    if not layers:
        raise DegenerateInput("`stream`", "give features of at least one layer", "none", "a stream with samples")
    return read_around_means(layers, labelled_batches(stream, classes), centres=centres, rank_tolerance=rank_tolerance)


def read_around_means(
    layers: Mapping[str, LayerMoments],
    batches: Iterable[tuple[Features, Tensor]],
    *,
    centres: Mapping[str, Tensor] | None = None,
    rank_tolerance: float | None = None,
) -> dict[str, ClassReading]:
    """Run the second pass of `read_classes` over the batches whose sums ``layers`` has."""
    _check_tolerance(rank_tolerance)
    for name, layer in layers.items():
        layer.fix_means(rank_tolerance, None if centres is None else centres[name])
    first, done = next(iter(layers.values())), 0
    # Filled in place: allocating small persistent tensors between large batches fragments memory.
    members = torch.empty_like(first.decisions)
    for features, labels in batches:
        for name, values in features.items():
            layers[name].measure(vectors(values), labels)
        members[done : done + len(labels)] = labels
        done += len(labels)
    return {name: _reading(layer, members) for name, layer in layers.items()}


def _check_tolerance(tolerance: object) -> None:
    if tolerance is not None and not (isinstance(tolerance, Real) and 0 <= float(tolerance) < 1):
        raise ElasticError("`rank_tolerance`", "be at least 0 and below 1", repr(tolerance), "1e-6, or None")


def _reading(layer: LayerMoments, labels: Tensor) -> ClassReading:
    """Convert one layer's moments to a reading for the metrics."""
    nearest = layer.decided()
    N, K, scale = layer.counts.sum(), len(layer.counts), layer.scale
    frames = [
        Between(v, s * scale, (m / N).sqrt() * scale) for (v, s), m in zip(layer.frames, layer.moments, strict=True)
    ]
    balanced = frames[0]
    if len(frames) == 1:  # equal counts: the weighted matrix is the balanced one over √K
        frames.append(Between(balanced.directions, balanced.singular_values / K**0.5, balanced.within_deviation))
    means, centre = layer.means * scale + layer.origin, layer.means.mean(0)
    if layer.vanish:
        means = torch.zeros_like(means)
    spread = balanced.singular_values.numel() > 0
    statistics = ClassStatistics(
        counts=layer.counts.long(),
        means=means,
        global_mean=means.mean(0),
        centred=(layer.means - centre) * scale if spread else torch.zeros_like(means),
        mean_rounding=layer.rounding * scale,
        within_deviation=(layer.scatter / layer.counts).sqrt() * scale,
        balanced=balanced,
        weighted=frames[1],
    )
    return ClassReading(statistics, nearest, labels)
