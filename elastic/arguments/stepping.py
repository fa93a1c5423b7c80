"""Validation of the loss and the kind of update given by the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elastic.errors import ElasticError
from elastic.losses import Loss, build_loss

#: Name of a registered loss, a `Loss`, a loss of torch, or any callable ``(outputs, labels) -> loss``.
LossLike = str | Loss | Callable[..., Any]


def as_loss(loss: LossLike) -> Loss | Callable[..., Any]:
    """Return the loss of a registered name, a `Loss` itself, or a callable, to be fitted to outputs and labels.

    Raises
    ------
    ElasticError
        If it is none of these (UnknownName for a name).
    """
    if isinstance(loss, str):
        return build_loss(loss)
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) or not callable(loss):
        found = f"the class {loss.__name__}" if isinstance(loss, type) else type(loss).__name__
        expected = "be a name, an elastic.losses.Loss, or a callable (outputs, labels) -> loss"
        raise ElasticError("`loss`", expected, found, "'cross_entropy', or nn.CrossEntropyLoss()")
    return loss


def check_update(update: str, lr: float | None) -> None:
    """Raise an ElasticError unless a finite update has a learning rate, and a first-order one has none."""
    if update not in ("first_order", "finite"):
        raise ElasticError("`update`", "be 'first_order' or 'finite'", repr(update), "'first_order'")
    if update == "first_order" and lr is not None:
        expected = "be left out for a first-order update, which has no step size"
        raise ElasticError("`lr`", expected, repr(lr), "update='finite'")
    if update == "finite" and not (isinstance(lr, (int, float)) and 0 < lr < float("inf")):
        raise ElasticError("`lr`", "be a positive learning rate for a finite update", repr(lr), "lr=0.01")
