"""What a loss is, and how one is added.

In float32, softmax(z) − e_y is exactly 0 at y once 1 − p_y < 6e-8, although the other entries are not. A loss
here gives its gradient as a unit direction and a norm apart; probes are linear in it, so nothing underflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    checked
        [n, d] the directions as ordinary backpropagation through the user's own callable gives them, along which
        engines are compared with real steps; None: ``direction``.
    """

    direction: Tensor
    norm: Tensor
    checked: Tensor | None = None

    def rows(self, rows: slice) -> LossGradient:
        """Return the gradient by some of the samples."""
        return LossGradient(self.direction[rows], self.norm[rows], None if self.checked is None else self.checked[rows])


@dataclass(frozen=True)
class OwnLoss:
    """A user's own loss, as it was handed over.

    Attributes
    ----------
    function
        Gives the loss of a batch, a scalar or [n], of outputs [n, d] and labels; it can be differentiated.
    rounding
        Size below which differences of its gradient by a sample's outputs are rounding.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    rounding: float


@dataclass(frozen=True)
class Loss:
    """A loss of one layer's features [n, d] and labels [n].

    Labels are positions of the outputs, int64; a loss that a user hands over takes what the user's own takes.

    Attributes
    ----------
    per_sample
        Gives each sample's loss [n]; training minimises its mean. It is the sample's term in the sum over a batch:
        with class weights w it is w_y ℓ.
    gradient
        Gives the `LossGradient` ∂(Σ_i ℓ_i)/∂h_a by each sample's features, the other samples' held as they are. Where
        samples enter their own losses alone, that is the gradient of a's own loss.
    squared
        Whether it is ½‖z − e_y‖², for which the least-squares decomposition of collapse holds.
    layer
        The layer that it reads, flattened: "logits" (d = K), or "penultimate" for the features that the classifier
        reads. Such a loss says nothing of the classifier and may couple the samples of a batch.
    name
        What a report calls it.
    reduction
        Whether the loss of many samples is the mean of theirs or the sum.
    counts
        Gives how much each sample counts in the mean [n], Σ_i ℓ_i / Σ_i counts_i; None: 1 each.
    own
        The user's own callable, which this loss is compared with; None for a loss of elastic.
    decide
        Gives the class [n] that outputs [n, d] are decided for; None: the position of the largest output.
    outputs
        Number of outputs that it reads of each sample; None: one a class.
    """

    per_sample: Callable[[Tensor, Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], LossGradient]
    squared: bool = False
    layer: Literal["logits", "penultimate"] = "logits"
    name: str = "Loss"
    reduction: Literal["mean", "sum"] = "mean"
    counts: Callable[[Tensor], Tensor] | None = None
    own: OwnLoss | None = None
    decide: Callable[[Tensor], Tensor] | None = None
    outputs: int | None = None

    def decisions(self, outputs: Tensor) -> Tensor:
        """Return the class [n] that outputs [n, d] are decided for."""
        return outputs.argmax(dim=1) if self.decide is None else self.decide(outputs)

    def reduced(self, total: float, counted: float) -> float:
        """Return the loss of a batch from the sum of its samples' losses and of their counts."""
        if self.reduction == "sum":
            return total
        return total / counted if counted else float("nan")


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
    told = ", ".join(f"{option}={value!r}" for option, value in (options or {}).items())
    return replace(built, name=f"{name}({told})" if told else name)


def by_norm(gradient: Tensor) -> LossGradient:
    """Split gradients [n, d] into directions and norms.

    >>> by_norm(torch.tensor([[3.0, 4.0]])).norm.item()
    5.0
    """
    gradient = gradient.double()
    norm = torch.linalg.vector_norm(gradient, dim=1)
    return LossGradient(gradient / torch.where(norm > 0, norm, 1.0)[:, None], norm)
