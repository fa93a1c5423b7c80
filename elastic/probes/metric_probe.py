"""Probes whose variables are registered metrics (`elastic.metrics.contract`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from elastic.cube import Variable
from elastic.metrics.contract import attributes
from elastic.metrics.tabulation import FloatArray, tabulate, variables_of
from elastic.probes.base import Declaration, Label, Probe, blank


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
