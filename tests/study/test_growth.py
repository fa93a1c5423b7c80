"""Epochs of a study may grow: its runs go on, and say what a study says that was run to the new end at once."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
import xarray as xr
from support import studies

import elastic
from elastic.errors import ModelError, StudyError
from elastic.progress import Lines
from elastic.protocol import load_protocol
from elastic.study.creation import make_study
from elastic.study.growth import probed_in_each
from elastic.study.repair import repair
from elastic.study.verification import State

GROWING = """\
name: small
title: A study that grows
data: {name: digits, classes: [3, 5], per_class: 8, test_fraction: 0.5}
model: {name: mlp, widths: [3], norm: batch}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
training: {epochs: 3, batch_size: 4}
probes: {at: {name: every, step: 2}, elasticity: {stepped_per_class: 1, observed_per_class: 2}}
axes:
  seed: [0, 1]
"""


pytestmark = pytest.mark.usefixtures("few_metrics")

LINEAR = "probes.at={name: linear, count: 3}"


class StopsAfter(Lines):
    """Stops a study as Ctrl-C does."""

    def __init__(self, log, epoch):
        super().__init__(log)
        self.last = epoch

    def epoch_done(self, epoch, scores, probed):
        super().epoch_done(epoch, scores, probed)
        if epoch == self.last:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def at_once(few_metrics, tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("at_once"), "training.epochs=5", text=GROWING)


@pytest.mark.parametrize("stopped", [None, 0, 2])
def test_a_study_that_grew_is_the_one_that_was_run_at_once(tmp_path, at_once, stopped):
    """Ended, or stopped in its first run; its end, 3, is no epoch that `every 2` probes."""
    log = io.StringIO()
    if stopped is None:
        begun = studies.run(tmp_path, text=GROWING)
    else:
        with pytest.raises(KeyboardInterrupt):
            studies.run(tmp_path, text=GROWING, watch=StopsAfter(io.StringIO(), stopped))
        begun = elastic.open_study(tmp_path / "results/small")
    before = {cell["digest"] for cell in begun.cells}
    grown = studies.run(tmp_path, "training.epochs=5", text=GROWING, watch=Lines(log))
    assert grown.digest == at_once.digest
    assert studies.journals(grown) == studies.journals(at_once)
    for group in ("training", "collapse", "elasticity"):
        xr.testing.assert_identical(grown.cube[group].to_dataset(), at_once.cube[group].to_dataset())
    if stopped != 0:
        assert f"resumed after epoch {3 if stopped is None else 2}" in log.getvalue()
    assert grown.verify().damaged == []
    assert before.isdisjoint(
        path.name for path in (grown.folder / "runs").iterdir() if (path / "checkpoint.pt").exists()
    )


def test_a_study_grows_that_was_killed_long_after_its_checkpoint(tmp_path, at_once, monkeypatch):
    """Its first run has records of the epochs 0 to 2 and a checkpoint of epoch 0; the second has ended."""
    monkeypatch.setattr("elastic.runs.commit.BETWEEN_CHECKPOINTS", 1e9)

    class Killed(StopsAfter):
        def epoch_done(self, epoch, scores, probed):
            if epoch == self.last and self.label == "seed=0":
                raise SystemError

        def run_started(self, label, epochs, epoch):
            self.label = label

    with pytest.raises(elastic.errors.RunFailed):
        studies.run(tmp_path, text=GROWING, watch=Killed(io.StringIO(), 2))
    grown = studies.run(tmp_path, "training.epochs=5", text=GROWING)
    assert studies.journals(grown) == studies.journals(at_once)


@pytest.mark.parametrize(
    ("begun", "asked", "text"),
    [
        ((), ("training.epochs=2",), "no record of a study is dropped; found training.epochs: 3 → 2"),
        (("optimizer.schedule=cosine",), ("optimizer.schedule=cosine", "training.epochs=5"),
         "constant: the learning rates depend on the end; found cosine and training.epochs: 3 → 5"),
        ((LINEAR, "training.epochs=4"), (LINEAR, "training.epochs=6"), "with which linear probes epoch 3, too"),
        ((), ("training.epochs=5", "optimizer.lr=0.2"), "be of the protocol that began it"),
    ],
)  # fmt: skip
def test_other_ends_are_refused_with_the_reason(tmp_path, begun, asked, text):
    quick = (*studies.NO_PROBES, "axes.seed=[0]")
    study = studies.run(tmp_path, *quick, *begun, text=GROWING)
    before = studies.contents(study.folder)
    with pytest.raises(StudyError) as caught:
        studies.run(tmp_path, *quick, *asked, text=GROWING)
    assert text in str(caught.value)
    assert studies.contents(study.folder) == before


AXES = """
  rate: {path: optimizer.lr, values: [0.1, 0.2]}
  long: {path: training.epochs, values: [2, 1]}
