"""The interface of probes, and their registration.

A probe is one function under `probe`: it receives a `Subject` and the options that a protocol or a Recorder sets, and
returns a `Probe`, which declares what it measures and reads the model at every probed epoch. Its variables form one
group of the cube. A probe whose variables are registered metrics (`elastic.metrics.contract`) inherits from
`MetricProbe` and returns readings only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pydantic

from elastic.cube import Variable
from elastic.data.contract import Samples
from elastic.losses import Loss
from elastic.metrics.contract import attributes
from elastic.metrics.tabulation import FloatArray, tabulate, variables_of
from elastic.models.contract import TappedModel
from elastic.registry import registry

Label = int | float | str
ProbeFunction = Callable[..., "Probe"]


@dataclass(frozen=True)
class TrainingSteps:
    """How a training steps from batch to batch, for probes that account for movements of training.

    Attributes
    ----------
    per_epoch
        Number of steps per epoch.
    momentum
        Share of the previous update that each update keeps; None if the optimizer's step is not a multiple of a sum of
        gradients (Adam).
    nesterov
        Whether the momentum is Nesterov's.
    decays
        λ of the (λ/2)‖θ‖² that the objective adds, by the name of each parameter.
    features
        λ of the (λ/2) mean ‖h‖² over the penultimate features of the train samples that the objective adds.
    """

    per_epoch: int
    momentum: float | None
    nesterov: bool
    decays: Mapping[str, float]
    features: float = 0.0


@dataclass(frozen=True)
class Subject:
    """The subject of probes: a model, its loss and fixed samples.

    Attributes
    ----------
    model
        Read in evaluation mode and restored.
    loss
        Loss whose single-sample gradient defines the step.
    samples
        By split, on the model's device; "train" is the first.
    seed
        Seed of the samples that a probe chooses.
    weight_decay
        λ of the (λ/2)‖θ‖² that the objective adds for the classifier; None if it is not known.
    memory_budget
        Most bytes that the intermediate arrays of a probe may use.
    unseen
        Samples of classes that the model is not trained on, with their own labels; None if there are none.
    steps
        How the model is trained; None if it is not known, as for a user's training loop.
    alike
        The same for subjects whose models have the same code and differ only in the values of their parameters, so that
        what depends on the code is found once for all runs of a study; "" if that is not known.
    """

    model: TappedModel
    loss: Loss
    samples: Mapping[str, Samples]
    seed: int = 0
    weight_decay: float | None = None
    memory_budget: int = 2**30
    unseen: Samples | None = None
    steps: TrainingSteps | None = None
    alike: str = ""

    @property
    def classes(self) -> tuple[int | str, ...]:
        """Names of the K classes, in the order of the outputs."""
        return self.samples["train"].classes


@dataclass(frozen=True)
class Declaration:
    """Variables of a probe, known before anything is read.

    Attributes
    ----------
    dims
        Labels along each dim of the group, in the order of the variables' dims; without those that no
        variable has.
    variables
        The variables that `Probe.read` returns.
    class_counts
        Samples of each class that are read, {split: [K]}; empty if the probe has no splits.
    """

    dims: Mapping[str, Sequence[Label]]
    variables: Sequence[Variable]
    class_counts: Mapping[str, Sequence[int]] = field(default_factory=dict)


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


class Probe(ABC):
    """One measurement of a model, made once per run and read at every probed epoch.

    Attributes
    ----------
    notes
        Messages for the user since the last reading; the Recorder takes them.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def declare(self) -> Declaration:
        """Return dims and variables, without computing the model's features."""

    @abstractmethod
    def read(self, epoch: float) -> Mapping[str, FloatArray]:
        """Return the numbers of every variable at an epoch, {name: array with the shape of its dims}."""

    def rehearse(self) -> None:  # noqa: B027 (most probes support any model that declares)
        """Raise errors of every reading, such as a memory budget that is too small; cheap, before a run."""

    def resume(self, records: Sequence[Mapping[str, Any]]) -> None:  # noqa: B027 (most probes have no state)
        """Continue after an earlier process with its records of probed epochs, {variable: numbers}."""

    @property
    def engine(self) -> str:
        """Method of computation, if there is a choice; "" otherwise."""
        return ""


class MetricProbe(Probe):
    """A probe whose variables are the registered metrics of its group.

    A subclass defines which readings it takes (`reading_names`) and takes them (`readings`); the metrics that need only
    these, and their dims and attributes, follow from the registry.

    Attributes
    ----------
    unread
        Names of readings that `readings` could not take at the last epoch, and left out: their metrics are NaN.
    """

    group: str

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.unread: set[str] = set()

    @abstractmethod
    def reading_names(self) -> tuple[Mapping[str, Collection[str]], Collection[str]]:
        """Return the names of the readings of each layer, and of the network."""

    @abstractmethod
    def labels(self) -> Mapping[str, Sequence[Label]]:
        """Return the labels along each dim of the group."""

    @abstractmethod
    def readings(self, epoch: float) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
        """Return the readings of each layer, and of the network."""

    def declare(self) -> Declaration:
        """Return the group's dims and the metrics that can be computed from the readings."""
        return Declaration(self.labels(), metric_variables(self.group, *self.reading_names()))

    def read(self, epoch: float) -> Mapping[str, FloatArray]:
        """Return the metrics at an epoch."""
        self.unread = set()
        by_layer, of_network = self.readings(epoch)
        return {**self._unread_metrics(), **tabulate(self.group, self.layers, by_layer, of_network)}

    def _unread_metrics(self) -> dict[str, FloatArray]:
        """Return NaN for each metric that needs a reading in ``unread``."""
        if not self.unread:
            return {}
        by_layer, of_network = self.reading_names()
        others = {layer: set(names) - self.unread for layer, names in by_layer.items()}
        known = {v.name for v in metric_variables(self.group, others, set(of_network) - self.unread)}
        return {name: nothing for name, nothing in blank(self.declare()).items() if name not in known}


def metric_variables(
    group: str,
    by_layer: Mapping[str, Collection[str]],
    of_network: Collection[str],
    leading: tuple[str, ...] = (),
) -> list[Variable]:
    """Return the variables of a group that can be computed from the named readings.

    Parameters
    ----------
    group
        Of the metrics.
    by_layer, of_network
        Names of the readings of each layer, and of the network.
    leading
        Dims before ``layer``, such as ("split",).
    """
    return [
        Variable(
            group,
            entry.name,
            (*leading, *(() if entry.facts.layerless else ("layer",)), *entry.facts.dims),
            attributes(entry),
        )
        for entry in variables_of(group, by_layer, of_network)
    ]


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


def blank(declaration: Declaration) -> dict[str, FloatArray]:
    """Return every variable of a declaration as NaN, in its shape."""
    lengths = {dim: len(labels) for dim, labels in declaration.dims.items()}
    return {v.name: np.full(tuple(lengths[dim] for dim in v.dims), np.nan) for v in declaration.variables}
