"""Builds the inputs of the probes from the arguments of a Recorder: model, layers, loss and samples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.arguments import Labelled, LossLike, Reading, as_loss, check_module, model_and_samples
from elastic.batches.nesting import tensors_of
from elastic.data.contract import Samples
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.losses import Loss
from elastic.measure.targets import classify
from elastic.models.batch_forward import BatchForward
from elastic.models.contract import TappedModel
from elastic.models.positions import Position
from elastic.models.taps import tap, unwrapped
from elastic.probes.contract import Subject
from elastic.recording.unseen import UNSEEN, in_words_of_unseen, unseen_samples
from elastic.registry import shorten

#: Names of the classes, by position or by label.
ClassNames = Sequence[str | int] | Mapping[Any, str | int]


def build_subject(
    model: nn.Module,
    layers: Sequence[str] | str | None,
    loss: LossLike,
    splits: Mapping[str, Labelled],
    reading: Reading,
    *,
    seed: int,
    weight_decay: float | None,
    memory_budget: int,
    class_names: ClassNames | None = None,
    unseen: Labelled | None = None,
) -> Subject:
    """Return the subject of the probes; its model is the one being trained, without wrappers.

    Parameters
    ----------
    model, layers, loss, seed, weight_decay
        See `elastic.Recorder`.
    splits
        Samples by split, "train" first. They are copied to the model's device.
    reading
        How to run the model on the samples, and which outputs to use.
    memory_budget
        Bytes that the intermediate arrays of a probe may take.
    class_names
        ``classes`` of `elastic.Recorder`.
    unseen
        Samples of classes that the model is not trained on.

    Raises
    ------
    ElasticError
        ModelError if the model is on several devices or on another accelerator than the samples, fails on them, or
        lacks a layer. DegenerateInput for invalid samples or labels.
    """
    inner = unwrapped(model)
    parts = dict(splits) if unseen is None else {**splits, UNSEEN: unseen}
    _check_devices(inner, parts)
    criterion = as_loss(loss)
    positions = isinstance(criterion, Loss)
    # Copies: later changes of the user's arrays must not affect the records.
    try:
        inner, given = model_and_samples(inner, parts, reading, positions=positions)
    except DegenerateInput as error:
        raise in_words_of_unseen(error) from None
    tensors = {split: tuple(map(_copied, pair)) for split, pair in given.items()}
    aside = tensors.pop(UNSEEN, None)
    tapped = _tapped(inner, layers, tensors["train"][0][:2], reading.position)
    inputs, labels = zip(*tensors.values(), strict=True)
    classified = classify(tapped, criterion, inputs, labels)
    # The cube labels classes with integers or strings.
    labelled = tuple(_shortest(name) if isinstance(name, float) else name for name in classified.names)
    classes = named_classes(classified.names, class_names) or labelled
    samples = {
        split: Samples(x, codes, classes, targets=None if targets is codes else targets)
        for split, x, codes, targets in zip(tensors, inputs, classified.labels, classified.targets, strict=True)
    }
    others = None
    if aside is not None:
        x, y = aside
        others = unseen_samples(x, y, classified.names, lambda labels: names_of_unseen(labels, class_names, classes))
    return Subject(tapped, classified.loss, samples, seed, weight_decay, memory_budget, others)


def named_classes(labels: Sequence[int | float | str], names: ClassNames | None) -> tuple[str | int, ...]:
    """Return the name of each label; () without names.

    Parameters
    ----------
    labels
        Distinct labels of the samples.
    names
        Names by position or by label.

    Raises
    ------
    DegenerateInput
        If a label has no name, or two labels share one.

    Examples
    --------
    >>> named_classes([0, 2], ["cat", "dog", "ship"]), named_classes([7], {7: "seven"}), named_classes([0], None)
    (('cat', 'ship'), ('seven',), ())
    """
    if names is None:
        return ()
    is_listed = isinstance(names, Sequence) and not isinstance(names, str)
    if not is_listed and not isinstance(names, Mapping):
        raise DegenerateInput("`classes`", "be names by label", shorten(names), '["cat", "dog"], or {3: "cat"}')
    named: Mapping[Any, Any] = names if isinstance(names, Mapping) else dict(enumerate(names))
    if lacking := [label for label in labels if label not in named]:
        found = f"{len(named)} names, none of label {lacking[0]!r}"
        raise DegenerateInput("`classes`", "name every class", found, f"{{{lacking[0]!r}: …}}")
    found_names = tuple(named[label] for label in labels)
    wrong = next((name for name in found_names if not isinstance(name, str | int) or isinstance(name, bool)), None)
    if wrong is not None or len(set(map(str, found_names))) < len(found_names):
        found = shorten(found_names if wrong is None else wrong)
        raise DegenerateInput("`classes`", "be different texts or whole numbers", found, '["cat", "dog"]')
    return found_names


def names_of_unseen(
    labels: Sequence[int], names: ClassNames | None, trained: Sequence[str | int]
) -> tuple[str | int, ...]:
    """Return the name of each unseen label: of those that are given, if they name all of them, else the labels.

    Raises
    ------
    DegenerateInput
        If one is a name of a trained class.

    Examples
    --------
    >>> names_of_unseen([8, 9], {0: "cat", 1: "dog", 8: "oak", 9: "elm"}, ("cat", "dog"))
    ('oak', 'elm')
    >>> names_of_unseen([8, 9], ["cat", "dog"], ("cat", "dog"))
    (8, 9)
    """
    known = names if isinstance(names, Mapping) else dict(enumerate(names or ()))
    named = named_classes(labels, known) if all(label in known for label in labels) else tuple(labels)
    if shared := {*map(str, named)} & {*map(str, trained)}:
        raise DegenerateInput("`classes`", "be different texts or whole numbers", shorten(sorted(shared)), '"an oak"')
    return named


def check_decay(weight_decay: Any) -> None:
    """Raise an ElasticError unless a weight decay is a finite nonnegative number, or None."""
    is_number = isinstance(weight_decay, int | float) and not isinstance(weight_decay, bool)
    if weight_decay is not None and not (is_number and 0 <= float(weight_decay) < math.inf):
        raise ElasticError("`weight_decay`", "be a number that is not negative", shorten(weight_decay), "1e-4")


def data_digest(subject: Subject) -> str:
    """Return the SHA-256 of types, shapes and bytes of all samples."""
    total = hashlib.sha256()
    view = getattr(subject.model, "module", None)
    parts = dict(subject.samples) if subject.unseen is None else {**subject.samples, UNSEEN: subject.unseen}
    for split, part in parts.items():
        inputs = list(tensors_of(view.rows(part.inputs)).values()) if isinstance(view, BatchForward) else [part.inputs]
        for tensor in (*inputs, part.labels, *(() if part.targets is None else (part.targets,))):
            total.update(f"{split} {tensor.dtype} {tuple(tensor.shape)}".encode())
            total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _copied(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


def _shortest(number: float) -> str:
    """Return the shortest decimal representation of a number, as float32 if it is one."""
    return str(np.float32(number)) if np.float32(number) == number else str(number)


def _tapped(
    model: nn.Module, layers: Sequence[str] | str | None, example: Tensor, position: Position | None
) -> TappedModel:
    if layers is not None and not isinstance(layers, str | Sequence):
        raise ModelError("`layers`", "be names of submodules, or 'auto'", shorten(layers), "layers='auto'")
    if not isinstance(model, TappedModel):
        return tap(model, layers, example, position)
    if layers not in (None, "auto") and tuple(layers or ()) != model.layers:
        expected = "be left out for a built-in model, whose layers have names"
        raise ModelError("`layers`", expected, repr(layers), f"layers={list(model.layers)}")
    return model


def _check_devices(model: nn.Module, splits: Mapping[str, Labelled]) -> None:
    place = check_module(model).device
    devices = sorted({str(parameter.device) for parameter in model.parameters()})
    if len(devices) > 1:
        raise ModelError("`model`", "be on one device", " and ".join(devices), "model.to(device) before the Recorder")
    for split, given in splits.items():
        for part in given if isinstance(given, tuple | list) else ():
            if isinstance(part, Tensor) and part.device.type != "cpu" and part.device != place:
                found = f"samples on {part.device}, a model on {place}"
                raise ModelError(f"`{split}`", "be on the model's device, or on the CPU", found, f".to({str(place)!r})")
