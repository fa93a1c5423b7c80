r"""Deep neural collapse of free features under several weight layers: orthogonal frames in every layer.

Without biases and with balanced classes, squared error and Frobenius penalties, the global optimum of the extended
unconstrained-features model (tirer2022extended) has, with one factor each, $M M^\top \propto I_K$ for the K×d class
means M of every layer (H₁, H₂ = W₁H₁, …), $W W^\top \propto I_K$ for the last weights W, and each layer's weights are
aligned with the class means of their input. With a bias the same holds about the global mean, where the frame is a
simplex: that is what `nc2_etf_error` and `nc3_duality` measure. All of these apply to any network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.collapse import DualityWeights, duality
from elastic.metrics.contract import metric
from elastic.metrics.moments import vectors
from elastic.metrics.rounding import norm, unit


@metric(source="tirer2022extended", formula="‖MMᵀ/‖MMᵀ‖_F - I/√K‖_F, M the rows μ_k", bounds=(0.0, 2**0.5))
def orthogonal_frame_error(statistics: ClassStatistics) -> Tensor:
    r"""Distance of the Gram matrix of the uncentred class means from a multiple of the identity.

    ‖G/‖G‖_F - I/√K‖_F with G = MMᵀ [K, K], M the rows μ_k: 0 where the class means are orthogonal and equally long, at
    most √(2 - 2/√K) (all in one direction). A centred simplex is √(2 - 2√(1 - 1/K)) away from it. NaN if M = 0.

    Convention: the class means are not centred; nc2_etf_error is the counterpart for centred class means.

    >>> h, y = torch.tensor([[3.0, 0.0], [4.0, 0.0]]), torch.tensor([0, 1])  # one direction: √(2 - 2/√2)
    >>> round(orthogonal_frame_error(ClassStatistics.of(h, y)).item() ** 2, 12)
    0.585786437627
    """
    return _from_identity(statistics.means)


@metric(source="tirer2022extended", formula="‖WWᵀ/‖WWᵀ‖_F - I/√K‖_F", bounds=(0.0, 2**0.5))
def classifier_frame_error(classifier_weights: Tensor) -> Tensor:
    r"""Distance of the Gram matrix of the classifier's rows from a multiple of the identity.

    ‖G/‖G‖_F - I/√K‖_F with G = WWᵀ, W [K, d]: 0 where the rows are orthogonal and equally long, √(2 - 2√(1 - 1/K))
    where they are a simplex. NaN if W = 0.

    Convention: the rows are not centred.

    >>> W = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # a simplex of two: √(2 - 2√½)
    >>> round(classifier_frame_error(W).item() ** 2, 12)
    0.585786437627
    """
    return _from_identity(vectors(classifier_weights))


@metric(
    source="tirer2022extended",
    formula="‖W/‖W‖_F - M/‖M‖_F‖²_F, M the rows μ_k; inner layer: 2 - 2‖WMᵀ‖_*/(‖W‖_F‖M‖_F)",
    bounds=(0.0, 4.0),
)
def nc3_duality_uncentred(statistics: ClassStatistics, duality_weights: DualityWeights) -> Tensor:
    r"""NC3 without centring: squared distance between the next weights and the class means, both normalised.

    As nc3_duality, with the rows μ_k instead of μ_k - μ_G: ‖W/‖W‖_F - M/‖M‖_F‖²_F for the classifier (0 where
    row k is a multiple of μ_k, the same for all), up to the best isometry of the outputs for inner layers. NaN if W or
    M is 0.

    Convention: neither M nor W is centred, as in the theorem without biases. The rows of the weights of an inner layer
    do not correspond to classes; its value is at most 2.

    Raises
    ------
    DegenerateInput
        If the weights do not take this layer's features, or a classifier does not have K rows.

    >>> h, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> W = torch.tensor([[0.0, 2.0], [2.0, 0.0]])  # each class mean's weights are the other's
    >>> [round(nc3_duality_uncentred(ClassStatistics.of(h, y), DualityWeights(W, b)).item(), 12) for b in (True, False)]
    [2.0, 0.0]
    """
    return duality(statistics.means, duality_weights)


def _from_identity(rows: Tensor) -> Tensor:
    scaled = unit(rows)
    gram = unit(scaled @ scaled.T)
    K = len(gram)
    return norm(gram - torch.eye(K).to(gram) / K**0.5)
