"""`elastic plan`: what a study will take, from measured epochs; it runs nothing of the study and writes nothing."""

from __future__ import annotations

import io
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from support import studies

import elastic
from elastic.cli import cli
from elastic.errors import DataError, StudyError
from elastic.progress import Lines
from elastic.runs import measuring
from elastic.study import estimation, free_space, planning

TINY = """\
name: small
title: Plans
data: {name: digits, classes: [3, 5], per_class: 8, test_fraction: 0.5}
model: {name: mlp, widths: [3]}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 6, batch_size: 4}
probes: {at: {name: every, step: 2}, collapse: {per_class: 8}, elasticity: null}
axes:
  seed: [0, 1]
  rate: {path: optimizer.lr, values: [0.1, 0.2]}
  wide: {path: model.widths, values: [[2], [3], [4]], labels: [2, 3, 4]}
exclude: [{wide: 4, rate: 0.2}]
"""

COST = measuring.Cost(
    setup_seconds=10.0, epoch_seconds=1.0, probe_seconds=100.0, record_bytes=7, probe_bytes=11, checkpoint_bytes=1000,
    cube_bytes=13000, cube_folders=5, memory_bytes=5000,
)  # fmt: skip


@pytest.fixture
def costs(monkeypatch):
    """Let every run cost so much, by its width; return the widths that were measured."""
    measured = []

    def measure(cell, device, allow):
        (width,) = cell.settings.model.options["widths"]
        measured.append(width)
        more = {2: -1000, 3: 0, 4: -2000}[width]
        cube, memory = COST.cube_bytes + more, COST.memory_bytes + more
        return replace(COST, epoch_seconds=float(width), cube_bytes=cube, memory_bytes=memory)

    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(planning, "workers_allowed", lambda cells, device: 2)
    monkeypatch.setattr(planning, "cores", lambda: 5)
    monkeypatch.setattr(estimation, "folder_bytes", lambda place: 1024)
    return measured


def test_time_memory_and_disk_follow_from_the_measured_epochs(tmp_path, costs):
    """Ten runs of 6 epochs and 4 probes each (0, 2, 4, 6): by hand."""
    planned = elastic.plan(studies.write(tmp_path, TINY), out=tmp_path / "results")
    assert costs == [2, 4, 3]  # a learning rate costs nothing; the first kind, then the last, then the others
    assert [(kind.runs, kind.coordinates["wide"]) for kind in planned.kinds] == [(4, 2), (4, 3), (2, 4)]
    assert (planned.runs, planned.ended, planned.excluded, planned.epochs, planned.recorded) == (10, 0, 2, 60, 0)
    one = {width: 10 + 6 * width + 4 * 100 for width in (2, 3, 4)}
    assert planned.seconds == 4 * one[2] + 4 * one[3] + 2 * one[4]
    assert planned.disk_bytes == 10 * (2 * (7 * 7 + 4 * 11) + 1000 + estimation.RUN_BYTES) + 13000 + 5 * 1024
    assert (planned.workers, planned.threads, planned.memory_bytes, planned.cores, planned.idle_cores) == (
        2,
        1,
        10000,
        5,
        3,
    )
    assert planned.seconds / 2 < planned.parallel_seconds < planned.seconds
    text = "\n".join(planned.lines())
    assert "10 runs, without 2 that are excluded: rate (0.1, 0.2) × wide (2, 3, 4) × seed (0, 1)" in text
    assert "measured: 3 of 3 kinds of runs" in text
    assert "2 workers of 1 thread on 5 cores: 3 cores would stay idle" in text
    assert json.loads(json.dumps(planned.to_json()))["kinds"][0]["cost"]["epoch_seconds"] == 2.0
    assert not (tmp_path / "results").exists()


def test_what_the_budget_leaves_out_is_taken_for_the_mean(tmp_path, costs):
    planned = elastic.plan(studies.write(tmp_path, TINY), out=tmp_path, budget=-1.0)
    assert costs == [2]
    assert [kind.cost is None for kind in planned.kinds] == [False, True, True]
    assert planned.seconds == 10 * (10 + 6 * 2 + 4 * 100)
    assert "1 of 3 kinds of runs" in "\n".join(planned.lines())


def test_what_was_not_measured_costs_the_mean_of_what_was(monkeypatch):
    monkeypatch.setattr(estimation, "probed", lambda settings, epochs: range(0, epochs + 1, 2))
    cell = SimpleNamespace(settings=SimpleNamespace(training=SimpleNamespace(epochs=6)))
    runs = [(cell, SimpleNamespace(epoch=None)), (cell, SimpleNamespace(epoch=5))]
    known = [replace(COST, epoch_seconds=2.0), replace(COST, epoch_seconds=4.0, checkpoint_bytes=3000)]
    assert list(estimation.seconds_of(runs, None, known)) == [10 + 6 * 3 + 4 * 100, 10 + 3 + 100]
    assert list(estimation.seconds_of(runs, known[0], known)) == [10 + 6 * 2 + 4 * 100, 10 + 2 + 100]
    one = 2 * (7 * 7 + 4 * 11) + estimation.RUN_BYTES
    assert estimation.bytes_of(runs, None, known) == 2 * (one + 2000)


