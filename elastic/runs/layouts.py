"""The layout of a run: the variables that its probes and its training declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elastic.cube import Layout, Variable
from elastic.cube.variable import check_names
from elastic.models.building import layers_on
from elastic.probes.contract import Probe, Subject
from elastic.registry import registry


def layout_of(
    subject: Subject,
    probes: Mapping[str, Probe],
    variables: Sequence[Variable],
    *,
    epochs: int | None = None,
    probed: Sequence[int] = (),
) -> Layout:
    """Return the layout of a run.

    Parameters
    ----------
    subject
        Subject of the probes.
    probes
        Probes made for the subject, by registered name.
    variables
        Of the group ``training``.
    epochs, probed
        Of a planned run; None and () of an open one, which records any epoch.

    Raises
    ------
    StudyError
        If two variables have the same name.
    """
    groups: dict[str, dict[str, tuple[int | float | str, ...]]] = {}
    long_names: dict[str, str] = {}
    measured = list(variables)
    counts: dict[str, Sequence[int]] = {}
    for name, probe in probes.items():
        facts, declared = registry("probes").get(name).facts, probe.declare()
        groups[facts.group] = {dim: tuple(declared.dims[dim]) for dim in facts.dims if dim in declared.dims}
        long_names |= dict(facts.long_names)
        measured += declared.variables
        counts |= declared.class_counts
    check_names(measured)
    classes = subject.classes
    drawn = {s: part.labels.bincount(minlength=len(classes)).tolist() for s, part in subject.samples.items()}
    return Layout(
        epochs=epochs,
        probed=probed,
        layers=layers_on(subject.model, subject.samples["train"].inputs[:2]),
        classes=classes,
        splits=tuple(subject.samples),
        class_counts={split: counts.get(split, drawn[split]) for split in drawn},
        variables=measured,
        groups=groups,
        long_names=long_names,
    )
