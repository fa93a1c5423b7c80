"""Conversion of a user's own loss to a `Loss`: per-sample losses, their gradients and the reduction.

The loss of a batch is the mean or the sum of the losses of its samples, or it couples them. This is determined by
calling it on batches and on each of their samples alone: on real outputs, mixtures of them, and more widely spread
numbers. Losses that couple samples, are random or not differentiable are rejected.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from elastic.errors import DegenerateInput, ModelError, first_line
from elastic.losses.callable_loss import OwnFunction, callable_loss, can_be_vectorised
from elastic.losses.contract import Loss, OwnLoss
from elastic.losses.names import name_of
from elastic.losses.own_gradient import backpropagated
from elastic.losses.torch_losses import Recognised, recognised, stable
from elastic.losses.trial_batches import Batch, trial_batches

Reduction = Literal["mean", "sum"]

#: Relative tolerance for comparing two computations of a loss: a callable may round to float32.
AGREED = 1e-6
#: Rounding of a gradient, relative to the largest at the trial outputs, of float64 and of what may hold less.
ROUNDING, OF_CALLABLE = 1e-12, 1e-6


def fit_loss(loss: Callable[..., Any], outputs: Tensor, labels: Tensor, parameters: Iterable[Tensor] = ()) -> Loss:
    """Convert a user's loss to a `Loss` with the loss and gradient of each sample.

    Parameters
    ----------
    loss
        A loss of torch, as a module, a function, or a ``functools.partial`` of one; or any callable
        ``(outputs, labels) -> loss`` that returns the mean or the sum of the losses of its samples, or the loss of each
        sample [n].
    outputs
        Outputs of the model for some samples: [n], [n, 1] or [n, K].
    labels
        Labels of these samples, [n, …]. Element-wise losses of torch get them in the type and shape of the outputs.
    parameters
        Parameters of the model. The loss must depend on them only through the outputs, because a step would follow
        other terms, too.

    Raises
    ------
    ModelError
        If the loss couples samples (its value for a batch is neither the mean nor the sum of those for each alone), is
        random, not differentiable, depends on parameters of the model directly, raises an error or does not return a
        loss.
    DegenerateInput
        If labels and outputs differ in shape for an element-wise loss.

    Examples
    --------
    >>> z, y = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1])
    >>> fitted = fit_loss(lambda outputs, labels: (outputs[:, 0] - labels).square().sum(), z, y)
    >>> fitted.reduction, fitted.per_sample(z, y).tolist()
    ('sum', [0.0, 1.0, 0.0])
    >>> fit_loss(lambda outputs, labels: (outputs - outputs.mean(0)).square().sum(), z, y)
    Traceback (most recent call last):
    ...
    elastic.errors.ModelError: `loss` <lambda> should be the mean or the sum of its samples' losses; found ...
    """
    known, name = recognised(loss), name_of(loss)
    like_outputs = known is not None and not known.of_classes
    own = OwnFunction(loss, outputs.shape[1:], name, like_outputs=like_outputs)
    if like_outputs and labels.numel() != outputs.numel():
        found = f"labels of shape {list(labels.shape)} for outputs of shape {list(outputs.shape)}"
        hint = "one_hot(labels, K).float() for K outputs, or nn.CrossEntropyLoss() for labels that are positions"
        raise DegenerateInput("`labels`", f"be targets of the outputs' shape for {name}", found, hint)
    batches = trial_batches(outputs.reshape(len(outputs), -1), labels)
    if not batches:
        raise ModelError("`model`", "give finite outputs", "NaN or infinity for every sample", "an earlier epoch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_reads(own, batches[0], parameters)
        tried = [tried for batch in batches if (tried := _tried(own, batch)) is not None]
        _check_slopes(own, tried)
        fitted, rounding = _closed_form(known, tried), ROUNDING
        if fitted is None:
            reduction, rounding = _reduction(own, tried), OF_CALLABLE
            vectorised = all(can_be_vectorised(own, t.batch.outputs, t.batch.labels) for t in tried)
            fitted = replace(callable_loss(own, vectorised=vectorised), reduction=reduction)
    slope = max(float(t.slopes.norm(dim=1).max()) * len(t.slopes) for t in tried if t.slopes is not None)
    return replace(fitted, name=name, own=OwnLoss(own, rounding * slope))


@dataclass(frozen=True)
class Tried:
    """A batch, the user's loss of it (a scalar or [n]), and the gradient of its sum [n, d]."""

    batch: Batch
    value: Tensor
    slopes: Tensor | None

    def agrees(self, values: Tensor, gradient: Tensor, reduction: Reduction, counts: Tensor | None = None) -> bool:
        """Return whether losses [n] and gradients [n, d] of single samples reduce to those of the batch."""
        if self.value.ndim == 0:
            total = len(values) if counts is None else counts.sum()
            divided = 1.0 if reduction == "sum" else total
            values, gradient = values / divided, gradient / divided
            close = abs(values.sum() - self.value) <= AGREED * values.abs().sum() + 1e-12
        else:
            close = (values - self.value).abs().max() <= AGREED * values.abs().max() + 1e-12
        slopes = torch.zeros_like(gradient) if self.slopes is None else self.slopes
        return bool(close) and bool((gradient - slopes).norm() <= 10 * AGREED * gradient.norm() + 1e-12)


