"""Validation of the callbacks' arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from elastic.errors import StudyError
from elastic.recording import Recorder
from elastic.registry import nearest, shorten
from elastic.runs.scalars import training_values

#: Arguments of the Recorder that the callback sets itself.
OWN = ("self", "folder", "model")


def checked_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Validate the arguments that a callback passes to the Recorder.

    Raises
    ------
    StudyError
        If one is unknown or set by the callback, or ``train`` is missing.
    """
    known = [name for name in inspect.signature(Recorder).parameters if name not in OWN]
    if "model" in arguments:
        raise StudyError("`model`", "be left to the trainer, whose model is recorded", "one", "leaving it out")
    for name in arguments:
        if name not in known:
            hint = nearest(name, known, fallback="the arguments of elastic.Recorder")
            raise StudyError(f"`{name}`", "be an argument of elastic.Recorder", repr(name), hint)
    if "train" not in arguments:
        raise StudyError("`train`", "be given", "nothing", "train=(x, y)")
    return dict(arguments)


def checked_names(
    logged: Mapping[str, str] | None, arguments: Mapping[str, Any], coordinates: Mapping[str, Any]
) -> dict[str, str]:
    """Validate the mapping from names in the cube to metrics of the trainer.

    Raises
    ------
    StudyError
        If a name is taken or invalid.

    Examples
    --------
    >>> checked_names({"val_loss": "val/loss"}, {}, {"seed": 0})
    {'val_loss': 'val/loss'}
    """
    if logged is not None and not isinstance(logged, Mapping):
        raise StudyError("`logged`", "be a mapping", shorten(logged), '{"running_loss": "train_loss"}')
    names = dict(logged or {})
    training_values(dict.fromkeys(names, 0.0), ("train", "test"), evaluated=arguments.get("evaluate", True))
    if clash := sorted(names.keys() & coordinates.keys()):
        expected = "have other names than the run's coordinates"
        raise StudyError("`logged`", expected, repr(clash[0]), f'{{"{clash[0]}_now": "{names[clash[0]]}"}}')
    return names
