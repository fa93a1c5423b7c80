"""Squared error, plain and rescaled."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from elastic.losses.contract import Loss, LossGradient, by_norm, loss

Positive = Annotated[float, Field(gt=0)]


@loss()
def mse(*, target: Positive = 1.0, weight: Positive = 1.0) -> Loss:
    r"""Squared error ½(κ(z_y − M)² + Σ_{j≠y} z_j²) against M at the label and 0 elsewhere (sum over classes, not mean).

    Source: han2022neural; the rescaling by M and κ, for many classes: hui2021evaluation.

    Parameters
    ----------
    target
        Target M of the logit of the label's class.
    weight
        Weight κ of the term of the label's class.

    Examples
    --------
    >>> import torch
    >>> z, y = torch.tensor([[0.0, 1.0]]), torch.tensor([0])
    >>> mse().per_sample(z, y).item(), mse(target=2.0, weight=3.0).per_sample(z, y).item()   # ½(1 + 1), ½(3·4 + 1)
    (1.0, 6.5)
    """

    def parts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        is_label = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
        return logits - target * is_label, 1 + (weight - 1) * is_label

    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        residual, weights = parts(logits, labels)
        return (weights * residual.square()).sum(dim=1) / 2

    def gradient(logits: Tensor, labels: Tensor) -> LossGradient:
        residual, weights = parts(logits.double(), labels)
        return by_norm(weights * residual)

    return Loss(per_sample, gradient, squared=target == weight == 1)
