"""Separation of fine classes by features of each layer and by inputs, as baselines for local elasticity."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import one_hot

from elastic.analysis.kernel_clusters import voted_labels
from elastic.metrics.contract import metric
from elastic.metrics.fine_structure import (
    OF_A_SUPERCLASS,
    FineFeatures,
    OfEach,
    as_array,
    clustered,
    example_fine_features,
    of_each,
)
from elastic.metrics.rounding import UNIT
from elastic.metrics.update import not_zero

__all__ = ["example_fine_features"]


@metric(
    group="elasticity",
    source="yang2023neurons",
    formula="share of samples in the right cluster by k-means on h",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
)
def feature_fine_clustering_accuracy(fine_features: OfEach[FineFeatures]) -> Tensor:
    r"""Accuracy of k-means on this layer's features for the fine classes of a super-class.

    k-means of the features h = h(m) of the samples of relative_fine_clustering_accuracy, under the best assignment of
    clusters to classes, [K]. It may stay high in a collapsed layer, if the remaining variability is not noise.

    Convention: as relative_fine_clustering_accuracy.

    >>> feature_fine_clustering_accuracy([example_fine_features(), None]).tolist()
    [1.0, nan]
    """
    return of_each(fine_features, lambda layer: clustered(_centred(layer.products), layer.fine))


@metric(
    group="elasticity",
    source="yang2023neurons",
    formula="mean over m of [fine class of argmin_a ‖h(a)-h(m)‖ = fine class of m]",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
)
def feature_fine_neighbour_accuracy(fine_features: OfEach[FineFeatures]) -> Tensor:
    r"""Share of a super-class's samples whose nearest other in this layer's features has the same fine class.

    $\operatorname{mean}_m [\, f(\operatorname{argmin}_{a \ne m} \lVert h(a) - h(m)\rVert) = f(m)\,]$, [K], f(m) the
    fine class of m; chance level is about 1/F for F fine classes.

    Convention: as relative_fine_neighbour_accuracy.

    >>> feature_fine_neighbour_accuracy([example_fine_features(), None]).tolist()
    [1.0, nan]
    """
    return of_each(fine_features, _next_to_their_own)


@metric(
    group="elasticity",
    source="yang2023neurons",
    formula="share of samples in the right cluster by k-means on x",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
    layerless=True,
)
def input_fine_clustering_accuracy(fine_inputs: OfEach[FineFeatures]) -> Tensor:
    """Accuracy of k-means on the inputs for the fine classes of a super-class.

    k-means of the inputs x = x(m), as feature_fine_clustering_accuracy of the features, [K]: a baseline without
    network.

    Convention: as relative_fine_clustering_accuracy.

    >>> input_fine_clustering_accuracy([example_fine_features(), None]).tolist()
    [1.0, nan]
    """
    return feature_fine_clustering_accuracy(fine_inputs)


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over m of [fine class of argmin_a ‖x(a)-x(m)‖ = fine class of m]",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
    layerless=True,
)
def input_fine_neighbour_accuracy(fine_inputs: OfEach[FineFeatures]) -> Tensor:
    r"""Share of a super-class's samples whose nearest other in the inputs has the same fine class.

    $\operatorname{mean}_m [\, f(\operatorname{argmin}_{a \ne m} \lVert x(a) - x(m)\rVert) = f(m)\,]$, [K].

    Convention: as relative_fine_neighbour_accuracy.

    >>> input_fine_neighbour_accuracy([example_fine_features(), None]).tolist()
    [1.0, nan]
    """
    return feature_fine_neighbour_accuracy(fine_inputs)


@metric(
    group="elasticity",
    source="yang2023neurons",
    formula="1 - Σ_m ‖h(m)-μ_f(m)‖² / Σ_m ‖h(m)-μ‖²",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
)
def fine_variance_share(fine_features: OfEach[FineFeatures]) -> Tensor:
    r"""Share of a super-class's variance in this layer that is between its fine classes.

    $1 - \sum_m \lVert h(m) - \mu_{f(m)}\rVert^2 / \sum_m \lVert h(m) - \mu\rVert^2$, [K], μ_f the mean of fine class
    f and μ that of the super-class: 0 if their means coincide, 1 if every fine class has collapsed.

    Convention: over the stepped samples; chance level is (F−1)/(n−1) for F fine classes and n samples; NaN for a
    super-class of one fine class or without variance.

    >>> round(fine_variance_share([example_fine_features(), None])[0].item(), 4)        # 1 − (½ + ½)/26
    0.9615
    """
    return of_each(fine_features, _share_between)


def _share_between(layer: FineFeatures) -> float:
    centred = _centred(layer.products)
    total, members = centred.diagonal().sum(), one_hot(layer.fine).to(centred)
    between = ((members.T @ centred @ members).diagonal() / members.sum(0)).sum()
    # Inner products have rounding errors relative to their size: a variance below these counts as zero.
    rounding = 8 * len(layer.fine) * UNIT * layer.products.diagonal().max()
    return (between / not_zero(total.masked_fill(total <= rounding, 0.0))).clamp(0.0, 1.0).item()


def _centred(products: Tensor) -> Tensor:
    # k-means is invariant to the origin, but rounding errors are not.
    rows = products - products.mean(dim=0)
    return rows - rows.mean(dim=1, keepdim=True)


def _next_to_their_own(layer: FineFeatures) -> float:
    lengths, fine = layer.products.diagonal(), as_array(layer.fine)
    nearness = 2 * layer.products - lengths[:, None] - lengths
    return float((voted_labels(as_array(nearness), fine, 1) == fine).mean())
