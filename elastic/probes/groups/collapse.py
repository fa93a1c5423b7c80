"""The probe of the group ``collapse``: NC1-NC4, separation and spectra of every layer and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from elastic.metrics.tabulation import FloatArray, tabulate
from elastic.probes.collapse import CollapseProbe
from elastic.probes.contract import Declaration, Probe, Subject, blank, metric_variables, probe
from elastic.probes.samples import collapse_samples
from elastic.protocol.probes_section import CollapseProbe as Options
from elastic.registry import shorten

GROUP = "collapse"


class CollapseGroup(Probe):
    """Measures the collapse metrics of a reader, split by split.

    Parameters
    ----------
    reader
        Reads the features.
    splits
        All splits of the run; those that the reader does not report are NaN (a split without samples of some class).
    """

    def __init__(self, reader: CollapseProbe, splits: Sequence[str]) -> None:
        super().__init__()
        self.reader = reader
        self.splits = tuple(splits)

    def declare(self) -> Declaration:
        """Return the metrics that the model's layers allow."""
        classes = self.reader.samples["train"].classes
        dims = {
            "split": self.splits,
            "layer": self.reader.layers,
            "class": classes,
            "other_class": classes,
            "component": range(1, len(classes) + 1),
        }
        counts = {
            split: part.labels.bincount(minlength=len(classes)).tolist() for split, part in self.reader.samples.items()
        }
        return Declaration(dims, metric_variables(GROUP, *self.reader.names(), leading=("split",)), counts)

    def rehearse(self) -> None:
        """Raise a ModelError if the memory budget is too small for one sample."""
        self.reader.check_budget()

    def read(self, epoch: float) -> Mapping[str, FloatArray]:
        """Return every metric [split, …]."""
        readings = self.reader.read()
        tables = {
            split: tabulate(GROUP, self.reader.layers, reading.by_layer, reading.of_network)
            for split, reading in readings.items()
        }
        if not tables:
            return blank(self.declare())
        first = next(iter(tables.values()))
        nothing = {name: np.full_like(value, np.nan) for name, value in first.items()}
        return {name: np.stack([tables.get(split, nothing)[name] for split in self.splits]) for name in first}


@probe(group=GROUP, dims=("split", "layer", "class", "other_class", "component"), options=Options)
def collapse(
    subject: Subject, *, per_class: int | None, splits: Sequence[str], rank_tolerance: float | None
) -> CollapseGroup:
    """Neural collapse of every layer: NC1-NC4, separation, spectra, on fixed samples of each split.

    Parameters
    ----------
    subject
        Where it has a squared loss and a known weight decay, the least-squares decomposition is measured too.
    per_class
        Samples of each (fine) class and split; None: all.
    splits
        Splits to report, of those that the subject has.
    rank_tolerance
        As `elastic.metrics.class_statistics.read_classes` takes it.
    """
    ridge = subject.weight_decay if subject.loss.squared else None
    known = [split for split in splits if split in subject.samples]
    missing = {split: subject.samples[split].absent_classes() for split in known if split != "train"}
    reader = CollapseProbe(
        subject.model,
        collapse_samples(subject.samples, per_class, subject.seed),
        tuple(split for split in known if not missing.get(split)),
        ridge,
        subject.memory_budget,
        rank_tolerance,
        subject.loss.decide,
    )
    group = CollapseGroup(reader, tuple(subject.samples))
    absent = {split: shorten(classes) for split, classes in missing.items() if classes}
    group.notes = [f"collapse on {split} is not measured: no samples of {classes}" for split, classes in absent.items()]
    return group
