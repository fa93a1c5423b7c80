"""Hinge loss over all wrong classes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from elastic.losses.contract import Loss, LossGradient, by_norm, loss


@loss()
def multi_margin(*, margin: Annotated[float, Field(gt=0)] = 1.0) -> Loss:
    r"""Multi-class hinge Σ_{j≠y} max(0, m − z_y + z_j) (sum over classes, not mean).

    A sample that satisfies the margin for every wrong class has exactly zero gradient: a step on it moves nothing, its
    self-response is 0, and relative similarities are undefined (NaN) if this holds for all stepped samples of a class.
    Source: weston1999support.

    Parameters
    ----------
    margin
        Margin m by which the logit of the label's class should exceed the others.

    Examples
    --------
    >>> import torch
    >>> z, y = torch.tensor([[2.0, 1.5, -1.0]]), torch.tensor([0])
    >>> multi_margin().per_sample(z, y).item()                         # max(0, 1 − 0.5) + max(0, 1 − 3)
    0.5
    >>> gradient = multi_margin().gradient(z, y)
    >>> (gradient.direction * gradient.norm[:, None]).round().tolist()
    [[-1.0, 1.0, 0.0]]
    """

    def shortfall(logits: Tensor, labels: Tensor) -> Tensor:
        at_label = labels[:, None]
        short = functional.relu(margin - logits.gather(1, at_label) + logits)
        return short.scatter(1, at_label, 0.0)

    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        return shortfall(logits, labels).sum(dim=1)

    def gradient(logits: Tensor, labels: Tensor) -> LossGradient:
        active = (shortfall(logits.double(), labels) > 0).double()
        return by_norm(active.scatter(1, labels[:, None], -active.sum(dim=1, keepdim=True)))

    return Loss(per_sample, gradient)
