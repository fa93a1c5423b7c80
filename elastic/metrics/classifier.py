"""Geometry of the classifier's weights, if the classifier is a linear module."""

from __future__ import annotations

from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.moments import vectors
from elastic.metrics.rounding import norm


@metric(source="fang2021exploring", formula="cos(w_j, w_k)", bounds=(-1.0, 1.0), dims=("class", "other_class"))
def classifier_cosine(classifier_weights: Tensor) -> Tensor:
    """Cosine between the rows of the classifier, cos(w_j, w_k) = w_j·w_k / (‖w_j‖ ‖w_k‖) [K, K].

    Every off-diagonal entry is -1/(K-1) for a simplex, and 1 between classes whose rows have merged (minority
    collapse). NaN for a row of zeros.

    Convention: the rows are not centred; the diagonal is 1.

    >>> import torch
    >>> classifier_cosine(torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])).add(0.0).tolist()
    [[1.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]]
    """
    W = vectors(classifier_weights)
    norms = norm(W, dim=1)[:, None]
    directions = W / norms.masked_fill(norms == 0, float("nan"))
    return (directions @ directions.T).clamp(-1, 1)
