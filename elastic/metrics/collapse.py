"""Neural collapse, NC1 to NC4: variability, equal norms and angles, duality with the weights, nearest means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.errors import DegenerateInput
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.contract import metric
from elastic.metrics.moments import vectors
from elastic.metrics.rounding import norm, unit


@dataclass(frozen=True)
class DualityWeights:
    """Weights of the linear module that takes a layer's features.

    Attributes
    ----------
    weights
        [d', d] as stored by ``nn.Linear``.
    is_classifier
        Whether the d' outputs are the logits of the K classes, in order. Only then can row k be compared with class
        mean k; rows of an inner layer's weights do not correspond to classes.
    """

    weights: Tensor
    is_classifier: bool


@metric(source="papyan2020prevalence", formula="tr(Σ_W Σ_B⁺)/K", bounds=(0.0, None), at_collapse=0.0)
def nc1(statistics: ClassStatistics) -> Tensor:
    """NC1: within-class variability relative to the spread of the class means.

    tr(Σ_W Σ_B⁺)/K with Σ_W = (1/N) Σ_i (h_i - μ_k)(h_i - μ_k)ᵀ and Σ_B = MᵀM/K, M the rows μ_k - μ_G. With
    M = U S Vᵀ it is Σ_r vᵣᵀ Σ_W vᵣ / sᵣ² over the directions above the rank cut (class_mean_rank is their number); NaN
    if the class means coincide. Weak directions have full weight here and hardly any in within_between_ratio.

    Convention: samples are weighted equally in Σ_W, classes in Σ_B and in μ_G (the mean of the class means);
    divided by K. Other papers weight classes by n_k, or do not divide by K (see fuzziness).

    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> round(nc1(ClassStatistics.of(h, y)).item(), 12)  # Σ_W = 1/4, Σ_B = 1, K = 2
    0.125
    """
    return statistics.balanced.scatter_ratio()


@metric(
    source="papyan2020prevalence", formula="std_k ‖μ_k-μ_G‖ / mean_k ‖μ_k-μ_G‖", bounds=(0.0, None), at_collapse=0.0
)
def nc2_equinorm(statistics: ClassStatistics) -> Tensor:
    """NC2: coefficient of variation of the class means' distances from the global mean.

    std_k ‖μ_k - μ_G‖ / mean_k ‖μ_k - μ_G‖; NaN if the class means coincide.

    Convention: sample standard deviation (divided by K-1), as the authors compute it; μ_G is the mean of the
    class means.

    >>> h, y = torch.tensor([[-3.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
    >>> round(nc2_equinorm(ClassStatistics.of(h, y)).item(), 12)  # norms 3, 1, 2: std 1, mean 2
    0.5
    """
    return _variation(class_mean_norm(statistics))


@metric(
    source="papyan2020prevalence",
    formula="mean_{j≠k} |cos(μ_j-μ_G, μ_k-μ_G) + 1/(K-1)|",
    bounds=(0.0, 1.5),
    at_collapse=0.0,
)
def nc2_equiangle(statistics: ClassStatistics) -> Tensor:
    """NC2: mean deviation of the cosines between class means from -1/(K-1), their value for a simplex.

    Mean over pairs j ≠ k of |cos(μ_j - μ_G, μ_k - μ_G) + 1/(K-1)|, where -1/(K-1) is the cosine between any
    two vertices of a simplex. Zero for two classes; NaN if a class mean lies on the global mean.

    >>> h, y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), torch.tensor([0, 1, 2, 3])
    >>> round(nc2_equiangle(ClassStatistics.of(h, y)).item(), 12)  # (|0+1/3| + |0+1/3| + |-1+1/3|)/3 = 4/9
    0.444444444444
    """
    cosine = class_cosine(statistics)
    K = len(cosine)
    apart = ~torch.eye(K, dtype=torch.bool, device=cosine.device)
    return (cosine[apart] + 1 / (K - 1)).abs().mean()


@metric(
    source="kothapalli2022review", formula="‖MMᵀ/‖MMᵀ‖_F - (I-11ᵀ/K)/√(K-1)‖_F", bounds=(0.0, 2**0.5), at_collapse=0.0
)
def nc2_etf_error(statistics: ClassStatistics) -> Tensor:
    """NC2: distance of the Gram matrix of the class means from that of a simplex equiangular tight frame.

    ‖G/‖G‖_F - (I - 11ᵀ/K)/√(K-1)‖_F with G = MMᵀ [K, K], M the rows μ_k - μ_G: combines norms and angles.
    NaN if the class means coincide.

    >>> h, y = torch.tensor([[-1.0], [0.0], [1.0]]), torch.tensor([0, 1, 2])
    >>> round(nc2_etf_error(ClassStatistics.of(h, y)).item() ** 2, 12)  # 2 - 2 (1/2 + 1/2)/√2
    0.585786437627
    """
    M = unit(statistics.centred)
    return from_simplex(M @ M.T)


def from_simplex(matrix: Tensor) -> Tensor:
    """Return ‖A/‖A‖_F - (I - 11ᵀ/K)/√(K-1)‖_F of a matrix A [K, K]; NaN if A = 0.

    >>> from_simplex(torch.tensor([[2.0, -2.0], [-2.0, 2.0]])).item()
    0.0
    """
    K = len(matrix)
    simplex = (torch.eye(K).to(matrix) - 1 / K) / (K - 1) ** 0.5
    return norm(unit(matrix) - simplex)


@metric(source="papyan2020prevalence", formula="std_k ‖w_k‖ / mean_k ‖w_k‖", bounds=(0.0, None), at_collapse=0.0)
def nc2_classifier_equinorm(classifier_weights: Tensor) -> Tensor:
    """NC2: coefficient of variation of the norms of the classifier's rows w_k.

    std_k ‖w_k‖ / mean_k ‖w_k‖ of the weights [K, d].

    Convention: sample standard deviation (divided by K-1); the rows are not centred.

    >>> round(nc2_classifier_equinorm(torch.tensor([[3.0, 0.0], [0.0, 1.0], [2.0, 0.0]])).item(), 12)
    0.5
    """
    return _variation(norm(vectors(classifier_weights), dim=1))


@metric(
    source="papyan2020prevalence",
    formula="‖W/‖W‖_F - M/‖M‖_F‖²_F; inner layer: 2 - 2‖WMᵀ‖_*/(‖W‖_F‖M‖_F)",
    bounds=(0.0, 4.0),
    at_collapse=0.0,
)
def nc3_duality(statistics: ClassStatistics, duality_weights: DualityWeights) -> Tensor:
    """NC3: squared distance between the next weights and the centred class means, both normalised.

    Classifier W [K, d]: ‖W/‖W‖_F - M/‖M‖_F‖²_F, M the rows μ_k - μ_G. An inner layer's next W [d', d]:
    min over QᵀQ = I of ‖W/‖W‖_F - Q M/‖M‖_F‖²_F = 2 - 2‖W Mᵀ‖_* / (‖W‖_F ‖M‖_F), ‖·‖_* the sum of singular
    values (orthogonal Procrustes; W padded with rows of zeros where d' < K). NaN if W = 0 or M = 0.

    Convention: M is centred, W is not. The rows of the weights of an inner layer do not correspond to classes, so
    the distance is minimised over isometries Q of the outputs: it is at most 2, and below the classifier's.

    Raises
    ------
    DegenerateInput
        If the weights do not take this layer's features, or a classifier does not have K rows.

    >>> h, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> W = torch.tensor([[2.0], [-2.0]])  # the right directions for the wrong classes
    >>> [round(nc3_duality(ClassStatistics.of(h, y), DualityWeights(W, b)).item(), 12) for b in (True, False)]
    [4.0, 0.0]
    """
    return duality(statistics.centred, duality_weights)


def duality(M: Tensor, duality_weights: DualityWeights) -> Tensor:
    """Return ‖W/‖W‖_F - M/‖M‖_F‖²_F for a classifier, 2 - 2‖WMᵀ‖_*/(‖W‖_F‖M‖_F) for inner weights (see nc3_duality).

    >>> round(duality(torch.eye(2), DualityWeights(torch.tensor([[0.0, 3.0], [3.0, 0.0]]), True)).item(), 12)
    2.0
    """
    W = vectors(duality_weights.weights).to(M.device)
    rows = len(M) if duality_weights.is_classifier else len(W)
    if W.shape != (rows, M.shape[1]):
        wanted, hint = f"be of shape {[rows, M.shape[1]]}", "the weights of the module that takes these features"
        raise DegenerateInput("`duality_weights`", wanted, str(list(W.shape)), hint)
    W, M = unit(W), unit(M)
    if duality_weights.is_classifier:
        return (W - M).square().sum()
    product = W @ M.T
    if not bool(product.isfinite().all()):
        return product.new_tensor(float("nan"))  # the decomposition fails for non-finite values
    alignment: Tensor = torch.linalg.svdvals(product).sum()
    return (2 - 2 * alignment).clamp(min=0)


@metric(
    source="papyan2020prevalence",
    formula="mean_i [argmin_k ‖h_i-μ_k‖ ≠ argmax_k z_ik]",
    bounds=(0.0, 1.0),
    at_collapse=0.0,
)
def nc4_mismatch(nearest: Tensor, decisions: Tensor) -> Tensor:
    """NC4: share of samples for which the nearest class mean and the network decide differently.

    Mean over samples i of [argmin_k ‖h_i - μ_k‖ ≠ argmax_k z_ik], z the network's logits with their bias.

    Convention: ties go to the first of the nearest class means; on test data the class means are those of the train
    split if it is probed.

    >>> nc4_mismatch(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2])).item()
    0.25
    """
    return (nearest != decisions.to(nearest.device)).count_nonzero().double() / len(nearest)


@metric(source="papyan2020prevalence", formula="‖μ_k-μ_G‖", units="feature unit", bounds=(0.0, None), dims=("class",))
def class_mean_norm(statistics: ClassStatistics) -> Tensor:
    """Distance of each class mean from the global mean, ‖μ_k - μ_G‖ [K].

    Convention: μ_G is the mean of the class means, whatever the number of samples of each class.

    >>> h, y = torch.tensor([[-3.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
    >>> class_mean_norm(ClassStatistics.of(h, y)).tolist()
    [3.0, 1.0, 2.0]
    """
    return norm(statistics.centred, dim=1)


@metric(
    source="papyan2020prevalence", formula="cos(μ_j-μ_G, μ_k-μ_G)", bounds=(-1.0, 1.0), dims=("class", "other_class")
)
def class_cosine(statistics: ClassStatistics) -> Tensor:
    """Cosine between centred class means, cos(μ_j - μ_G, μ_k - μ_G) [K, K].

    Every off-diagonal entry is -1/(K-1) for a simplex. NaN for a class whose mean lies on the global mean.

    Convention: μ_G is the mean of the class means; the diagonal is 1.

    >>> h, y = torch.tensor([[-3.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
    >>> class_cosine(ClassStatistics.of(h, y)).tolist()
    [[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]
    """
    # A class mean equal to the global mean differs from it by rounding errors, whose direction is meaningless.
    norms = norm(statistics.centred, dim=1).masked_fill(statistics.on_global_mean, float("nan"))
    directions = statistics.centred / norms[:, None]
    return (directions @ directions.T).clamp(-1, 1)


def _variation(norms: Tensor) -> Tensor:
    return (norms / norms.mean()).std()
