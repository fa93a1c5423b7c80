"""Checks of a loss that a user registered: its values and its gradient must belong together."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from elastic.errors import ElasticError, ModelError
from elastic.losses.contract import Loss, LossGradient
from elastic.protocol.formatting import error_line
from elastic.registry import registry

#: Samples of each class on which a loss is tried, and the largest relative error of its gradient: a gradient in float32
#: is right to 1e-6, a wrong factor is not right to 1e-3.
EACH, TOLERANCE = 3, 1e-4

#: Multiples of the golden ratio fill an interval evenly.
GOLDEN = (math.sqrt(5) - 1) / 2


def check_registered(name: str, loss: Loss, width: int, classes: int) -> None:
    """Compare the gradient of a user's loss with the derivative of its values, in float64.

    Parameters
    ----------
    name, loss
        The loss. Those of elastic are not tried: tests compare them.
    width
        Number of features that the loss reads of each sample.
    classes
        Number of classes.

    Raises
    ------
    ModelError
        If it does not return one value for each sample, or its gradient is not that of their sum.
    """
    if not registry("losses").get(name).is_own:
        return
    labels = torch.arange(classes).repeat(EACH)
    counted = torch.arange(1, len(labels) * width + 1, dtype=torch.float64)
    # Between -2 and 2 and all different: no two terms of a maximum are equal.
    features = (4 * (counted * GOLDEN).frac() - 2).reshape(len(labels), width)
    what = f"loss `{name}`"
    try:
        slopes = _slopes(what, loss, features, labels)
        gradient: object = loss.gradient(features, labels)
    except ElasticError:
        raise
    except Exception as error:  # of the user's code
        found = error_line(error)
        expected = (
            f"take features of shape {tuple(features.shape)} in float64 and labels of shape {tuple(labels.shape)}"
        )
        raise ModelError(what, expected, found, "mending per_sample and gradient") from error
    if not isinstance(gradient, LossGradient):
        hint = "by_norm(gradient)"
        raise ModelError(f"{what}: gradient", "return a LossGradient", type(gradient).__name__, hint)
    _compare(what, gradient, slopes)


def _slopes(what: str, loss: Loss, features: Tensor, labels: Tensor) -> Tensor:
    """Return the derivative [n, d] of the sum of a loss's values."""
    features = features.clone().requires_grad_()
    with torch.enable_grad():
        values = loss.per_sample(features, labels)
        if not isinstance(values, Tensor) or values.shape != labels.shape:
            found = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            expected = f"return the loss of each sample, shape {tuple(labels.shape)}"
            raise ModelError(f"{what}: per_sample", expected, found, "leaving out its mean or sum")
        (slopes,) = torch.autograd.grad(values.sum(), features)
    return slopes


def _compare(what: str, gradient: LossGradient, slopes: Tensor) -> None:
    """Raise a ModelError unless a gradient is ``slopes`` [n, d], as unit directions and norms."""
    direction, norm = gradient.direction.double(), gradient.norm.double()
    if direction.shape != slopes.shape or norm.shape != slopes.shape[:1]:
        expected = f"have a direction of shape {tuple(slopes.shape)} and a norm of shape {tuple(slopes.shape[:1])}"
        found = f"{tuple(direction.shape)} and {tuple(norm.shape)}"
        raise ModelError(f"{what}: gradient", expected, found, "by_norm(gradient)")
    lengths = torch.linalg.vector_norm(direction, dim=1)
    if not ((lengths - 1).abs() <= TOLERANCE)[norm > 0].all():
        found = f"lengths of {float(lengths.min()):.3g} to {float(lengths.max()):.3g}"
        raise ModelError(f"{what}: gradient", "have directions of length 1", found, "by_norm(gradient)")
    error = float((direction * norm[:, None] - slopes).abs().max() / slopes.abs().max().clamp(min=1e-300))
    if not error <= TOLERANCE:
        expected, found = "be the derivative of the sum of per_sample", f"a relative difference of {error:.2g}"
        hint = "by_norm(torch.func.grad(lambda z: per_sample(z, labels).sum())(logits.double()))"
        raise ModelError(f"{what}: gradient", expected, found, hint)
