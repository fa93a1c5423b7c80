"""`training.threads`: the bits of a run are those of its protocol's threads, whatever the process has."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from support import studies

import elastic
from elastic.checkpoint import load_checkpoint
from elastic.errors import ProtocolError
from elastic.progress import Lines
from elastic.runs.cell import run_cell
from elastic.runs.threads import cpu_threads

#: Wide enough for torch to cut its sums into as many parts as it has threads.
WIDE = """\
name: wide
title: Sums over more numbers than one thread takes
data: {name: digits, per_class: 100}
model: {name: mlp, widths: [600]}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 1, batch_size: null}
probes: {collapse: {per_class: 100}, elasticity: {stepped_per_class: 1, observed_per_class: 2}}
"""

pytestmark = pytest.mark.usefixtures("few_metrics", "unsealed")


@pytest.fixture
def cell(tmp_path):
    def of(threads, *others):
        settings = [*others] if threads == "unsaid" else [*others, f"training.threads={threads}"]
        return elastic.load_protocol(studies.write(tmp_path, WIDE), settings=settings).cells[0]

    return of


def run_in(threads, cell, folder):
    """Run a cell in a process that has so many threads; return its records and the threads that it recorded."""
    with cpu_threads(threads):
        run_cell(cell, folder)
        assert torch.get_num_threads() == threads
    _, environment = load_checkpoint(folder, cell.digest)
    with np.load(folder / "journal/records.npz") as result:
        return {name: result[name].tobytes() for name in result.files}, environment["threads"]


def test_the_bits_are_those_of_the_protocol_s_threads(tmp_path, cell):
    """The numbers of `WIDE` differ between one thread and two (the last of these runs)."""
    (one, said), (two, also_said) = (run_in(t, cell("unsaid"), tmp_path / f"1 of {t}") for t in (1, 2))
    assert one == two
    assert said == also_said == "1"
    both, said_two = run_in(1, cell(2), tmp_path / "2 of 1")
    assert (both["collapse/nc1"] != one["collapse/nc1"], said_two) == (True, "2")


def test_what_the_machine_has_is_left_as_it_is(tmp_path, cell):
    assert run_in(2, cell("null", *studies.NO_PROBES), tmp_path / "null")[1] == "2"


def test_the_threads_are_given_back_when_a_run_is_stopped(tmp_path, cell):
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell(2, *studies.NO_PROBES), tmp_path / "run", stop=lambda: True)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, "two", True])
def test_other_numbers_are_refused(tmp_path, threads):
    with pytest.raises(ProtocolError, match=r"training.threads. should be .*; found .*; try threads: 1"):
        elastic.load_protocol(studies.write(tmp_path, WIDE), settings=[f"training.threads={threads}"])


def test_a_study_that_was_begun_before_the_option_keeps_the_machine_s_threads(tmp_path):
    """Its protocol file does not name the option; the digest of the study and of its cells stay."""
    old = studies.run(tmp_path, *studies.NO_PROBES, "training.threads=null", "axes.seed=[0]", "training.epochs=1")
    assert "threads" not in old.facts["protocol"]["training"]
    log = io.StringIO()
    again = studies.run(tmp_path, *studies.NO_PROBES, "axes.seed=[0, 1]", "training.epochs=1", watch=Lines(log))
    assert again.protocol.training.threads is None
    assert again.cells[0] == old.cells[0]
    assert "resumed under" not in log.getvalue()
