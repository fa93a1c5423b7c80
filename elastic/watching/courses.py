"""Incremental reading of the curves of running runs from their journals; each record is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from elastic.cube import Journal, Layout, read_layout
from elastic.cube.record import Array
from elastic.cube.variable import Variable
from elastic.errors import NotMeasured
from elastic.registry import nearest
from elastic.study import RunStatus, Study

#: Training variables to draw, if a run records them.
TRAINING = ("training/loss", "training/accuracy")

#: Dims that a variable by layer may have; of the splits the train split is drawn.
BY_LAYER = ({"layer"}, {"split", "layer"})

Points = list[tuple[float, float]]


@dataclass
class Course:
    """The recorded curves of one run.

    Attributes
    ----------
    status
        Progress of the run.
    loss, accuracy
        {split: [(epoch, value), …]}.
    layers
        {layer: [(epoch, value of the metric), …]}, from the input to the output.
    """

    status: RunStatus
    loss: dict[str, Points] = field(default_factory=dict)
    accuracy: dict[str, Points] = field(default_factory=dict)
    layers: dict[str, Points] = field(default_factory=dict)


class Courses:
    """The curves of the runs of a study; each call reads the new records.

    Parameters
    ----------
    study
        The study; its folder is only read.
    metric
        Variable with a dim ``layer``, with or without its group.
    """

    def __init__(self, study: Study, metric: str = "nc1") -> None:
        self.study, self.metric = study, metric
        self._read: dict[str, _Records] = {}

    def check_metric(self) -> None:
        """Raise NotMeasured if the started runs do not record the metric by layer."""
        layouts = [records.layout for records in self._read.values()]
        known = sorted({v.name for layout in layouts for v in layout.variables if set(v.dims) in BY_LAYER})
        if layouts and known and self.metric.rpartition("/")[2] not in known and self.metric != "nc1":
            hint = nearest(self.metric, known, fallback=f"one of {', '.join(known)}")
            expected = "be a variable that the runs record by layer"
            raise NotMeasured("`--metric`", expected, repr(self.metric), hint)

    def of(self, status: RunStatus) -> Course:
        """Return the curves of a run.

        Raises
        ------
        StudyError
            If its journal is damaged, or changes while it is read because another process restarts the run.
        """
        folder = self.study.run_folder(status.cell)
        layout = read_layout(folder)
        if layout is None:
            return Course(status)
        records = self._read.get(status.cell)
        if records is None or records.layout != layout:
            records = self._read[status.cell] = _Records(layout, self.metric)
        records.read(folder)
        return Course(
            status,
            records.by_split("training/loss"),
            records.by_split("training/accuracy"),
            records.by_layer(),
        )


class _Records:
    """The drawn variables of one run at its recorded epochs."""

    def __init__(self, layout: Layout, metric: str) -> None:
        self.layout = layout
        group, _, name = metric.rpartition("/")
        variables = {v.key: v for v in layout.variables if v.key in TRAINING}
        of_metric = (
            v for v in layout.variables if v.name == name and group in ("", v.group) and set(v.dims) in BY_LAYER
        )
        self.metric: Variable | None = next(of_metric, None)
        self._wanted = [*variables.values(), *([self.metric] if self.metric else [])]
        self._numbers: dict[str, dict[float, Array]] = {v.key: {} for v in self._wanted}

    def read(self, folder: Path) -> None:
        """Read new records, or all of them if one has disappeared because the run was restarted."""
        journal = Journal(folder, self.layout)
        by_probed = journal.by_probed()
        for variable in self._wanted:
            known = self._numbers[variable.key]
            recorded = by_probed[True] + ([] if variable.group != "training" else by_probed[False])
            if known.keys() - set(recorded):
                known.clear()
            new = sorted(set(recorded) - known.keys())
            rows = [row for block in journal.variable_blocks(variable.key, new) for row in block] if new else []
            known.update(zip(new, rows, strict=True))

    def by_split(self, key: str) -> dict[str, Points]:
        """Return the curve of a training variable for each split."""
        curves = self._numbers.get(key, {})
        splits = self.layout.labels("training", "split")
        return {str(split): _points(curves, (place,)) for place, split in enumerate(splits)} if curves else {}

    def by_layer(self) -> dict[str, Points]:
        """Return the curve of the metric for each layer, on the train split if there are splits."""
        if self.metric is None:
            return {}
        curves, group = self._numbers[self.metric.key], self.metric.group
        splits = self.layout.labels(group, "split")
        at = (splits.index("train") if "train" in splits else 0,) if "split" in self.metric.dims else ()
        layers = self.layout.labels(group, "layer")
        return {str(layer): _points(curves, (*at, place)) for place, layer in enumerate(layers)} if curves else {}


def _points(curves: Mapping[float, Any], at: tuple[int, ...]) -> Points:
    points = [(epoch, float(np.asarray(curves[epoch])[at])) for epoch in sorted(curves)]
    return [(epoch, value) for epoch, value in points if np.isfinite(value)]
