"""Focal loss."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from elastic.losses.contract import Loss, LossGradient, loss
from elastic.losses.cross_entropy import softmax_gradient


@loss()
def focal(*, gamma: Annotated[float, Field(ge=0)] = 2.0) -> Loss:
    r"""Focal loss −q^γ log p with p the softmax at the label and q = 1 − p: down-weights fitted samples.

    The gradient by the logits is that of cross-entropy times q^{γ−1}(q − γ p log p); q and log p are both computed from
    log q = log Σ_{j≠y} p_j, so that the product keeps its accuracy for arbitrarily well fitted samples. γ = 0 is
    cross-entropy. Source: lin2017focal.

    Parameters
    ----------
    gamma
        Exponent γ; larger values give fitted samples less weight, 0 is cross-entropy.

    Examples
    --------
    >>> import math
    >>> z, y = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([0])       # p = 3/4
    >>> round(focal(gamma=2.0).per_sample(z, y).item(), 5)                   # (1/4)² log(4/3)
    0.01798
    """

    def terms(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p and log q."""
        logs = functional.log_softmax(logits, dim=1)
        log_q = logs.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1)
        # log p from q if p is near 1, where log p itself is inaccurate.
        log_p = logs.gather(1, labels[:, None]).squeeze(1)
        near = log_q < -1
        return torch.where(near, torch.log1p(-log_q.clamp(max=-1).exp()), log_p), log_q

    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        log_p, log_q = terms(logits, labels)
        return -(gamma * log_q).exp() * log_p

    def gradient(logits: Tensor, labels: Tensor) -> LossGradient:
        plain = softmax_gradient(logits, labels)
        log_p, log_q = terms(logits.double(), labels)
        factor = ((gamma - 1) * log_q).exp() * (log_q.exp() - gamma * log_p.exp() * log_p)
        return LossGradient(plain.direction, plain.norm * factor)

    return Loss(per_sample, gradient)
