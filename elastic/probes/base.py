"""The base class of probes, and the declaration of what one measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elastic.cube import Variable
from elastic.metrics.tabulation import FloatArray

#: A label along a dim of a group.
Label = int | float | str


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


def blank(declaration: Declaration) -> dict[str, FloatArray]:
    """Return every variable of a declaration as NaN, in its shape."""
    lengths = {dim: len(labels) for dim, labels in declaration.dims.items()}
    return {v.name: np.full(tuple(lengths[dim] for dim in v.dims), np.nan) for v in declaration.variables}
