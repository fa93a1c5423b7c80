"""The settings of a recorded run for its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import nn

from elastic.errors import StudyError
from elastic.models.batch_forward import BatchForward
from elastic.models.positions import Position, described_position
from elastic.probes.contract import Subject
from elastic.recording.options import ProbeOptions
from elastic.recording.unseen import UNSEEN


def described_settings(
    model: nn.Module,
    subject: Subject,
    options: ProbeOptions,
    epochs: int | None,
    weight_decay: float | None,
    evaluate: bool,
    training: Mapping[str, Any] | None,
    position: Position | None = None,
) -> dict[str, Any]:
    """Return the settings of a run as a JSON-serializable mapping."""
    if training is not None and not isinstance(training, Mapping):
        raise StudyError("`settings`", "be a mapping", type(training).__name__, '{"optimizer": "adam"}')
    own = {
        "model": _kind(subject.model),
        "parameters": sum(parameter.numel() for parameter in subject.model.parameters()),
        "layers": list(subject.model.layers),
        "features": described_position(position),
        "loss": subject.loss.name,
        "samples": {split: len(part) for split, part in subject.samples.items()} | _unseen(subject),
        "epochs": epochs,
        "probes": {"at": list(options.at), **options.asked},
        "weight_decay": weight_decay,
        "evaluate": evaluate,
        "training": dict(training or {}),
    }
    try:
        plain: dict[str, Any] = json.loads(json.dumps(own, allow_nan=False, default=_number))
    except (TypeError, ValueError, RuntimeError) as error:
        raise StudyError("`settings`", "be what JSON holds", str(error), "numbers, texts, lists and mappings") from None
    return plain


def _unseen(subject: Subject) -> dict[str, int]:
    return {} if subject.unseen is None else {UNSEEN: len(subject.unseen)}


def _kind(model: nn.Module) -> str:
    """Return the type of the wrapped module."""
    module = getattr(model, "module", model)
    return type(module.original if isinstance(module, BatchForward) else module).__name__


def _number(value: Any) -> Any:
    """Convert a NumPy scalar or a tensor of one element to a Python number."""
    if not hasattr(value, "item"):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return value.item()
