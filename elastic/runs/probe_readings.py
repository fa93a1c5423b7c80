"""What the probes of a run read at an epoch, as its layout names it, also where the model has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elastic.cube import Layout
from elastic.cube.renamed_variables import names_now
from elastic.errors import AllFrozen
from elastic.metrics.tabulation import FloatArray
from elastic.probes.contract import Probe, blank, group_of


class ProbeReadings:
    """Reads the probes of one run.

    Parameters
    ----------
    probes
        Probes made for the run's subject, by registered name.
    begun
        Layout with which the run began, perhaps under an earlier release.
    declared
        Layout that the probes declared when they were made.
    """

    def __init__(self, probes: Mapping[str, Probe], begun: Layout, declared: Layout) -> None:
        self.probes, self._declared = probes, declared
        self._asked = {variable.key for variable in begun.variables}
        self._now = _keys_now(begun, declared)
        #: Groups and keys of which a note says that they are no longer measured.
        self._lost: set[str] = set()
        self._notes: list[str] = []

    def take_notes(self) -> list[str]:
        """Return and clear the notes of the readings, and of the probes."""
        notes, self._notes = self._notes, []
        return notes

    def resume(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Pass the earlier records of the run to the probes."""
        for name, probe in self.probes.items():
            start = f"{group_of(name)}/"
            probe.resume([{key[len(start) :]: r[key] for key in r if key.startswith(start)} for r in records])

    def read(self, name: str, epoch: float, *, may_be_frozen: bool) -> dict[str, FloatArray]:
        """Return what a probe measures, by key.

        Parameters
        ----------
        name
            Of the probe.
        epoch
            Epochs trained so far.
        may_be_frozen
            Whether what steps need is NaN if every parameter is frozen, since earlier records had it.
        """
        probe, group = self.probes[name], group_of(name)
        try:
            read = probe.read(epoch)
        except AllFrozen as error:
            if not may_be_frozen:
                raise
            if group not in self._lost:
                self._notes.append(f"epoch {epoch:g}: {group} is not measured: {error}")
            self._lost.add(group)
            read = blank(probe.declare())
        values = {f"{group}/{variable}": value for variable, value in read.items()}
        values |= self._no_longer_measured(epoch, group, probe, values)
        self._notes += probe.notes
        probe.notes = []
        return values

    def as_begun(self, record: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return a record of all probes under the keys with which the run began, without variables added since."""
        earlier = {key: record[now] for key, now in self._now.items() if now in record}
        return {key: earlier.get(key, value) for key, value in record.items() if key in self._asked}

    def _no_longer_measured(
        self, epoch: float, group: str, probe: Probe, values: Mapping[str, Any]
    ) -> dict[str, FloatArray]:
        """Return NaN for each variable that the probe declared, and can no longer measure since the model changed.

        A variable that it still declares and does not return is the mistake of a metric, which the journal reports.
        """
        absent = [v for v in self._declared.variables if v.group == group and v.key not in values]
        now = {variable.key for variable in probe.declare().variables} if absent else set()
        lost = {v.key: np.full(self._declared.shape(v), np.nan) for v in absent if v.key not in now}
        if new := sorted(lost.keys() - self._lost):
            names = ", ".join(f"`{key}`" for key in new)
            why = "since the changed model lacks what they are computed from"
            self._notes.append(f"epoch {epoch:g}: not measured, {why}: {names}")
        self._lost |= lost.keys()
        return lost


def _keys_now(begun: Layout, today: Layout) -> dict[str, str]:
    """Return the present keys of variables that an earlier release recorded under other keys."""
    keys: dict[str, str] = {}
    for group in {variable.group for variable in begun.variables}:
        of_group = [[one for one in layout.variables if one.group == group] for layout in (begun, today)]
        keys |= {f"{group}/{name}": f"{group}/{now}" for name, now in names_now(*of_group).items()}
    return keys
