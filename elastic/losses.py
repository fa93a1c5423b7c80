"""Losses, each with a logit gradient that stays exact when a sample is fitted.

In float32, softmax(z) − e_y is exactly 0 at y once 1 − p_y < 6e-8, although the other entries are not. A loss
here gives its gradient as a unit direction and a norm apart; probes are linear in it, so nothing underflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from elastic.registry import registry


@dataclass(frozen=True)
class LogitGradient:
    """Gradient of each sample's loss by its logits, as ``norm · direction``.

    Attributes
    ----------
    direction
        [n, K] float64 rows of unit norm; a row of zeros where the gradient is exactly zero.
    norm
        [n] float64.
    """

    direction: Tensor
    norm: Tensor


@dataclass(frozen=True)
class Loss:
    """A loss of logits [n, K] and labels [n].

    Attributes
    ----------
    per_sample
        Gives each sample's loss [n]; training minimises its mean.
    logit_gradient
        Gives the `LogitGradient` of each sample's own loss.
    squared
        Whether it is ½‖z − e_y‖², for which the least-squares decomposition of collapse holds.
    """

    per_sample: Callable[[Tensor, Tensor], Tensor]
    logit_gradient: Callable[[Tensor, Tensor], LogitGradient]
    squared: bool = False


def loss(name: str | None = None) -> Callable[[Callable[..., Loss]], Callable[..., Loss]]:
    """Register a function ``(*, options) -> Loss``."""
    return registry("losses").register(name)


def build_loss(name: str, options: dict[str, object] | None = None) -> Loss:
    """Return the loss of a registered name.

    Raises
    ------
    UnknownName, OptionError
        If there is no such loss, or it does not take these options.
    """
    entry = registry("losses").get(name)
    built: Loss = entry.function(**entry.complete(options or {}))
    return built


def by_norm(gradient: Tensor) -> LogitGradient:
    """Split gradients [n, K] into directions and norms.

    >>> by_norm(torch.tensor([[3.0, 4.0]])).norm.item()
    5.0
    """
    gradient = gradient.double()
    norm = torch.linalg.vector_norm(gradient, dim=1)
    return LogitGradient(gradient / torch.where(norm > 0, norm, 1.0)[:, None], norm)


@loss()
def cross_entropy() -> Loss:
    r"""Cross-entropy −log p_y of the softmax p.

    The gradient by the logits is p − e_y; its entry at y is taken as −Σ_{j≠y} p_j, in log space, which keeps
    full relative accuracy however well the sample is fitted.

    Source: papyan2020prevalence.

    Examples
    --------
    >>> gradient = cross_entropy().logit_gradient(torch.tensor([[40.0, 0.0]]), torch.tensor([0]))
    >>> f"{gradient.norm.item():.4e}", gradient.direction.mul(2**0.5).round().tolist()   # √2·e⁻⁴⁰
    ('6.0081e-18', [[-1.0, 1.0]])
    """

    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, reduction="none")

    def logit_gradient(logits: Tensor, labels: Tensor) -> LogitGradient:
        at_label = labels[:, None]
        others = functional.log_softmax(logits.double(), dim=1).scatter(1, at_label, -torch.inf)
        peak = others.amax(dim=1, keepdim=True)
        entries = (others - peak).exp()
        entries = entries.scatter(1, at_label, -entries.sum(dim=1, keepdim=True))
        scaled = by_norm(entries)
        return LogitGradient(scaled.direction, scaled.norm * peak.squeeze(1).exp())

    return Loss(per_sample, logit_gradient)


@loss()
def mse() -> Loss:
    r"""Squared error ½‖z − e_y‖² against the one-hot label e_y (sum over classes, not mean).

    Source: han2022neural.

    Examples
    --------
    >>> z, y = torch.tensor([[0.0, 1.0]]), torch.tensor([0])
    >>> mse().per_sample(z, y).item()                  # ½((0−1)² + 1²)
    1.0
    """

    def residual(logits: Tensor, labels: Tensor) -> Tensor:
        return logits - functional.one_hot(labels, logits.shape[1]).to(logits.dtype)

    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        return residual(logits, labels).square().sum(dim=1) / 2

    def logit_gradient(logits: Tensor, labels: Tensor) -> LogitGradient:
        return by_norm(residual(logits.double(), labels))

    return Loss(per_sample, logit_gradient, squared=True)
