"""The parts of a protocol file, as a user reads of them: what each is, its keys, and a line to copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import pydantic

from elastic.protocol.dims import Together
from elastic.protocol.grid import Axis
from elastic.protocol.sections import COMPONENTS, Data, Imbalance, Optimizer, Probes, Training


@dataclass(frozen=True)
class Section:
    """One part of a protocol file.

    Attributes
    ----------
    summary
        What it is, in one line.
    example
        Lines of YAML that hold it.
    keys
        Model of its keys, None where it has none of its own.
    kind
        Of the registered functions that it names, None where it names none.
    further
        What else there is to know.
    defaults
        In words, of keys that the model itself fills in.
    """

    summary: str
    example: str
    keys: type[pydantic.BaseModel] | None = None
    kind: str | None = None
    further: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)


@cache
def sections() -> Mapping[str, Section]:
    """Return all parts by name, in the order in which protocols have them."""
    kinds = {path[0]: kind for path, kind in COMPONENTS.items() if len(path) == 1}
    return {
        "name": Section("The study's folder, under results", "name: my-study"),
        "title": Section("The study in one line", "title: Does collapse reach the inner layers?"),
        "question": Section(
            "What the study asks, in full", "question: Does every layer collapse, the deeper the more?"
        ),
        "cites": Section("Papers, as keys of elastic/references.bib", "cites: [papyan2020prevalence]"),
        "extends": Section(
            "Another protocol that this one starts from",
            "extends: quickstart",
            further="The name of a protocol that ships, or the path of a file, relative to this one. Mappings are "
            "merged; lists replace. A component with another name replaces the other's with all its options. An axis "
            "is replaced as a whole; null leaves it out. The name is not taken over. The study keeps the protocol as "
            "it is resolved.",
        ),
        "data": Section("What is learned", "data: {name: digits, per_class: 100}", Data, kinds["data"]),
        "model": Section("What is trained", "model: {name: mlp, widths: [256, 256]}", None, kinds["model"]),
        "loss": Section("What is minimised", "loss: {name: cross_entropy}", None, kinds["loss"]),
        "optimizer": Section(
            "How it is minimised",
            "optimizer: {name: sgd, lr: 0.05, schedule: {name: multistep, milestones: [0.33, 0.67]}}",
            Optimizer,
            kinds["optimizer"],
            "Schedules: elastic list schedules.",
        ),
        "training": Section("How long, in which batches, where", "training: {epochs: 200, batch_size: 64}", Training),
        "probes": Section(
            "At which epochs is measured, and what",
            "probes: {at: {name: log, count: 12}, collapse: {per_class: 200}, elasticity: null}",
            Probes,
            "probes",
            "Each probe is a key with its options; null leaves it out. Epochs: elastic list probe_schedules.",
        ),
        "axes": Section(
            "What is varied: each axis is a dim of the cube, and all combinations are run",
            "axes:\n  seed: [0, 1, 2]\n  decay: {path: optimizer.weight_decay, values: [0.0, 5.0e-4]}",
            Axis,
            None,
            "Keys are names of your own, but for seed, a list of numbers (default: [0]).",
            {"labels": "the values"},
        ),
        "together": Section(
            "Axes that vary together, as one dim of the cube",
            "together: {size: [width, rate]}",
            Together,
            None,
            "Keys are names of your own; a value is a list of axes, or a mapping of these keys.",
        ),
        "exclude": Section("Combinations of labels that are not run", "exclude: [{norm: none, rate: [0.2, 0.4]}]"),
        "claims": Section(
            "What the study claims, decided on its cube",
            "claims:\n  - {name: collapse_deepens_with_depth, metric: nc1}",
            None,
            "claims",
        ),
        "imbalance": Section(
            "How the train samples of some classes are thinned; a key of data",
            "data: {name: digits, imbalance: {ratio: 10, profile: step}}",
            Imbalance,
        ),
    }
