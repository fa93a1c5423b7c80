"""Losses of models with one output for two classes: binary cross-entropy of a logit, squared error."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from elastic.losses.contract import Loss, LossGradient, by_norm, loss
from elastic.losses.log_space import sigmoid_pull
from elastic.losses.mse import Positive


@loss()
def binary_cross_entropy() -> Loss:
    r"""Cross-entropy of one logit z: log(1 + e^{-z}) for the second class, log(1 + e^z) for the first.

    For two classes; the model has one output, and predicts the second class if it is above 0. The gradient σ(z) − y is
    computed in log space, which keeps full relative accuracy for arbitrarily well fitted samples.

    Source: he2020local.

    Examples
    --------
    >>> import math
    >>> import torch
    >>> z, y = torch.tensor([[math.log(3.0)], [0.0]]), torch.tensor([1, 0])     # σ(z) = 3/4 and 1/2
    >>> binary_cross_entropy().per_sample(z, y).exp().tolist()
    [1.333..., 2.0]
    >>> binary_cross_entropy().decisions(z).tolist()
    [1, 0]
    """

    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        given = labels.to(logits.dtype)
        return functional.binary_cross_entropy_with_logits(logits[:, 0], given, reduction="none")

    def gradient(logits: Tensor, labels: Tensor) -> LossGradient:
        is_second = labels.double()[:, None]
        return sigmoid_pull(logits, 1 - is_second, is_second)

    return Loss(per_sample, gradient, decide=_above(0.0), outputs=1)


@loss()
def scalar_mse(*, target: Positive = 1.0) -> Loss:
    r"""Squared error ½(z − t)² of one output z against t = 0 for the first class and t = M for the second.

    For two classes; the model has one output, and predicts the second class if it is above M/2. The authors of local
    elasticity train with (z − y)², which is this loss at twice the learning rate.

    Source: he2020local.

    Parameters
    ----------
    target
        Target M of the second class.

    Examples
    --------
    >>> import torch
    >>> z, y = torch.tensor([[0.25], [3.0]]), torch.tensor([0, 1])
    >>> scalar_mse().per_sample(z, y).tolist(), scalar_mse().decisions(z).tolist()      # ½·(¼)², ½·2²
    ([0.03125, 2.0], [0, 1])
    """

    def residual(outputs: Tensor, labels: Tensor) -> Tensor:
        return outputs - target * labels.to(outputs.dtype)[:, None]

    def per_sample(outputs: Tensor, labels: Tensor) -> Tensor:
        return residual(outputs, labels)[:, 0].square() / 2

    def gradient(outputs: Tensor, labels: Tensor) -> LossGradient:
        return by_norm(residual(outputs.double(), labels))

    return Loss(per_sample, gradient, decide=_above(target / 2), outputs=1)


def _above(threshold: float) -> Callable[[Tensor], Tensor]:
    return lambda outputs: (outputs[:, 0] > threshold).long()
