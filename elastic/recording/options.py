"""The argument ``probes`` of a Recorder: options of each probe, and the epochs to probe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydantic

from elastic.errors import ElasticError, OptionError
from elastic.protocol.probes_section import Probes
from elastic.protocol.validation_errors import explain
from elastic.registry import registry
from elastic.runs.recorder import Due
from elastic.training import probed_epochs

#: Keys of ``probes`` that do not name probes.
AT, BUDGET = "at", "memory_budget"


@dataclass(frozen=True)
class ProbeOptions:
    """The requested probes and their epochs.

    Attributes
    ----------
    asked
        Options of each probe by registered name, including defaults.
    at
        Epochs to probe, in ascending order; may be fractional.
    memory_budget
        Bytes that the intermediate arrays of a probe may take.
    """

    asked: Mapping[str, Mapping[str, Any]]
    at: tuple[float, ...]
    memory_budget: int


def read_options(probes: Mapping[str, Any] | None, epochs: int | None) -> ProbeOptions:
    """Validate the requested probes, like the section ``probes`` of a protocol.

    Parameters
    ----------
    probes
        Options by probe, None to disable a probe; ``at``: a schedule with its options, or a list of epochs;
        ``memory_budget``.
    epochs
        The last epoch, if known.

    Raises
    ------
    ElasticError
        For an unknown probe or option, an invalid value, or a schedule without ``epochs``.
    """
    if probes is not None and not isinstance(probes, Mapping):
        raise OptionError("`probes`", "be a mapping", type(probes).__name__, '{"collapse": {}, "elasticity": {}}')
    given = {name: _plain(value) for name, value in (probes or {}).items()}
    at = given.pop(AT, {"name": "log", "count": 12})
    own = {key: value for key, value in given.items() if key in Probes.model_fields}
    try:
        section = Probes.model_validate(own)
    except pydantic.ValidationError as error:
        raise explain(error, Probes, own, around=("probes",))[0].error from None
    further = {name: _completed(name, value) for name, value in given.items() if name not in own}
    others = {name: options for name, options in further.items() if options is not None}
    return ProbeOptions({**section.asked, **others}, _epochs(at, epochs), section.memory_budget_bytes)


def due_at(at: Sequence[float]) -> Due:
    """Return a function that decides whether to probe: at the first record that reaches an epoch of the schedule.

    >>> due = due_at([0, 0.5, 4])
    >>> [due(epoch, before) for epoch, before in ((0, None), (0.25, 0), (0.75, 0.25), (3, 0.75), (5, 3))]
    [True, False, True, False, True]
    """

    def due(epoch: float, before: float | None) -> bool:
        return any(planned <= epoch and (before is None or planned > before) for planned in at)

    return due


def _plain(value: Any) -> Any:
    """Convert NumPy numbers in options to Python numbers."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _completed(name: str, options: Any) -> dict[str, Any] | None:
    """Return the options of a registered probe with its defaults; None if it is disabled."""
    entry = registry("probes").get(name, f"probes.{name}")
    if options is None:
        return None
    if not isinstance(options, Mapping):
        raise OptionError(f"`probes.{name}`", "be a mapping of its options", repr(options), f'{{"{name}": {{}}}}')
    try:
        return entry.complete(options)
    except OptionError as error:
        field = f"`probes.{name}.{error.field.strip('`')}`"
        raise OptionError(field, error.expected, error.found, error.hint) from None


def _epochs(at: Any, epochs: int | np.integer[Any] | None) -> tuple[float, ...]:
    epochs = int(epochs) if isinstance(epochs, np.integer) else epochs
    if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1):
        raise OptionError(
            "`epochs`", "be a positive integer, the last epoch of the training", repr(epochs), "epochs=200"
        )
    ends = {0.0, *([] if epochs is None else [float(epochs)])}
    if isinstance(at, Mapping | str):
        return tuple(sorted(ends | {float(epoch) for epoch in _scheduled(at, epochs)}))
    try:
        listed = {float(epoch) for epoch in at}
    except (TypeError, ValueError):
        raise OptionError("`probes.at`", "be a schedule or a list of epochs", repr(at), "[0, 0.5, 1, 10]") from None
    if wrong := [epoch for epoch in listed if not (math.isfinite(epoch) and epoch >= 0)]:
        raise OptionError("`probes.at`", "be finite epochs that are not negative", repr(wrong[0]), "[0, 0.5, 1, 10]")
    return tuple(sorted(ends | listed))


def _scheduled(at: Any, epochs: int | None) -> list[int]:
    schedule = {"name": at} if isinstance(at, str) else dict(at)
    if "name" not in schedule:
        raise OptionError("`probes.at`", "have a name", repr(at), '{"name": "log", "count": 12}')
    if epochs is None:
        hint = "epochs=200, or a list of epochs in probes['at']"
        raise OptionError("`epochs`", f"be given for the schedule {schedule['name']!r}", "nothing", hint)
    name = schedule.pop("name")
    registry("probe_schedules").get(name, "probes.at")
    try:
        return probed_epochs(name, schedule, epochs)
    except ElasticError as error:
        field = f"`probes.at.{error.field.strip('`')}`"
        raise OptionError(field, error.expected, error.found, error.hint) from None
