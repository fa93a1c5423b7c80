"""The interface of probes, and their registration.

A probe is one function under `probe`: it receives a `Subject` and the options that a protocol or a Recorder sets, and
returns a `Probe`, which declares what it measures and reads the model at every probed epoch. Its variables form one
group of the cube. A probe whose variables are registered metrics (`elastic.metrics.contract`) inherits from
`MetricProbe` and returns readings only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic

from elastic.probes.base import Declaration, Probe, blank
from elastic.probes.base import Label as Label
from elastic.probes.metric_probe import MetricProbe, metric_variables
from elastic.probes.subject import Subject, TrainingSteps
from elastic.registry import registry

__all__ = [
    "Declaration", "MetricProbe", "Probe", "ProbeFacts", "Subject", "TrainingSteps", "blank", "build_probes",
    "group_of", "metric_variables", "probe",
]  # fmt: skip

ProbeFunction = Callable[..., Probe]


@dataclass(frozen=True)
class ProbeFacts:
    """Facts of a probe, known before it is made.

    Attributes
    ----------
    group
        Group of the cube that holds its variables.
    dims
        Dims of the group after the study's axes and ``epoch``, in their order.
    long_names
        Descriptions of dims that no other group has, for their coordinates.
    options
        Model of its options; None: the keyword-only parameters of the function.
    """

    group: str
    dims: tuple[str, ...]
    long_names: Mapping[str, str] = field(default_factory=dict)
    options: type[pydantic.BaseModel] | None = None


def probe(
    *,
    group: str,
    dims: Sequence[str],
    long_names: Mapping[str, str] | None = None,
    options: type[pydantic.BaseModel] | None = None,
    name: str | None = None,
) -> Callable[[ProbeFunction], ProbeFunction]:
    """Register a function ``(subject: Subject, *, options) -> Probe`` as a probe, with its `ProbeFacts`."""
    return registry("probes").register(name, ProbeFacts(group, tuple(dims), dict(long_names or {}), options))


def build_probes(subject: Subject, asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Probe]:
    """Return the probes of these names, made for a subject with these options.

    Raises
    ------
    ElasticError
        UnknownName, OptionError; any error of a probe about the subject.
    """
    entries = {name: registry("probes").get(name) for name in asked}
    return {name: entry.function(subject, **entry.complete(asked[name])) for name, entry in entries.items()}


def group_of(name: str) -> str:
    """Return the group of the cube that a registered probe measures."""
    facts: ProbeFacts = registry("probes").get(name).facts
    return facts.group