@pytest.mark.parametrize(
    ("path", "values", "kinds"),
    [
        ("training.batch_size", [4, 8], 2),
        ("training.epochs", [6, 8], 1),
        ("training.init_scale", [1.0, 2.0], 1),
        ("training.penalties", [{"weights": 0.1}, {"weights": 0.2}, {"biases": 0.2}], 2),
        ("probes.at.step", [2, 3], 1),
        ("probes.collapse.per_class", [8, 4], 2),
        ("data.label_noise", [0.0, 0.5], 1),
        ("data.seed", [0, 1], 1),
        ("data.per_class", [8, 4], 2),
        ("optimizer.lr", [0.1, 0.2], 1),
        ("optimizer", [{"name": "sgd", "lr": 0.1}, {"name": "adam"}], 2),
        ("loss", [{"name": "cross_entropy"}, {"name": "mse"}, {"name": "mse", "target": 2.0}], 2),
    ],
)
def test_runs_are_of_one_kind_unless_what_differs_takes_time(tmp_path, path, values, kinds):
    axis = {"path": path, "values": values, "labels": [f"l{i}" for i in range(len(values))]}
    settings = [f"axes={json.dumps({'seed': [0, 1], 'varied': axis})}", "exclude=[]"]
    cells = elastic.load_protocol(studies.write(tmp_path, TINY), settings=settings).cells
    assert len(cells) == 2 * len(values)
    groups = estimation.kinds_of([(cell, None) for cell in cells])
    assert [len(groups), sum(map(len, groups))] == [kinds, len(cells)]


class StopsAtEpoch2(Lines):
    def epoch_done(self, epoch, scores, probed):
        super().epoch_done(epoch, scores, probed)
        if epoch == 2:
            raise KeyboardInterrupt


def test_what_is_done_is_left_out_and_the_study_stays_as_it_is(tmp_path, costs):
    """One run stopped after epoch 2: 4 epochs and the probes of epochs 4 and 6 are left."""
    settings = ("axes.seed=[0]", "exclude=[]", "axes.rate.values=[0.1]", "axes.rate.labels=[0.1]")
    with pytest.raises(KeyboardInterrupt):
        studies.run(tmp_path, *settings, text=TINY, watch=StopsAtEpoch2(io.StringIO()))
    folder = tmp_path / "results/small"
    before = studies.contents(folder)
    planned = elastic.plan(tmp_path / "small.yaml", out=tmp_path / "results", settings=settings)
    assert (planned.runs, planned.ended, planned.recorded) == (3, 0, 2)
    assert planned.seconds == (10 + 4 * 2 + 2 * 100) + (10 + 6 * 3 + 400) + (10 + 6 * 4 + 400)
    assert studies.contents(folder) == before
    with pytest.raises(StudyError, match="be of the protocol that began it"):
        elastic.plan(tmp_path / "small.yaml", out=tmp_path / "results", settings=(*settings, "training.batch_size=2"))


def test_a_run_is_measured_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "ENOUGH", 0.0)
    monkeypatch.chdir(tmp_path)
    path = studies.write(tmp_path, TINY)
    planned = elastic.plan(path, settings=["axes={}", "exclude=[]"])
    (kind,) = planned.kinds
    assert kind.cost.epoch_seconds > 0
    assert kind.cost.probe_seconds > 0
    assert planned.parallel_seconds == planned.seconds
    assert list(tmp_path.iterdir()) == [path]
    result = CliRunner().invoke(cli, ["plan", str(path), "--set", "axes={}", "--set", "exclude=[]", "--json"])
    assert json.loads(result.stdout)["runs"] == 1
    study = studies.run(tmp_path, "axes={}", "exclude=[]", text=TINY)
    size = sum(path.stat().st_size for path in study.folder.glob("runs/*/checkpoint.pt"))
    assert kind.cost.checkpoint_bytes == size
    asked = {"settings": ["axes={}", "exclude=[]"], "out": tmp_path / "results"}
    assert elastic.plan(path, **asked).lines()[-1] == "nothing is left to run"
    # With a later end (`elastic.study.growth`) the rest is left.
    asked["settings"] += ["training.epochs=8"]
    assert elastic.plan(path, **asked).recorded == 6
    assert elastic.plan(path, **asked).ended == 0


def test_mistakes_are_those_of_a_run(tmp_path):
    path = studies.write(tmp_path, TINY)
    with pytest.raises(DataError):
        elastic.plan(path, settings=["data={name: cifar10, folder: nowhere}", "axes={}", "exclude=[]"])


def test_the_disk_that_a_study_takes_is_the_one_that_was_planned(tmp_path, monkeypatch):
    """As `du` counts it, within a fifth."""
    monkeypatch.setattr(measuring, "ENOUGH", 0.0)
    settings = ("axes.wide.values=[[3], [4]]", "axes.wide.labels=[3, 4]", "exclude=[]", "axes.seed=[0]")
    planned = elastic.plan(studies.write(tmp_path, TINY), out=tmp_path / "results", settings=settings)
    study = studies.run(tmp_path, *settings, text=TINY)
    taken = 512 * sum(path.stat().st_blocks for path in study.folder.rglob("*"))
    assert planned.disk_bytes == pytest.approx(taken, rel=0.2)


@pytest.mark.parametrize("disk", [None, "/dev/shm"])
def test_a_folder_takes_what_its_file_system_says(tmp_path, disk):
    """A block of ext4; nothing in memory, where Linux distributions have their /tmp."""
    if disk and not os.path.ismount(disk):
        pytest.skip(f"no {disk} here")
    with tempfile.TemporaryDirectory(dir=disk or tmp_path) as folder:
        assert free_space.folder_bytes(Path(folder) / "not" / "there") == 512 * Path(folder).stat().st_blocks


def test_a_disk_with_too_little_space_is_noted(tmp_path, costs, monkeypatch):
    monkeypatch.setattr(free_space.shutil, "disk_usage", lambda place: SimpleNamespace(free=10 * 1024))
    planned = elastic.plan(studies.write(tmp_path, TINY), out=tmp_path / "results")
    assert any(note.startswith(f"only 10 KiB are free in {tmp_path}: ") for note in planned.notes)
