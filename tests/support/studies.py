"""A small study of real digits that is trained and probed in a second, for tests of the whole way."""

from __future__ import annotations

import hashlib
from pathlib import Path

import elastic

#: Three classes, two seeds, a network with batch norm, a schedule with one step, probes at epochs 0, 1, 2 and 6.
SMALL = """\
name: small
title: A small study
cites: [he2023law]
data: {name: digits, classes: [3, 5, 8], per_class: 20, test_fraction: 0.3}
model: {name: mlp, widths: [10, 8], norm: batch}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1.0e-3, schedule: {name: multistep, milestones: [0.5]}}
training: {epochs: 6, batch_size: 16}
probes:
  at: {name: log, count: 4}
  collapse: {per_class: 20}
  elasticity: {stepped_per_class: 2, observed_per_class: 4}
axes:
  seed: [0, 1]
"""

#: For tests of training alone.
NO_PROBES = ("probes.collapse=null", "probes.elasticity=null")

#: A probe of few variables, for tests of who carries out runs: it does not depend on what is measured.
FEW_VARIABLES = (*NO_PROBES, "probes.weights={}")


def write(folder: Path, text: str = SMALL) -> Path:
    """Write a protocol file into a folder (made where it is missing) and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    if not path.exists() or path.read_text() != text:  # a process that was started before may read it
        path.write_text(text)
    return path


def run(folder: Path, *settings: str, text: str = SMALL, **options):
    """Run the small protocol, with other settings, into ``folder/results``."""
    return elastic.run(write(folder, text), out=folder / "results", settings=settings, **options)


def contents(folder: Path, pattern: str = "**/*") -> dict[str, str]:
    """Return the SHA-256 of every file of a folder that the pattern finds, by its path."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def journals(study) -> dict[str, str]:
    """Return the SHA-256 of every record of a study."""
    return contents(study.folder, "runs/*/journal/*.npz")
