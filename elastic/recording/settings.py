"""The settings of a recorded run, as its report shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import nn

from elastic.errors import StudyError
from elastic.probes.contract import Subject
from elastic.recording.options import ProbeOptions


def described_settings(
    model: nn.Module,
    subject: Subject,
    options: ProbeOptions,
    epochs: int | None,
    weight_decay: float | None,
    evaluate: bool,
    training: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what a report shows of a run, as JSON holds it."""
    if training is not None and not isinstance(training, Mapping):
        raise StudyError("`settings`", "be a mapping", type(training).__name__, '{"optimizer": "adam"}')
    own = {
        "model": type(getattr(subject.model, "module", subject.model)).__name__,
        "parameters": sum(parameter.numel() for parameter in subject.model.parameters()),
        "layers": list(subject.model.layers),
        "loss": subject.loss.name,
        "samples": {split: len(part) for split, part in subject.samples.items()},
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


def _number(value: Any) -> Any:
    """Return a NumPy scalar or a tensor of one element as a Python number."""
    if not hasattr(value, "item"):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return value.item()
