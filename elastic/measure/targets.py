"""The meaning of labels for a loss and for the classes: positions of outputs, numbers, probabilities, multi-label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import reduce, wraps
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import DegenerateInput, ModelError
from elastic.losses import Loss, fit_loss
from elastic.losses.torch_losses import Recognised, plain_bce, recognised
from elastic.losses.trial_batches import one_of_each
from elastic.models.contract import TappedModel
from elastic.models.dry_run import trial
from elastic.models.preservation import preserved


@dataclass(frozen=True)
class Classified:
    """Labels of several parts of the samples, and a loss that accepts them.

    Attributes
    ----------
    loss
        Fitted to the model's outputs and the labels.
    names
        Of the C classes: positions of outputs, or the labels that occur.
    labels
        [n] int64 positions in ``names``, of each part.
    targets
        [n, …] targets of the loss, of each part.
    """

    loss: Loss
    names: tuple[int | float | str, ...]
    labels: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]


def classify(
    model: TappedModel, loss: Loss | Callable[..., Any], inputs: Sequence[Tensor], labels: Sequence[Tensor]
) -> Classified:
    """Return classes and loss of labelled samples, given in parts.

    Classes are the positions of K ≥ 2 outputs; rows of probabilities or other numbers [n, K] belong to their largest
    entry, the first of equal ones. For a model of one output, and if labels are not positions, classes are the
    labels that occur, sorted (rows of zeros and ones are named "101"). Outputs are then decided for the class
    whose label has the lowest loss: the nearest one under the squared error, that above 0 under binary cross-entropy
    with logits, whatever its weights.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    loss
        A loss of elastic, or a user's loss (`elastic.losses.fit_loss`).
    inputs, labels
        [n, …] and [n] or [n, …] of each part.

    Raises
    ------
    ElasticError
        ModelError for a model whose outputs are not [n] or [n, K], or a loss that cannot be fitted; DegenerateInput for
        labels that do not fit the outputs or the loss.
    """
    if isinstance(loss, Loss):
        K = check_labels(model, inputs[0][:1], torch.cat(list(labels)))
        return Classified(loss, tuple(range(K)), tuple(labels), tuple(labels))
    known = recognised(loss)
    labels = _joinable(model, known, inputs, labels)
    joined, counts = torch.cat(labels), [len(part) for part in labels]
    chosen = one_of_each(joined)
    outputs = _outputs(model, torch.cat([_at(inputs, place) for place in chosen]))
    if known is not None and known.of_classes and joined.shape[1:] not in ((), outputs.shape[1:]):
        found, hint = f"labels of shape {list(joined.shape)}", "positions [n], or probabilities [n, K]"
        raise DegenerateInput("`labels`", f"fit the {outputs.shape[1]} outputs", found, hint)
    guard = _guard(loss)
    with guard(), preserved(model):
        fitted = _guarded(fit_loss(loss, outputs, joined[chosen], model.parameters()), guard)
    names, codes, of_class = _classes(joined, 1 if outputs.ndim == 1 else outputs.shape[1])
    if of_class is not None:
        judged = plain_bce if known is not None and known.kind is nn.BCEWithLogitsLoss else fitted.per_sample
        fitted = replace(fitted, decide=lowest_loss(judged, of_class))
    return Classified(fitted, names, codes.split(counts), joined.split(counts))


def check_labels(model: TappedModel, example: Tensor, labels: Tensor) -> int:
    """Return the number K of logits, after checking that every label is the position of one.

    Raises
    ------
    ElasticError
        ModelError unless logits are [n, K], DegenerateInput for other labels.
    """
    outputs = _outputs(model, example, scalars=False)
    K = outputs.shape[1]
    if K < 2:
        hint = "two logits, of which one may be zero; or a loss of one output: nn.BCEWithLogitsLoss(), nn.MSELoss()"
        raise ModelError(f"layer `{model.output}`", "be of two classes or more", "one logit", hint)
    if labels.min() < 0 or labels.max() >= K:
        found = f"{int(labels.min())} … {int(labels.max())}"
        raise DegenerateInput("`labels`", f"be positions of the {K} logits", found, "labels from 0 on")
    return K


def lowest_loss(per_sample: Callable[[Tensor, Tensor], Tensor], of_class: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the decision for the class whose label [C, …] has the lowest loss.

    >>> nearest = lowest_loss(lambda outputs, labels: (outputs[:, 0] - labels).abs(), torch.tensor([-1.0, 1.0]))
    >>> nearest(torch.tensor([[0.2], [-3.0]])).tolist()
    [1, 0]
    """

    def decide(outputs: Tensor) -> Tensor:
        losses = [per_sample(outputs, label.expand(len(outputs), *label.shape)) for label in of_class]
        return torch.stack(losses, dim=1).argmin(dim=1)

    return decide


