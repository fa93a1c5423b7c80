"""What a loss is, and how one is added.

In float32, softmax(z) − e_y is exactly 0 at y once 1 − p_y < 6e-8, although the other entries are not. A loss
here gives its gradient as a unit direction and a norm apart; probes are linear in it, so nothing underflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from elastic.registry import registry


@dataclass(frozen=True)
class LossGradient:
    """Gradient of a batch's loss by the features of each sample, as ``norm · direction``.

    Attributes
    ----------
    direction
        [n, d] float64 rows of unit norm; a row of zeros where the gradient is exactly zero.
    norm
        [n] float64.
    """

    direction: Tensor
    norm: Tensor

    def rows(self, rows: slice) -> LossGradient:
        """Return the gradient by some of the samples."""
        return LossGradient(self.direction[rows], self.norm[rows])


@dataclass(frozen=True)
class Loss:
    """A loss of one layer's features [n, d] and labels [n].

    Attributes
    ----------
    per_sample
        Gives each sample's loss [n]; training minimises its mean.
    gradient
        Gives the `LossGradient` ∂(Σ_i ℓ_i)/∂h_a by each sample's features, the other samples' held as they are. Where
        samples enter their own losses alone, that is the gradient of a's own loss.
    squared
        Whether it is ½‖z − e_y‖², for which the least-squares decomposition of collapse holds.
    layer
        The layer that it reads, flattened: "logits" (d = K), or "penultimate" for the features that the classifier
        reads. Such a loss says nothing of the classifier and may couple the samples of a batch.
    """

    per_sample: Callable[[Tensor, Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], LossGradient]
    squared: bool = False
    layer: Literal["logits", "penultimate"] = "logits"


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


def by_norm(gradient: Tensor) -> LossGradient:
    """Split gradients [n, d] into directions and norms.

    >>> by_norm(torch.tensor([[3.0, 4.0]])).norm.item()
    5.0
    """
    gradient = gradient.double()
    norm = torch.linalg.vector_norm(gradient, dim=1)
    return LossGradient(gradient / torch.where(norm > 0, norm, 1.0)[:, None], norm)