def _tried(own: OwnFunction, batch: Batch) -> Tried | None:
    """Evaluate the loss on a batch; None for artificial outputs outside its domain."""
    states = _random_states()
    try:
        with own.translate_errors():
            value, slopes = backpropagated(own, batch.outputs, batch.labels)
            again = own(batch.outputs, batch.labels)
    except ModelError as refused:
        if batch.real or refused.__cause__ is None:
            raise
        return None
    if not torch.allclose(value, again, rtol=1e-9, equal_nan=True) or not _same_states(states, _random_states()):
        hint = "loss.eval(), or a loss without dropout and noise"
        raise own.refused("be the same at a second call", "one that changes, or draws random numbers", hint)
    finite = bool(value.isfinite().all()) and (slopes is None or bool(slopes.isfinite().all()))
    if not finite and not batch.real:
        return None
    if not finite:
        hint = "log_softmax or logsigmoid of logits, in the place of logs of probabilities"
        raise own.refused("be finite, with a finite gradient, at the model's outputs", "NaN or infinity", hint)
    return Tried(batch, value, slopes)


def _check_reads(own: OwnFunction, batch: Batch, parameters: Iterable[Tensor]) -> None:
    """Raise an error for a loss with a term of the model's parameters, such as a penalty on weights."""
    with own.translate_errors(), torch.enable_grad():
        value = own(batch.outputs.clone().requires_grad_(), batch.labels)
    known = {id(parameter) for parameter in parameters}
    waiting: list[Any] = [value.grad_fn]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if id(getattr(node, "variable", None)) in known:
            found, hint = (
                "a term of its parameters",
                "the loss of outputs and labels alone; for the Recorder, weight_decay=…",
            )
            raise own.refused("depend on the model through its outputs alone", found, hint)
        waiting += [following for following, _ in node.next_functions]


def _check_slopes(own: OwnFunction, tried: list[Tried]) -> None:
    if not any(t.slopes is not None and bool(t.slopes.any()) for t in tried):
        found = "no gradient: a function of argmax, of rounded numbers, or of detached outputs"
        raise own.refused("be differentiable by the outputs", found, "the loss that is trained on, not a score")


def _closed_form(known: Recognised | None, tried: list[Tried]) -> Loss | None:
    """Return the closed form of a loss of torch, if it agrees with torch."""
    loss = None if known is None else stable(known)
    if known is None or loss is None:
        return None
    reduction: Reduction = "sum" if known.options().get("reduction") == "sum" else "mean"
    loss = replace(
        loss, reduction=reduction, counts=None if known.options().get("reduction") == "none" else loss.counts
    )
    for t in tried:
        z, y = t.batch.outputs, t.batch.labels
        gradient = loss.gradient(z, y)
        counts = None if loss.counts is None else loss.counts(y)
        if not t.agrees(loss.per_sample(z, y), gradient.direction * gradient.norm[:, None], reduction, counts):
            return None
    return loss


def _reduction(own: OwnFunction, tried: list[Tried]) -> Reduction:
    """Determine how the loss of a batch is composed of those of its samples."""
    left: list[Reduction] = ["mean", "sum"]
    alone = callable_loss(own, vectorised=False)
    for t in tried:
        z, y = t.batch.outputs, t.batch.labels
        try:
            values, gradient = alone.per_sample(z, y).detach(), alone.gradient(z, y)
        except Exception as error:
            raise own.refused("give a loss to a batch of one sample", *_unsplit(error)) from error
        if values.isnan().any():
            raise own.refused("give a loss to a batch of one sample", *_unsplit(None))
        left = [by for by in left if t.agrees(values, gradient.direction * gradient.norm[:, None], by)]
        if not left:
            raise _coupled(own, t, values)
    return left[0]


def _unsplit(error: Exception | None) -> tuple[str, str]:
    nan = error is None or isinstance(error, DegenerateInput)
    found = "NaN" if error is None or nan else first_line(error.__cause__ or error)
    return found, "a loss of which each sample has its own term"


def _coupled(own: OwnFunction, tried: Tried, values: Tensor) -> ModelError:
    value = f"{float(tried.value):.4g}" if tried.value.ndim == 0 else "others"
    found = (
        f"{value} for {len(values)} samples, whose losses alone have the mean {float(values.mean()):.4g} and the sum "
        f"{float(values.sum()):.4g}"
    )
    hint = (
        "a loss without terms of the whole batch; labels of the outputs' shape, where they broadcast; or, for class "
        "weights, nn.CrossEntropyLoss(weight=…) itself"
    )
    return own.refused("be the mean or the sum of its samples' losses", found, hint)


def _random_states() -> tuple[Any, ...]:
    return torch.get_rng_state(), random.getstate(), np.random.get_state()


def _same_states(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    numbers = all(np.array_equal(a, b) for a, b in zip(first[2], second[2], strict=True))
    return torch.equal(first[0], second[0]) and first[1] == second[1] and numbers
