"""Cross-entropy, with and without label smoothing."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from elastic.losses.contract import Loss, LossGradient, by_norm, loss


def softmax_gradient(logits: Tensor, labels: Tensor) -> LossGradient:
    """Return p − e_y of the softmax p, with the entry at y computed as −Σ_{j≠y} p_j in log space.

    Keeps full relative accuracy for arbitrarily well fitted samples.

    Examples
    --------
    >>> gradient = softmax_gradient(torch.tensor([[40.0, 0.0]]), torch.tensor([0]))
    >>> f"{gradient.norm.item():.4e}", gradient.direction.mul(2**0.5).round().tolist()   # √2·e⁻⁴⁰
    ('6.0081e-18', [[-1.0, 1.0]])
    """
    at_label = labels[:, None]
    others = functional.log_softmax(logits.double(), dim=1).scatter(1, at_label, -torch.inf)
    peak = others.amax(dim=1, keepdim=True)
    entries = (others - peak).exp()
    entries = entries.scatter(1, at_label, -entries.sum(dim=1, keepdim=True))
    scaled = by_norm(entries)
    return LossGradient(scaled.direction, scaled.norm * peak.squeeze(1).exp())


@loss()
def cross_entropy(*, smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0) -> Loss:
    r"""Cross-entropy of the softmax p to the label, or to a mixture of the label and all classes.

    The target is t = (1 − δ) e_y + δ/K with the smoothing δ; the loss is −Σ_k t_k log p_k and its gradient by the
    logits p − t. Without smoothing the gradient's entry at y is computed as −Σ_{j≠y} p_j in log space, which keeps full
    relative accuracy for arbitrarily well fitted samples; with smoothing it vanishes at finite logits, where only the
    rounding of δ/K remains.

    Source: papyan2020prevalence; label smoothing: szegedy2016rethinking.

    Parameters
    ----------
    smoothing
        Share δ of the target that is spread over all K classes.

    Examples
    --------
    >>> import math
    >>> z, y = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([0])       # p = (3/4, 1/4)
    >>> round(cross_entropy().per_sample(z, y).item(), 4)                    # log(4/3)
    0.2877
    >>> smooth = cross_entropy(smoothing=0.5).gradient(z, y)           # t = (3/4, 1/4) = p
    >>> smooth.norm.item() < 1e-7
    True
    """

    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)

    def smoothed_gradient(logits: Tensor, labels: Tensor) -> LossGradient:
        entries = logits.double().softmax(dim=1) - smoothing / logits.shape[1]
        at_label = labels[:, None]
        others = entries.scatter(1, at_label, 0.0)
        return by_norm(others.scatter(1, at_label, -others.sum(dim=1, keepdim=True)))

    return Loss(per_sample, smoothed_gradient if smoothing else softmax_gradient)
