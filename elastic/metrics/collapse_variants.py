"""Variants of NC1 to NC3 from other papers, as separate metrics.

Zhu et al. (zhu2021geometric) compare Gram matrices with that of a simplex where Papyan et al. (papyan2020prevalence)
compare norms, angles and directions. On balanced data all agree on whether collapse is exact, but not on the
distance from it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.errors import DegenerateInput
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.collapse import from_simplex
from elastic.metrics.contract import metric
from elastic.metrics.moments import vectors
from elastic.metrics.rounding import norm, unit


@metric(
    source="he2023law",
    formula="tr(Σ_W SS_B⁺)/K, SS_B = (1/N) Σ_k n_k(μ_k-x̄)(μ_k-x̄)ᵀ",
    bounds=(0.0, None),
    at_collapse=0.0,
)
def nc1_sample_weighted(statistics: ClassStatistics) -> Tensor:
    """NC1 with equal weights for all samples, also in the between-class scatter.

    tr(Σ_W SS_B⁺)/K with SS_B = (1/N) Σ_k n_k (μ_k - x̄)(μ_k - x̄)ᵀ and x̄ the mean of all samples: the fuzziness of
    he2023law, divided by K as papyan2020prevalence divides NC1. With equal counts it is nc1; NaN if the class means
    coincide.

    Convention: classes are weighted by n_k in SS_B and in x̄; divided by K.

    >>> h, y = torch.tensor([[-2.0], [0.0], [2.0], [4.0]]), torch.tensor([0, 1, 1, 1])
    >>> round(nc1_sample_weighted(ClassStatistics.of(h, y)).item(), 12)  # Σ_W = 2, x̄ = 1, SS_B = 3, K = 2: 2/3/2
    0.333333333333
    """
    return statistics.weighted.scatter_ratio() / len(statistics.counts)


@metric(
    source="zhu2021geometric",
    formula="‖WWᵀ/‖WWᵀ‖_F - (I-11ᵀ/K)/√(K-1)‖_F",
    bounds=(0.0, 2**0.5),
    at_collapse=0.0,
)
def nc2_classifier_etf_error(classifier_weights: Tensor) -> Tensor:
    """NC2 of the classifier: distance of its rows' Gram matrix from that of a simplex equiangular tight frame.

    ‖G/‖G‖_F - (I - 11ᵀ/K)/√(K-1)‖_F with G = WWᵀ [K, K]; combines norms and angles, as nc2_etf_error does for the class
    means. NaN if W = 0.

    Convention: the rows are not centred.

    >>> nc2_classifier_etf_error(torch.tensor([[3.0], [-3.0]])).item()
    0.0
    >>> round(nc2_classifier_etf_error(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).item() ** 2, 12)  # 2 - 2/√2
    0.585786437627
    """
    W = unit(vectors(classifier_weights))
    return from_simplex(W @ W.T)


@metric(
    source="zhu2021geometric",
    formula="‖WMᵀ/‖WMᵀ‖_F - (I-11ᵀ/K)/√(K-1)‖_F",
    bounds=(0.0, 2.0),
    at_collapse=0.0,
)
def nc3_simplex_error(statistics: ClassStatistics, classifier_weights: Tensor) -> Tensor:
    """NC3: distance of the logits of the centred class means from a simplex.

    ‖Z/‖Z‖_F - (I - 11ᵀ/K)/√(K-1)‖_F with Z = WMᵀ [K, K], M the rows μ_k - μ_G: 0 where the centred class means have
    the logits of a simplex, at most 2 (the opposite logits). Unlike nc3_duality it ignores the components of W outside
    the span of the class means. NaN if Z = 0.

    Convention: M is centred about the mean of the class means, W is not centred.

    Raises
    ------
    DegenerateInput
        If the weights do not take this layer's features, or do not have K rows.

    >>> h, y = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1])
    >>> statistics = ClassStatistics.of(h, y)
    >>> nc3_simplex_error(statistics, torch.tensor([[-2.0, 5.0], [2.0, 5.0]])).item()
    0.0
    >>> nc3_simplex_error(statistics, torch.tensor([[2.0, 5.0], [-2.0, 5.0]])).item()  # the wrong classes: opposite
    2.0
    """
    M = statistics.centred
    logits = unit(_of_these_features(classifier_weights, M)) @ unit(M).T
    # Weights orthogonal to all class means give logits that are only rounding errors.
    rounding = 2 * norm(statistics.mean_rounding) / norm(M) + len(M) * torch.finfo(M.dtype).eps
    return from_simplex(logits).masked_fill(norm(logits) <= rounding, float("nan"))


@metric(
    source="zhu2021geometric",
    formula="‖Wμ_G + b‖",
    units="logit",
    bounds=(0.0, None),
    at_collapse=0.0,
)
def centre_logit_norm(statistics: ClassStatistics, classifier_weights: Tensor, classifier_bias: Tensor) -> Tensor:
    """Norm of the logits of the global mean: 0 if the bias cancels the contribution of uncentred features.

    ‖Wμ_G + b‖, b = 0 for a classifier without bias. At a simplex under weight decay either μ_G = 0, or the bias
    cancels Wμ_G.

    Convention: μ_G is the mean of the class means; the logits are not centred over classes, and not normalised.

    Raises
    ------
    DegenerateInput
        If the weights do not take this layer's features.

    >>> h, y = torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1])  # μ_G = 2
    >>> W = torch.tensor([[1.0], [2.0]])
    >>> centre_logit_norm(ClassStatistics.of(h, y), W, torch.tensor([1.0, 0.0])).item()  # ‖(2 + 1, 4 + 0)‖
    5.0
    """
    W = _of_these_features(classifier_weights, statistics.centred)
    return norm(W @ statistics.global_mean + classifier_bias.double().to(W.device))


def _of_these_features(weights: Tensor, M: Tensor) -> Tensor:
    """Return the weights [K, d] in float64, on the device of the class means [K, d]."""
    W = vectors(weights).to(M.device)
    if W.shape != M.shape:
        hint = "the weights of the module that takes these features"
        raise DegenerateInput("`classifier_weights`", f"be of shape {list(M.shape)}", str(list(W.shape)), hint)
    return W
