"""A run that died between a record and its checkpoint, and goes on where other bits are computed."""

from __future__ import annotations

import io
import json

import pytest
import torch
from support import studies

import elastic
from elastic.cube import Journal
from elastic.errors import Damaged, RunFailed
from elastic.progress import Lines
from elastic.runs import cell as cell_module
from elastic.runs import commit

LAST = 6

#: One run of the two: nothing here is about the other.
FIRST = "axes.seed=[0]"


class Accident(BaseException):
    """The end of the process."""


pytestmark = pytest.mark.usefixtures("few_metrics", "unsealed")


@pytest.fixture(scope="module")
def finished_study(study_of_few):
    return study_of_few


@pytest.fixture
def machine(monkeypatch):
    """Let runs find themselves on a machine of so many threads."""
    real = cell_module.environment

    def change(threads):
        monkeypatch.setattr(cell_module, "environment", lambda device: {**real(device), "threads": str(threads)})

    return change


def die_before_checkpoint(folder, monkeypatch, epoch):
    """Run the study; its first run dies when the record of an epoch is there and its checkpoint is not."""
    save = commit.save_checkpoint

    def dying(place, digest, state, env):
        if state["epoch"] == epoch:
            raise Accident
        save(place, digest, state, env)

    with monkeypatch.context() as patched:
        patched.setattr(commit, "save_checkpoint", dying)
        patched.setattr(commit, "BETWEEN_CHECKPOINTS", 0.0)
        with pytest.raises(Accident):
            studies.run(folder, FIRST)
    study = elastic.open_study(folder / "results/small")
    return study.run_folder(study.cells[0]["digest"])


def alter(run, epoch):
    """Give a record other numbers, as another machine computes them; return its bytes."""
    journal = Journal(run)
    record = journal.read(epoch)
    record["training/loss"][0] += 0.25
    journal.path(epoch).unlink()
    journal.append(epoch, record)
    return journal.path(epoch).read_bytes()


def run_on(folder):
    log = io.StringIO()
    study = studies.run(folder, FIRST, watch=Lines(log))
    return study, log.getvalue()


def assert_as_uninterrupted(study, finished_study):
    """Hold the records of the run against those of the study of two that was never stopped."""
    (cell,) = study.cells
    of_run = {path: one for path, one in studies.journals(finished_study).items() if cell["digest"] in path}
    assert of_run
    assert studies.journals(study) == of_run


@pytest.mark.parametrize("epoch", [0, 2, LAST])
def test_an_unpaired_record_of_another_machine_is_set_aside_with_a_note(
    tmp_path, finished_study, monkeypatch, machine, epoch
):
    machine(96)
    run = die_before_checkpoint(tmp_path, monkeypatch, epoch)
    other = alter(run, epoch)
    machine(1)
    study, log = run_on(tmp_path)
    aside = run / "journal/set-aside/001"
    assert f"epoch {epoch} recorded under threads 96 → 1 without a checkpoint: set aside in {aside}" in log
    assert [path.name for path in aside.iterdir()] == [f"{epoch:06d}.npz"]
    assert next(aside.iterdir()).read_bytes() == other
    assert [one.state for one in study.runs()] == ["done"]
    assert_as_uninterrupted(study, finished_study)


def test_on_the_same_machine_another_replay_is_still_reported(tmp_path, monkeypatch, machine):
    machine(96)
    run = die_before_checkpoint(tmp_path, monkeypatch, 2)
    other = alter(run, 2)
    for _ in range(2):
        with pytest.raises(RunFailed, match="the record of epoch 2 should be the same when replayed"):
            studies.run(tmp_path, FIRST)
    assert (run / "journal/000002.npz").read_bytes() == other
    assert not (run / "journal/set-aside").exists()


def test_the_machine_that_recorded_is_told_though_the_checkpoint_is_of_this_one(
    tmp_path, finished_study, monkeypatch, machine
):
    machine(1)
    die_before_checkpoint(tmp_path, monkeypatch, 2)
    machine(96)  # sets the record of epoch 2 aside, and dies before its first checkpoint
    run = die_before_checkpoint(tmp_path, monkeypatch, 2)
    alter(run, 2)
    assert torch.load(run / "checkpoint.pt", weights_only=True)["environment"]["threads"] == "1"
    machine(1)
    study, log = run_on(tmp_path)
    assert "epoch 2 recorded under threads 96 → 1" in log
    assert sorted(path.name for path in (run / "journal/set-aside").iterdir()) == ["001", "002"]
    assert_as_uninterrupted(study, finished_study)


def test_a_run_of_an_earlier_release_is_told_from_its_checkpoint(tmp_path, finished_study, monkeypatch, machine):
    machine(96)
    run = die_before_checkpoint(tmp_path, monkeypatch, 3)
    alter(run, 3)
    (run / "status.json").unlink()  # runs under way had none
    machine(1)
    study, log = run_on(tmp_path)
    assert "epoch 3 recorded under threads 96 → 1" in log
    assert_as_uninterrupted(study, finished_study)


def test_a_run_that_is_under_way_says_on_what(tmp_path, monkeypatch, machine):
    machine(7)
    run = die_before_checkpoint(tmp_path, monkeypatch, 2)
    result = json.loads((run / "status.json").read_text())
    assert (result["status"], result["epochs"], result["cell"]) == ("under way", LAST, run.name)
    assert result["environment"]["threads"] == "7"


@pytest.mark.parametrize("fault", ["exchanged", "damaged"])
def test_a_run_does_not_go_on_from_a_journal_with_a_wrong_record(tmp_path, monkeypatch, fault):
    run = die_before_checkpoint(tmp_path, monkeypatch, 5)
    one, other = (run / f"journal/00000{epoch}.npz" for epoch in (2, 3))
    data = other.read_bytes()
    one.write_bytes(data if fault == "exchanged" else one.read_bytes()[:-3] + b"000")
    before = studies.contents(run, "journal/*")
    with pytest.raises(Damaged, match=r"000002\.npz: the record (should be that of run|of epoch 2 should be whole)"):
        studies.run(tmp_path, FIRST)
    assert studies.contents(run, "journal/*") == before
    with pytest.raises(Damaged, match=r"000002\.npz"):
        _ = elastic.open_study(tmp_path / "results/small").cube
