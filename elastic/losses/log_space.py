"""Gradients that are differences of exponentials, as direction and norm, without cancellation or underflow."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from elastic.losses.contract import LossGradient, by_norm


def difference(up: Tensor, down: Tensor) -> LossGradient:
    """Return the rows e^up − e^down for logarithms [n, d], as a gradient.

    >>> gradient = difference(torch.tensor([[-800.0, -torch.inf]]), torch.tensor([[-torch.inf, -800.0]]))
    >>> gradient.direction.mul(2**0.5).round().tolist()
    [[1.0, -1.0]]
    """
    up, down = up.double(), down.double()
    peak = torch.maximum(up, down).amax(dim=1, keepdim=True)
    peak = torch.where(peak > -torch.inf, peak, 0.0)
    scaled = by_norm((up - peak).exp() - (down - peak).exp())
    return LossGradient(scaled.direction, scaled.norm * peak.squeeze(1).exp())


def others(values: Tensor) -> Tensor:
    """Return Σ_{j≠k} v_j for each entry of nonnegative rows [n, d], without cancellation for the largest entry.

    >>> others(torch.tensor([[1.0, 2**-60, 2**-61]]))[0, 0].item() == 2**-60 + 2**-61
    True
    """
    largest = values.argmax(dim=1, keepdim=True)
    rest = values.scatter(1, largest, 0.0)
    return (values.sum(dim=1, keepdim=True) - values).scatter(1, largest, rest.sum(dim=1, keepdim=True))


def softmax_pull(logits: Tensor, coefficients: Tensor) -> LossGradient:
    r"""Return the gradient by the logits of −Σ_k c_k log p_k, for the softmax p and coefficients c ≥ 0 [n, K].

    It is C p − c with C = Σ c. Entry k is p_k Σ_{j≠k} c_j − c_k Σ_{j≠k} p_j, which cancels only where the gradient
    itself is small: at p = c/C.

    Examples
    --------
    A label at 40 above the other logit: c_y q and −c_y q, for q = e⁻⁴⁰.

    >>> gradient = softmax_pull(torch.tensor([[40.0, 0.0]]), torch.tensor([[3.0, 0.0]]))
    >>> f"{gradient.norm.item():.4e}"                                                      # 3·√2·e⁻⁴⁰
    '1.8024e-17'
    """
    log_p, c = functional.log_softmax(logits.double(), dim=1), coefficients.double()
    largest = log_p.argmax(dim=1, keepdim=True)
    rest = log_p.scatter(1, largest, -torch.inf).logsumexp(dim=1, keepdim=True)
    log_q = torch.log1p(-log_p.exp()).scatter(1, largest, rest)
    return difference(log_p + others(c).log(), c.log() + log_q)


def sigmoid_pull(logits: Tensor, up: Tensor, down: Tensor) -> LossGradient:
    """Return rows of up·σ(z) − down·σ(−z), for up and down ≥ 0: the gradient of binary cross-entropy.

    >>> sigmoid_pull(torch.tensor([[40.0]]), torch.tensor([[0.0]]), torch.tensor([[1.0]])).norm.item()     # e⁻⁴⁰
    4.24...e-18
    """
    logits = logits.double()
    return difference(
        up.double().log() + functional.logsigmoid(logits), down.double().log() + functional.logsigmoid(-logits)
    )