"""


@pytest.mark.parametrize(
    "changes",
    [("axes.rate.values=[0.05, 0.1, 0.2]", "axes.rate.labels=[0.05, 0.1, 0.2]"),
     ("axes.long.values=[3, 2, 1]", "axes.long.labels=[3, 2, 1]"),
     ("exclude=[{rate: 0.1, long: 2}]",)],
)  # fmt: skip
def test_axes_change_at_their_first_value_too(tmp_path, changes):
    """A canonical protocol has the sections of its first run: another first value asks no other question."""
    quick, text = (*studies.NO_PROBES, "axes.seed=[0]"), GROWING.rstrip() + AXES
    before = studies.journals(studies.run(tmp_path, *quick, text=text))
    study = studies.run(tmp_path, *quick, *changes, text=text)
    assert before.items() <= studies.journals(study).items()
    assert all(run.ended for run in study.runs())


class Killed(BaseException):
    """Ends a process in a test."""


@pytest.mark.parametrize("grows", [("training.epochs=5",), ("axes.rate={path: optimizer.lr, values: [0.05, 0.1]}",)])
def test_a_kill_while_a_study_is_extended_is_no_damage(tmp_path, monkeypatch, grows):
    """Killed before and after each change of a name: an old file, a new one, or one that is told not to be written."""
    quick, text = (*studies.NO_PROBES, "axes.seed=[0]", "training.epochs=2"), GROWING
    begun = studies.run(tmp_path, *quick, "axes.rate={path: optimizer.lr, values: [0.1]}", text=text)
    settings = [*quick, "axes.rate={path: optimizer.lr, values: [0.1]}", *grows]
    asked = elastic.load_protocol(tmp_path / "small.yaml", settings=settings)
    folder, message = tmp_path / "killed/small", set()
    for instant in range(100):
        shutil.copytree(begun.folder, folder)
        left = [instant]

        def replace(*paths, left=left, replace=os.replace):
            left[0] -= 1
            if left[0] in (-1, -2):
                raise Killed
            replace(*paths)
            if left[0] == 0:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", replace)
            try:
                make_study(folder, asked)
                break
            except Killed:
                pass
        verified = elastic.open_study(folder).verify()
        assert not verified.damaged, (instant, verified.lines())
        message |= {
            one.found for one in verified.findings if one.path == "protocol.yaml" and one.state is State.LEFT_OVER
        }
        if not (folder / "protocol.yaml").exists():
            elastic.run(tmp_path / "small.yaml", out=folder.parent, settings=settings)
            assert not elastic.open_study(folder).verify().findings
        shutil.rmtree(folder)
    else:
        raise AssertionError("it never ends")
    assert len(message) == 1
    assert "the process that extended the study was killed" in message.pop()


def test_a_repair_writes_the_protocol_that_was_not_written_yet(tmp_path, monkeypatch):
    quick = (*studies.NO_PROBES, "axes.seed=[0]", "training.epochs=1")
    study = studies.run(tmp_path, *quick, text=GROWING)
    (study.folder / "protocol.yaml").replace(study.folder / ".protocol.yaml.former.partial")
    assert not study.verify().damaged
    repaired = repair(study.folder)
    assert "protocol.yaml: written anew, as study.json holds it" in repaired.lines()
    assert not repaired.left.findings


def test_a_finished_study_is_told_of_a_device_that_is_none(finished_study):
    folder = finished_study.folder.parent.parent
    with pytest.raises(ModelError, match=r"`training.device` should be a device of this machine; found 'q'"):
        studies.run(folder, device="q")
    assert studies.run(folder, device="cuda:1").digest == finished_study.digest  # no run needs it


def test_what_killed_processes_left_unfinished_is_removed_where_nobody_else_writes(tmp_path):
    """Only the owner of the study's lock writes its description; a page may have a writer that is alive."""
    names = ("claims_history.json", "study.json", "protocol.yaml", "report.html")
    for name in names:
        (tmp_path / f".{name}.99-ab.partial").touch()
    make_study(tmp_path, elastic.load_protocol(studies.write(tmp_path)))
    assert [path.name for path in tmp_path.glob(".*.partial")] == [".report.html.99-ab.partial"]
    assert all((tmp_path / name).exists() for name in names[:3])


def test_the_probed_epochs_of_all_runs_are_known_if_they_are_the_same():
    quickstart = Path(elastic.__file__).parents[1] / "protocols" / "quickstart.yaml"
    alike, mixed = (
        load_protocol(quickstart, settings=["claims=[]", *more]).cells
        for more in ([], ["axes.length={path: training.epochs, values: [5, 30]}"])
    )
    assert probed_in_each(alike) == [0, 1, 2, 3, 4, 5, 8, 11, 15, 21, 30]
    assert probed_in_each(mixed) == probed_in_each([]) == []