def _classes(labels: Tensor, K: int) -> tuple[tuple[int | float | str, ...], Tensor, Tensor | None]:
    """Return names, the position [n] of each label among them, and a label of each class, None for positions."""
    rows = labels.reshape(len(labels), -1)
    if rows.shape[1] == 1:
        whole = not labels.is_floating_point() or bool((rows == rows.floor()).all())
        if K > 1 and whole and int(rows.min()) >= 0 and int(rows.max()) < K:
            return tuple(range(K)), rows[:, 0].long(), None
    elif rows.shape[1] == K:
        binary = bool(((rows == 0) | (rows == 1)).all())
        if not binary or bool((rows.sum(dim=1) == 1).all()):
            return tuple(range(K)), rows.argmax(dim=1), None
    of_class, codes = labels.unique(dim=0, return_inverse=True)
    named = of_class.reshape(len(of_class), -1)
    if bool((named == named.floor()).all()):
        named = named.long()
    names = [row[0] if len(row) == 1 else _text(row) for row in named.tolist()]
    return tuple(names), codes.reshape(-1), of_class


def _text(row: list[int | float]) -> str:
    return ("" if set(row) <= {0, 1} else ",").join(f"{value:g}" for value in row)


def _joinable(
    model: TappedModel, known: Recognised | None, inputs: Sequence[Tensor], labels: Sequence[Tensor]
) -> list[Tensor]:
    """Return the labels of each part in one type and, except for their number, one shape."""
    if known is not None and known.of_classes:
        labels = [_of_classes(part) for part in labels]
        if all(part.ndim == 1 for part in labels):
            check_labels(model, inputs[0][:1], torch.cat(labels))
    if len({part.shape[1:] for part in labels}) > 1:
        found = " and ".join(f"shape {list(part.shape)}" for part in labels)
        raise DegenerateInput("`labels`", "be of one shape in all parts", found, "labels [n] or [n, K]")
    shared = reduce(torch.promote_types, (part.dtype for part in labels))
    return [part.to(shared) for part in labels]


def _of_classes(labels: Tensor) -> Tensor:
    """Return labels of a loss over classes: positions [n] as integers, or probabilities [n, K] as numbers."""
    if labels.ndim > 1 and labels.shape[1:] != (1,):
        return labels if labels.is_floating_point() else labels.double()
    labels = labels.reshape(-1)
    if labels.is_floating_point() and not bool((labels == labels.floor()).all()):
        found, hint = f"{labels[:3].tolist()} …", "np.unique(labels, return_inverse=True)[1], or probabilities [n, K]"
        raise DegenerateInput("`labels`", "be positions of logits, as integers", found, hint)
    return labels.long()


def _outputs(model: TappedModel, inputs: Tensor, *, scalars: bool = True) -> Tensor:
    """Return outputs [n, K], or [n] if ``scalars`` allows them."""
    with trial(model):
        # A copy: outputs may be views of a parameter.
        outputs = model.taps(inputs)[model.output].detach().clone()
    if outputs.ndim != 2 and not (scalars and outputs.ndim == 1):
        hint = "a model that ends in the logits of one decision (select a token, average, or flatten them)"
        found = f"{list(outputs.shape)} for {len(inputs)} input{'s' if len(inputs) > 1 else ''}"
        raise ModelError(f"layer `{model.output}`", "be of shape [n, K]", found, hint)
    if not outputs.is_floating_point():
        found = str(outputs.dtype).removeprefix("torch.")
        raise ModelError(f"layer `{model.output}`", "be of floating-point numbers", found, "the logits before rounding")
    return outputs


def _at(parts: Sequence[Tensor], place: Tensor) -> Tensor:
    """Return one input [1, …] of several parts."""
    number = int(place)
    for part in parts:
        if number < len(part):
            return part[number : number + 1]
        number -= len(part)
    raise IndexError(number)


def _guard(loss: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return a function that makes a context, which restores the module of a loss."""
    owner = loss if isinstance(loss, nn.Module) else getattr(loss, "__self__", None)
    return (lambda: preserved(owner)) if isinstance(owner, nn.Module) else nullcontext


def _guarded(loss: Loss, guard: Callable[[], AbstractContextManager[Any]]) -> Loss:
    if guard is nullcontext or loss.own is None:
        return loss

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def guarded(*args: Any) -> Any:
            with guard():
                return function(*args)

        return guarded

    own = replace(loss.own, function=around(loss.own.function))
    return replace(loss, per_sample=around(loss.per_sample), gradient=around(loss.gradient), own=own)
