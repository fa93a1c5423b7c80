"""Comparison of a loss's gradient with ordinary backpropagation through the user's callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from elastic.errors import ModelError
from elastic.losses.contract import Loss, LossGradient


def backpropagated(
    function: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the loss of a batch and its gradient [n, d] by ordinary backpropagation; None without a gradient."""
    with torch.enable_grad():
        at = outputs.detach().double().requires_grad_()
        value = function(at, labels)
        if not value.requires_grad:
            return value, None
        return value.detach(), torch.autograd.grad(value.sum(), at, allow_unused=True)[0]


def checked_gradient(loss: Loss, outputs: Tensor, labels: Tensor) -> LossGradient:
    """Return a loss's gradient; compares that of a user's own loss with ordinary backpropagation.

    Raises
    ------
    ModelError
        If the two differ by more than 0.1 % and more than rounding errors.
    """
    gradient = loss.gradient(outputs, labels)
    if loss.own is None:
        return gradient
    value, backward = backpropagated(loss.own.function, outputs, labels)
    slopes = torch.zeros_like(gradient.direction) if backward is None else backward
    if value.ndim == 0 and loss.reduction == "mean":
        slopes = slopes * (len(outputs) if loss.counts is None else loss.counts(labels).sum())
    difference = (slopes - gradient.direction * gradient.norm[:, None]).norm(dim=1)
    relative = difference / torch.where(gradient.norm > 0, gradient.norm, 1.0)
    wrong = (relative > 1e-3) & (difference > loss.own.rounding) & outputs.isfinite().all(dim=1)
    if bool(wrong.any()):
        found_by = f"a gradient that differs by {float(relative[wrong].max()):.0e} from the loss's of each sample alone"
        raise ModelError(
            f"`loss` {loss.name}", "be the same as when the measurement began", found_by,
            "a loss whose value depends on outputs and labels alone",
        )  # fmt: skip
    norm = slopes.norm(dim=1)
    # Late in the terminal phase the callable's gradient is only rounding error: only the closed form is used.
    reliable = (relative <= 1e-3) & (norm > 0)
    directions = torch.where(reliable[:, None], slopes / torch.where(norm > 0, norm, 1.0)[:, None], gradient.direction)
    return replace(gradient, checked=directions)
