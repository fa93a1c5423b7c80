"""The interface of losses, and their registration.

In float32, softmax(z) − e_y is exactly 0 at y once 1 − p_y < 6e-8, although the other entries are not. A loss
here returns its gradient as a unit direction and a separate norm; probes are linear in it, so nothing underflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from elastic.errors import ElasticError, ModelError
from elastic.protocol.formatting import error_line
from elastic.registry import registry


@dataclass(frozen=True)
class LossGradient:
    """Gradient of a batch's loss by the features of each sample, as ``norm · direction``.

    Attributes
    ----------
    direction
        [n, d] float64 rows of unit norm; zero where the gradient is exactly zero.
    norm
        [n] float64.
    checked
        [n, d] directions from ordinary backpropagation through the user's callable, along which engines are compared
        with real steps; None: ``direction``.
    """

    direction: Tensor
    norm: Tensor
    checked: Tensor | None = None

    def rows(self, rows: slice) -> LossGradient:
        """Select the gradients of some samples."""
        return LossGradient(self.direction[rows], self.norm[rows], None if self.checked is None else self.checked[rows])


@dataclass(frozen=True)
class OwnLoss:
    """A user's own loss.

    Attributes
    ----------
    function
        Differentiable function from outputs [n, d] and labels to the loss of a batch, a scalar or [n].
    rounding
        Size below which differences of its gradient by a sample's outputs are rounding errors.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    rounding: float


@dataclass(frozen=True)
class Loss:
    """A loss of one layer's features [n, d] and labels [n].

    Labels are class indices, int64; a user's own loss takes the labels of the user's callable.

    Attributes
    ----------
    per_sample
        Returns the loss of each sample [n]; training minimises their mean. It is the sample's term in the sum over a
        batch: with class weights w it is w_y ℓ.
    gradient
        Returns the `LossGradient` ∂(Σ_i ℓ_i)/∂h_a by the features of each sample, with those of other samples fixed. If
        the loss does not couple samples, it is the gradient of a's own loss.
    squared
        Whether it is ½‖z − e_y‖², for which the least-squares decomposition of collapse holds.
    layer
        The layer it is a function of, flattened: "logits" (d = K), or "penultimate" for the input of the classifier.
        The latter does not depend on the classifier and may couple the samples of a batch.
    name
        Name for reports.
    reduction
        Whether the loss of a batch is the mean or the sum over its samples.
    counts
        Returns the weight of each sample in the mean [n], Σ_i ℓ_i / Σ_i counts_i; None: 1 each.
    own
        The user's own callable, for comparison; None for a loss of elastic.
    decide
        Returns the predicted class [n] of outputs [n, d]; None: the index of the largest output.
    outputs
        Number of outputs per sample; None: one per class.
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
        """Return the predicted class [n] of outputs [n, d]."""
        return outputs.argmax(dim=1) if self.decide is None else self.decide(outputs)

    def reduced(self, total: float, counted: float) -> float:
        """Return the loss of a batch from the sum of its samples' losses and the sum of their counts."""
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
        If the loss is unknown, or its options are invalid.
    ModelError
        If its function fails, or returns something else.
    """
    entry = registry("losses").get(name, "loss")
    complete = entry.complete(options or {})
    try:
        built = entry.function(**complete)
    except ElasticError:
        raise
    except Exception as error:  # of the user's code
        found = error_line(error)
        raise ModelError(f"loss `{name}`", "be built", found, f"mending its function, {name}(*, options)") from error
    if not isinstance(built, Loss):
        raise ModelError(f"loss `{name}`", "be a Loss", type(built).__name__, "Loss(per_sample, gradient)")
    listed = ", ".join(f"{option}={value!r}" for option, value in (options or {}).items())
    return replace(built, name=f"{name}({listed})" if listed else name)


def by_norm(gradient: Tensor) -> LossGradient:
    """Split gradients [n, d] into directions and norms.

    >>> by_norm(torch.tensor([[3.0, 4.0]])).norm.item()
    5.0
    """
    gradient = gradient.double()
    norm = torch.linalg.vector_norm(gradient, dim=1)
    return LossGradient(gradient / torch.where(norm > 0, norm, 1.0)[:, None], norm)
