"""The sections of a protocol file: summary, keys and an example of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import pydantic

from elastic.protocol.crossing_sections import Together
from elastic.protocol.data_section import Data, Imbalance
from elastic.protocol.grid import Axis
from elastic.protocol.probes_section import Probes
from elastic.protocol.sections import COMPONENTS, Optimizer
from elastic.protocol.training_section import Training


@dataclass(frozen=True)
class Section:
    """One section of a protocol file.

    Attributes
    ----------
    summary
        One line.
    example
        Lines of YAML.
    keys
        Model of its keys, or None.
    kind
        Kind of the registered functions that it names, or None.
    further
        Further notes.
    defaults
        Descriptions of defaults that depend on other values.
    """

    summary: str
    example: str
    keys: type[pydantic.BaseModel] | None = None
    kind: str | None = None
    further: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)


@cache
def sections() -> Mapping[str, Section]:
    """Return all sections by name, in the order of a protocol."""
    kinds = {path[0]: kind for path, kind in COMPONENTS.items() if len(path) == 1}
    return {
        "name": Section("Name of the study's folder under results", "name: my-study"),
        "title": Section("Title of the study, in one line", "title: Does collapse reach the inner layers?"),
        "question": Section(
            "Research question of the study", "question: Does every layer collapse, the deeper the more?"
        ),
        "cites": Section("Cited papers, as keys of elastic/references.bib", "cites: [papyan2020prevalence]"),
        "extends": Section(
            "Another protocol that this one extends",
            "extends: quickstart",
            further="The name of a protocol that ships, or the path of a file, relative to this one. Mappings are "
            "merged; lists replace. A component with another name replaces the other's with all its options. An axis "
            "is replaced as a whole; null leaves it out. The name is not taken over. The study keeps the protocol as "
            "it is resolved.",
        ),
        "data": Section("Data set", "data: {name: digits, per_class: 100}", Data, kinds["data"]),
        "model": Section("Model to train", "model: {name: mlp, widths: [256, 256]}", None, kinds["model"]),
        "loss": Section("Loss to minimise", "loss: {name: cross_entropy}", None, kinds["loss"]),
        "optimizer": Section(
            "Optimiser and learning-rate schedule",
            "optimizer: {name: sgd, lr: 0.05, schedule: {name: multistep, milestones: [0.33, 0.67]}}",
            Optimizer,
            kinds["optimizer"],
            "Schedules: elastic list schedules.",
        ),
        "training": Section(
            "Epochs, batches, device and precision", "training: {epochs: 200, batch_size: 64}", Training
        ),
        "probes": Section(
            "Epochs to probe, and the probes",
            "probes: {at: {name: log, count: 12}, collapse: {per_class: 200}, elasticity: null}",
            Probes,
            "probes",
            "Each probe is a key with its options; null leaves it out. Epochs: elastic list probe_schedules.",
        ),
        "axes": Section(
            "Varied values: each axis is a dim of the cube; runs are their product",
            "axes:\n  seed: [0, 1, 2]\n  decay: {path: optimizer.weight_decay, values: [0.0, 5.0e-4]}",
            Axis,
            None,
            "Keys are names you choose, except seed, a list of numbers (default: [0]).",
            {"labels": "the values"},
        ),
        "together": Section(
            "Axes that vary together, as one dim of the cube",
            "together: {size: [width, rate]}",
            Together,
            None,
            "Keys are names you choose; a value is a list of axes, or a mapping of these keys.",
        ),
        "exclude": Section("Combinations of labels to leave out", "exclude: [{norm: none, rate: [0.2, 0.4]}]"),
        "claims": Section(
            "Claims of the study, checked on its cube",
            "claims:\n  - {name: collapse_deepens_with_depth, metric: nc1}",
            None,
            "claims",
        ),
        "imbalance": Section(
            "Subsampling of some classes of the train split; a key of data",
            "data: {name: digits, imbalance: {ratio: 10, profile: step}}",
            Imbalance,
        ),
    }
