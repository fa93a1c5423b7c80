"""A fixed classifier whose rows form a simplex ETF."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.models.contract import TappedModel


def simplex_etf(classes: int, width: int) -> Tensor:
    r"""Return K unit vectors [K, d] with cosines −1/(K−1), randomly rotated with torch's global generator.

    Raises
    ------
    ModelError
        If the width is below K − 1, for which no such vectors exist.

    Examples
    --------
    >>> vectors = simplex_etf(3, 5)
    >>> (vectors @ vectors.T).mul(2).round().tolist()     # 1 and −1/2, twice
    [[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]]
    """
    if width < classes - 1:
        expected = f"have {classes - 1} features or more for an ETF of {classes} classes"
        raise ModelError(
            "the penultimate layer", expected, str(width), "a wider layer, or training.classifier: learned"
        )
    centring = torch.eye(classes, dtype=torch.float64) - 1 / classes
    across = torch.linalg.eigh(centring).eigenvectors[:, 1:]
    turned, _ = torch.linalg.qr(torch.randn(width, classes - 1, dtype=torch.float64))
    vectors: Tensor = (classes / (classes - 1)) ** 0.5 * across @ turned.T
    return vectors


@torch.no_grad()
def fix_classifier(model: TappedModel) -> None:
    """Fix the last linear layer to a random simplex ETF without bias (yang2022inducing).

    Raises
    ------
    ModelError
        If no linear layer reads the penultimate features, or they are too few, or the classifier has one output.
    """
    linear = model.last_weights()
    if not isinstance(linear, nn.Linear):
        raise ModelError("`training.classifier`", "be learned, as no linear layer reads the penultimate features",
                         "etf", "training.classifier: learned")  # fmt: skip
    if len(linear.weight) < 2:
        raise ModelError("`training.classifier`", "be learned, as one output is no simplex", "etf",
                         "training.classifier: learned, or a loss of one output a class")  # fmt: skip
    linear.weight.copy_(simplex_etf(*linear.weight.shape))
    for parameter in linear.parameters():
        parameter.requires_grad_(False)
    if linear.bias is not None:
        linear.bias.zero_()
