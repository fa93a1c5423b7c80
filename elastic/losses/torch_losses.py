"""Losses of torch: the labels they take, and closed forms of gradients that would lose accuracy.

An ``nn`` loss, its function in ``torch.nn.functional``, and a ``functools.partial`` of that with keywords are the same
loss with options (`recognised`). Options are read at every call, because a training may change them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from elastic.losses.contract import Loss, LossGradient, by_norm
from elastic.losses.log_space import sigmoid_pull, softmax_pull

Options = Mapping[str, Any]

#: Losses whose labels are class indices, or rows of probabilities [n, K] for the first.
OF_CLASSES: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.CrossEntropyLoss: functional.cross_entropy,
    nn.NLLLoss: functional.nll_loss,
    nn.MultiMarginLoss: functional.multi_margin_loss,
}
#: Losses of outputs and targets of equal shape, element-wise or row-wise.
OF_TARGETS: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.MSELoss: functional.mse_loss,
    nn.L1Loss: functional.l1_loss,
    nn.SmoothL1Loss: functional.smooth_l1_loss,
    nn.HuberLoss: functional.huber_loss,
    nn.BCELoss: functional.binary_cross_entropy,
    nn.BCEWithLogitsLoss: functional.binary_cross_entropy_with_logits,
    nn.SoftMarginLoss: functional.soft_margin_loss,
    nn.MultiLabelSoftMarginLoss: functional.multilabel_soft_margin_loss,
    nn.KLDivLoss: functional.kl_div,
    nn.PoissonNLLLoss: functional.poisson_nll_loss,
}
#: Default options, which names leave out.
PLAIN = {
    "reduction": "mean", "label_smoothing": 0.0, "ignore_index": -100, "weight": None, "pos_weight": None, "p": 1,
    "margin": 1.0, "beta": 1.0, "delta": 1.0, "log_target": False, "log_input": True, "full": False, "eps": 1e-8,
    "size_average": None, "reduce": None,
}  # fmt: skip


@dataclass(frozen=True)
class Recognised:
    """A loss of torch.

    Attributes
    ----------
    kind
        Its class in ``torch.nn``.
    options
        Returns its current options.
    """

    kind: type[nn.Module]
    options: Callable[[], Options]

    @property
    def of_classes(self) -> bool:
        """Whether labels are class indices."""
        return self.kind in OF_CLASSES


def recognised(loss: Any) -> Recognised | None:
    """Identify a loss of torch; None for any other callable, including subclasses and modules with hooks.

    >>> recognised(nn.MSELoss()).kind.__name__, recognised(functional.mse_loss).kind.__name__
    ('MSELoss', 'MSELoss')
    >>> recognised(lambda outputs, labels: outputs.sum()) is None
    True
    """
    known = {**OF_CLASSES, **OF_TARGETS}
    loss = getattr(loss, "_orig_mod", loss)  # of torch.compile
    if isinstance(loss, nn.Module):
        plain = type(loss) in known and not (loss._forward_hooks or loss._forward_pre_hooks or "forward" in vars(loss))
        return Recognised(type(loss), partial(options_of, loss)) if plain else None
    function, keywords, positional = loss, {}, ()  # type: Any, dict[str, Any], tuple[Any, ...]
    while isinstance(function, partial):
        function, keywords, positional = function.func, {**function.keywords, **keywords}, positional + function.args
    kind = next((kind for kind, known_as in known.items() if function is known_as), None)
    legacy = keywords.keys() & {"size_average", "reduce"}
    return None if kind is None or positional or legacy else Recognised(kind, lambda: keywords)


def options_of(module: nn.Module) -> dict[str, Any]:
    """Return the current options of a loss of torch."""
    return {name: getattr(module, name) for name in PLAIN if hasattr(module, name)}


def stable(recognised: Recognised) -> Loss | None:
    """Return a loss with a closed-form gradient; None if automatic differentiation is accurate.

    The gradients of cross-entropy and of binary cross-entropy are computed in log space, and that of the squared error
    is its residual. All others (hinges, absolute and Huber errors, …) are products and differences of their inputs.
    """
    made = {
        nn.CrossEntropyLoss: _cross_entropy, nn.NLLLoss: _nll, nn.MSELoss: _mse, nn.BCEWithLogitsLoss: _bce,
    }.get(recognised.kind)  # fmt: skip
    return None if made is None else made(recognised.options)


def _weights(weight: Tensor | None, like: Tensor) -> Tensor:
    """Return class weights [K] in the type and on the device of outputs [n, K]."""
    return like.new_ones(like.shape[1]) if weight is None else weight.to(like)


def _class_counts(options: Options, labels: Tensor) -> Tensor:
    """Return the weights by which torch averages over labels: the class weight, 0 for ignored labels."""
    if labels.is_floating_point():  # rows of probabilities
        return torch.ones(len(labels), dtype=torch.float64, device=labels.device)
    kept: Tensor = labels != options.get("ignore_index", -100)
    weight: Tensor | None = options.get("weight")
    if weight is None:
        return kept.double()
    return weight.to(labels.device)[labels.where(kept, 0)].double() * kept


def _cross_entropy(options: Callable[[], Options]) -> Loss:
    def per_sample(logits: Tensor, labels: Tensor) -> Tensor:
        o = options()
        weight = None if o.get("weight") is None else o["weight"].to(logits)
        given = labels.to(logits.dtype) if labels.is_floating_point() else labels
        return functional.cross_entropy(
            logits, given, weight, reduction="none", ignore_index=o.get("ignore_index", -100),
            label_smoothing=o.get("label_smoothing", 0.0),
        )  # fmt: skip

    def gradient(logits: Tensor, labels: Tensor) -> LossGradient:
        o, logits = options(), logits.double()
        smoothing, weights, K = o.get("label_smoothing", 0.0), _weights(o.get("weight"), logits), logits.shape[1]
        if labels.is_floating_point():
            return softmax_pull(logits, weights * (labels.double() * (1 - smoothing) + smoothing / K))
        kept = labels != o.get("ignore_index", -100)
        own = functional.one_hot(labels.where(kept, 0), K).double()
        return softmax_pull(logits, weights * (own * (1 - smoothing) + smoothing / K) * kept[:, None])

    return Loss(per_sample, gradient, counts=lambda labels: _class_counts(options(), labels))


def _nll(options: Callable[[], Options]) -> Loss:
    def per_sample(outputs: Tensor, labels: Tensor) -> Tensor:
        o = options()
        weight = None if o.get("weight") is None else o["weight"].to(outputs)
        return functional.nll_loss(
            outputs, labels, weight, reduction="none", ignore_index=o.get("ignore_index", -100)
        )  # fmt: skip

    def gradient(outputs: Tensor, labels: Tensor) -> LossGradient:
        counts = _class_counts(options(), labels)
        at_label = labels.where(counts > 0, 0)[:, None]  # an ignored label need not be a position
        return by_norm(torch.zeros_like(outputs, dtype=torch.float64).scatter(1, at_label, -counts[:, None]))

    return Loss(per_sample, gradient, counts=lambda labels: _class_counts(options(), labels))


def _over_outputs(options: Options, outputs: Tensor) -> float:
    """Return the divisor of an element-wise loss's sum over a sample's outputs [n, d]."""
    return 1.0 if options.get("reduction", "mean") == "sum" else float(outputs.shape[1])


def _mse(options: Callable[[], Options]) -> Loss:
    def residual(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs - targets.to(outputs.dtype).reshape(outputs.shape)

    def per_sample(outputs: Tensor, targets: Tensor) -> Tensor:
        return residual(outputs, targets).square().sum(dim=1) / _over_outputs(options(), outputs)

    def gradient(outputs: Tensor, targets: Tensor) -> LossGradient:
        return by_norm(2 * residual(outputs.double(), targets) / _over_outputs(options(), outputs))

    return Loss(per_sample, gradient)


def _bce(options: Callable[[], Options]) -> Loss:
    def per_sample(logits: Tensor, targets: Tensor) -> Tensor:
        o, given = options(), targets.to(logits.dtype).reshape(logits.shape)
        weight, positive = (None if o.get(name) is None else o[name].to(logits) for name in ("weight", "pos_weight"))
        elements = functional.binary_cross_entropy_with_logits(logits, given, weight, None, None, "none", positive)
        return elements.sum(dim=1) / _over_outputs(o, logits)

    def gradient(logits: Tensor, targets: Tensor) -> LossGradient:
        o, logits = options(), logits.double()
        t = targets.double().reshape(logits.shape)
        weight, positive = (_weights(o.get(name), logits) for name in ("weight", "pos_weight"))
        scale = weight / _over_outputs(o, logits)
        return sigmoid_pull(logits, scale * (1 - t), scale * positive * t)

    return Loss(per_sample, gradient)


def plain_bce(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return binary cross-entropy [n] without weights: lower for class 1 if the logit is positive."""
    given = targets.to(outputs.dtype).reshape(outputs.shape)
    return functional.binary_cross_entropy_with_logits(outputs, given, reduction="none").sum(dim=1)
