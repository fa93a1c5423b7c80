"""Going on with a study: after accidents, beside other processes, with more seeds, on another machine."""

from __future__ import annotations

import contextlib
import io
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import xarray as xr
from support import processes, studies

import elastic
from elastic.checkpoint import FILE, save_checkpoint
from elastic.cube import Journal, verify_manifest
from elastic.errors import Damaged, RunBusy, RunFailed, StudyError
from elastic.probes import metric_probe
from elastic.progress import Lines, Watcher
from elastic.protocol import load_protocol
from elastic.runs import cell as cell_module
from elastic.runs import commit

LAST = 6

pytestmark = pytest.mark.usefixtures("few_metrics")


class Accident(BaseException):
    """The end of the process."""


class StopAfter(Watcher):
    """Interrupts the study as soon as an epoch is committed."""

    def __init__(self, epoch):
        self.epoch = epoch

    def epoch_done(self, epoch, scores, probed):
        if epoch == self.epoch:
            raise KeyboardInterrupt


#: One run of the two, for what happens within a run.
FIRST = "axes.seed=[0]"


def interrupted(folder, epoch, *settings):
    with pytest.raises(KeyboardInterrupt):
        studies.run(folder, *settings, watch=StopAfter(epoch))
    return elastic.open_study(folder / "results/small")


@pytest.fixture(scope="module")
def finished_study(study_of_few):
    return study_of_few


@pytest.fixture(scope="module")
def begun_folder(few_metrics, tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    interrupted(folder, 3)
    return folder


@pytest.fixture
def begun_first(begun_folder, tmp_path):
    """Return a study that was stopped after epoch 3 of its first run."""
    shutil.copytree(begun_folder, tmp_path, dirs_exist_ok=True)
    return elastic.open_study(tmp_path / "results/small")


@pytest.fixture
def begun(begun_first, finished_study):
    """Return a study of which the second run has ended, and the first was stopped after epoch 3."""
    ended = finished_study.cells[1]["digest"]
    shutil.copytree(finished_study.run_folder(ended), begun_first.run_folder(ended))
    return begun_first


@pytest.fixture
def finished(finished_study, tmp_path):
    """Return a copy of the finished study."""
    shutil.copytree(finished_study.folder, tmp_path / "results/small")
    return elastic.open_study(tmp_path / "results/small")


def plain_cube(study):
    """Open what is sealed with plain xarray."""
    return xr.open_datatree(study.folder / "cube.zarr", engine="zarr", chunks=None, decode_timedelta=False)


def first_run(study):
    return study.run_folder(study.cells[0]["digest"])


def weights(study):
    return [torch.load(study.run_folder(c["digest"]) / FILE, weights_only=True)["state"]["model"] for c in study.cells]


def assert_unbroken(study, reference):
    """Hold records and trained weights against those of the study that was never stopped, which may have more runs."""
    runs, cells = {f"runs/{cell['digest']}" for cell in study.cells}, [cell["digest"] for cell in reference.cells]
    known = {path: one for path, one in studies.journals(reference).items() if path.startswith(tuple(runs))}
    assert studies.journals(study) == known
    places = [cells.index(cell["digest"]) for cell in study.cells]
    for result, expected in zip(weights(study), [weights(reference)[place] for place in places], strict=True):
        assert result.keys() == expected.keys()
        assert all(torch.equal(result[name], expected[name]) for name in result)


def failing(folder, kind=RunFailed, code=3):
    """Run the study, which does not end, and return what the user is told."""
    with pytest.raises(kind) as caught:
        studies.run(folder)
    assert caught.value.exit_code == code
    return str(caught.value)


def damaged(folder):
    """Run the study, of which a file is damaged, and return what the user is told."""
    return failing(folder, Damaged, 4)


# Accidents


@pytest.mark.parametrize("epoch", [0, 1, 5, LAST])
def test_a_study_stopped_after_any_epoch_goes_on_to_the_same_bits(tmp_path, finished_study, unsealed, epoch):
    interrupted(tmp_path, epoch, FIRST)
    assert_unbroken(studies.run(tmp_path, FIRST), finished_study)


def die_at(monkeypatch, what, epoch):
    """Let a step of the commit of an epoch fail, once."""
    module = commit if hasattr(commit, what) else cell_module
    step = getattr(module, what)
    left = [epoch]

    def dying(*arguments):
        state = next((a for a in arguments if isinstance(a, dict) and "epoch" in a), {})
        if left and state.get("epoch", epoch) == left[0]:
            left.clear()
            raise Accident
        return step(*arguments)

    monkeypatch.setattr(module, what, dying)
    monkeypatch.setattr(commit, "BETWEEN_CHECKPOINTS", 0.0)


@pytest.mark.parametrize("epoch", [0, 2, LAST])
def test_an_epoch_recorded_without_its_checkpoint_is_trained_once_more(
    tmp_path, finished_study, unsealed, monkeypatch, epoch
):
    die_at(monkeypatch, "save_checkpoint", epoch)
    with pytest.raises(Accident):
        studies.run(tmp_path, FIRST)
    assert_unbroken(studies.run(tmp_path, FIRST), finished_study)


class DiesAfter(StopAfter):
    """Ends the process at once, as soon as an epoch is recorded."""

    def epoch_done(self, epoch, scores, probed):
        if epoch == self.epoch:
            raise Accident


@pytest.mark.parametrize("epoch", [1, 4])
def test_epochs_since_the_last_checkpoint_are_trained_once_more(tmp_path, finished_study, unsealed, monkeypatch, epoch):
    """A run of short epochs has no checkpoint of each; where it was stopped softly it has."""
    monkeypatch.setattr(commit, "BETWEEN_CHECKPOINTS", 1e9)
    with pytest.raises(Accident):
        studies.run(tmp_path, FIRST, watch=DiesAfter(epoch))
    study = elastic.open_study(tmp_path / "results/small")
    assert study.runs()[0].epoch == epoch
    assert torch.load(first_run(study) / FILE, weights_only=True)["state"]["epoch"] == 0
    interrupted(tmp_path, epoch + 1, FIRST)
    assert torch.load(first_run(study) / FILE, weights_only=True)["state"]["epoch"] == epoch + 1
    assert_unbroken(studies.run(tmp_path, FIRST), finished_study)


EXTERNAL = "model={name: external, target: 'support.deadly_models:Deadly', layers: [enter]}"


@pytest.mark.parametrize(
    ("device", "setting"), [("cuda", "training.epochs=1"), ("cpu", "training.deterministic=false"), ("cpu", EXTERNAL)]
)
def test_every_epoch_has_its_checkpoint_where_a_replay_may_differ(tmp_path, device, setting):
    between, path = commit.between_checkpoints, studies.write(tmp_path)
    plain, asked = (load_protocol(path, settings=s, allow=["support.deadly_models"]) for s in ([], [setting]))
    assert between(plain.cells[0].settings, torch.device("cpu")) == commit.BETWEEN_CHECKPOINTS > 0
    assert between(asked.cells[0].settings, torch.device(device)) == 0.0


def test_a_run_that_died_before_its_report_is_under_way_and_gets_one(tmp_path, finished_study, monkeypatch):
    die_at(monkeypatch, "_report", None)
    with pytest.raises(Accident):
        studies.run(tmp_path)
    study = elastic.open_study(tmp_path / "results/small")
    assert [(run.state, run.epoch) for run in study.runs()] == [("interrupted", LAST), ("waiting", None)]
    study = studies.run(tmp_path)
    assert [run.state for run in study.runs()] == ["done", "done"]
    assert studies.contents(study.folder, "cube.zarr/**/*") == studies.contents(finished_study.folder, "cube.zarr/**/*")
    assert study.cube.attrs["data_digest"] == finished_study.cube.attrs["data_digest"]


def truncated(data):
    return data[: len(data) // 2]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_a_damaged_checkpoint_is_named_and_nothing_else_is_lost(begun_first, finished_study, tmp_path, unsealed):
    path = first_run(begun_first) / FILE
    whole, before = path.read_bytes(), studies.journals(begun_first)
    for damage in (truncated(whole), flipped(whole), b"", b"not a checkpoint"):
        path.write_bytes(damage)
        text = damaged(tmp_path)
        assert str(path) in text
        assert "whole checkpoint" in text
        assert path.read_bytes() == damage
        assert studies.journals(begun_first).items() >= before.items()
        assert [run.state for run in begun_first.runs()] == ["interrupted", "done"]
    shutil.rmtree(first_run(begun_first))  # as the message proposes
    assert_unbroken(studies.run(tmp_path), finished_study)


def test_the_checkpoint_of_another_run_is_not_taken(begun, finished_study, tmp_path, unsealed):
    other = finished_study.run_folder(finished_study.cells[1]["digest"])
    shutil.copy(other / FILE, first_run(begun))
    text = damaged(tmp_path)
    assert f"should belong to the run {begun.cells[0]['digest']}; found one of the run {other.name}" in text


def test_a_checkpoint_of_other_weights_is_not_taken(begun, tmp_path, unsealed):
    state = torch.load(first_run(begun) / FILE, weights_only=True)["state"]
    del state["model"]["stages.logits.bias"]
    save_checkpoint(first_run(begun), begun.cells[0]["digest"], state, {})
    text = failing(tmp_path)
    assert "should be of this model and optimizer" in text
    assert "try the elastic and torch that wrote it (study.json), or deleting" in text


def test_a_checkpoint_cannot_bring_code_along(begun, tmp_path, unsealed):
    save_checkpoint(first_run(begun), begun.cells[0]["digest"], {"epoch": Path("code")}, {})
    assert "should be a checkpoint of elastic" in damaged(tmp_path)


def test_a_damaged_record_is_named_before_it_gets_into_a_cube(finished):
    path = first_run(finished) / "journal/records.npz"
    data = path.read_bytes()
    number = data.index(b"\x93NUMPY") + 128  # the first one of the first array: its header takes 128 bytes
    path.write_bytes(data[:number] + bytes([data[number] ^ 1]) + data[number + 1 :])
    (finished.folder / "manifest.sha256").unlink()
    with pytest.raises(StudyError, match=r"records\.npz: `records\.npz` should be as it was written"):
        _ = finished.cube
    with pytest.raises(StudyError, match=r"records\.npz"):
        studies.run(finished.folder.parents[1])
    assert not (finished.folder / "manifest.sha256").exists()


def test_a_lost_record_stops_the_run_with_its_number(begun, tmp_path, unsealed):
    (first_run(begun) / "journal/000001.npz").unlink()
    assert "should hold epochs 0 … 3; found no record of [1]" in damaged(tmp_path)


def test_a_record_that_does_not_come_out_again_is_reported(begun_first, tmp_path, unsealed):
    journal = Journal(first_run(begun_first))
    record = journal.read(3)
    record["training/loss"][0] += 0.25
    journal.path(3).unlink()
    journal.append(3, record)
    tampered = journal.path(3).read_bytes()
    (first_run(begun_first) / FILE).unlink()  # so that all is trained once more
    text = failing(tmp_path)
    assert "the record of epoch 3 should be the same when replayed" in text
    assert "delet" not in text
    assert "the record is kept" in text
    assert "training/loss other by up to 0.25" in text
    assert journal.path(3).read_bytes() == tampered
    assert [run.state for run in begun_first.runs()] == ["interrupted", "done"]


# Limits of the machine


@contextlib.contextmanager
def files_no_larger_than(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_files_may_not_grow_the_run_says_so_and_goes_on_later(begun, finished_study, tmp_path, unsealed):
    before = studies.contents(begun.folder)
    with files_no_larger_than(4096):
        text = failing(tmp_path)
    assert "`checkpoint.pt` should be writable; found File too large; try a higher limit" in text
    after = studies.contents(begun.folder)
    assert {path: after[path] for path in before if "lock" not in path} == {
        path: digest for path, digest in before.items() if "lock" not in path
    }
    assert_unbroken(studies.run(tmp_path), finished_study)


def test_a_cube_that_cannot_be_written_leaves_the_runs_and_is_sealed_later(finished):
    (finished.folder / "manifest.sha256").unlink()
    folder, expected = finished.folder.parents[1], studies.contents(finished.folder, "cube.zarr/**/*")
    with files_no_larger_than(20_000), pytest.raises(StudyError, match=r"cube\.zarr.*should be writable"):
        studies.run(folder)
    assert [run.state for run in finished.runs()] == ["done", "done"]
    assert list(finished.folder.glob("cube.zarr.partial*")) == []
    assert verify_manifest(studies.run(folder).folder) == []
    assert studies.contents(finished.folder, "cube.zarr/**/*") == expected


OWNER = """
import sys
from pathlib import Path
from elastic.cube import run_lock
with run_lock(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


class EndsAnOwner(Lines):
    """Ends the process that owns a run as soon as it is waited for: then the run is taken up."""

    def __init__(self, owner, log):
        super().__init__(log)
        self.owner = owner

    def note(self, message):
        super().note(message)
        if message.startswith("waiting for runs of other processes"):
            self.owner.stdin.close()


def test_a_run_of_another_process_is_left_to_it(begun_first, finished_study, tmp_path, unsealed):
    with processes.started(
        [sys.executable, "-c", OWNER, first_run(begun_first)],
        cwd=Path(elastic.__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdout.readline() == "owned\n"
        before = studies.journals(begun_first)
        with pytest.raises(RunBusy, match=f"process {owner.pid} "):
            studies.run(tmp_path, restart=True)
        assert studies.journals(begun_first) == before
        log = io.StringIO()
        study = studies.run(tmp_path, watch=EndsAnOwner(owner, log))
    assert f"waiting for runs of other processes: seed=0 (process {owner.pid} " in log.getvalue()
    assert "seed=0: resumed after epoch 3" in log.getvalue()
    assert_unbroken(study, finished_study)


def test_a_study_runs_outside_of_the_main_thread(tmp_path, unsealed):
    done = []
    thread = threading.Thread(
        target=lambda: done.append(studies.run(tmp_path, *studies.NO_PROBES, "training.epochs=1"))
    )
    thread.start()
    thread.join(processes.LIMIT)
    assert [run.state for run in done[0].runs()] == ["done", "done"]


def test_other_threads_than_those_of_the_checkpoint_are_noted(begun, tmp_path, unsealed):
    state, log = torch.load(first_run(begun) / FILE, weights_only=True), io.StringIO()
    environment = state["environment"] | {"torch": "1.0", "threads": "96"}
    save_checkpoint(first_run(begun), begun.cells[0]["digest"], state["state"], environment)
    studies.run(tmp_path, watch=Lines(log))
    assert f"resumed under threads 96 → 1, torch 1.0 → {torch.__version__}: the same bits are not promised" in (
        log.getvalue()
    )
    assert "resumed after epoch 3" in log.getvalue()


def test_the_same_machine_is_not_noted(begun, tmp_path, unsealed):
    log = io.StringIO()
    studies.run(tmp_path, watch=Lines(log))
    assert "resumed after epoch 3" in log.getvalue()
    assert "resumed under" not in log.getvalue()


# What is asked of a folder that holds a study


def test_a_study_of_another_protocol_is_refused_and_untouched(finished):
    before = studies.contents(finished.folder)
    with pytest.raises(StudyError) as caught:
        studies.run(finished.folder.parents[1], "optimizer.lr=0.2", "training.epochs=9")
    text = str(caught.value)
    assert "optimizer.lr: 0.1 → 0.2; training.epochs: 6 → 9" in text
    assert "--out" in text
    assert "--restart" not in text
    assert "--set name=small-2" in text
    assert studies.contents(finished.folder) == before


def times(study):
    return {path: path.stat().st_mtime_ns for path in study.folder.rglob("*.npz")}


def test_more_seeds_keep_the_runs_that_are_there_and_seal_again(finished):
    before, kept, old = studies.journals(finished), times(finished), finished.cube["collapse"].dataset["nc1"].load()
    study = studies.run(finished.folder.parents[1], "axes.seed=[0, 1, 5]")
    assert studies.journals(study).items() > before.items()
    assert times(study).items() > kept.items()
    cube = elastic.open_study(study.folder).cube
    assert cube["training"].dataset["seed"].values.tolist() == [0, 1, 5]
    assert cube["collapse"].dataset["nc1"].sel(seed=[0, 1]).equals(old)
    assert cube["collapse"].dataset["nc1"].sel(seed=5).notnull().any()
    assert verify_manifest(study.folder) == []


def test_the_cube_of_a_study_that_asks_for_more_shows_what_is_missing(finished):
    folder = finished.folder.parents[1]
    more = studies.SMALL.replace("[0, 1]", "[0, 1, 5]")
    with pytest.raises(KeyboardInterrupt):
        studies.run(folder, text=more, watch=StopAfter(0))
    status = elastic.open_study(finished.folder).cube["training"].dataset["status"]
    assert status.sel(seed=[0, 1]).values.tolist() == [[1] * (LAST + 1)] * 2
    assert status.sel(seed=5).values.tolist() == [1] + [0] * LAST


def test_a_finished_study_that_is_run_again_changes_no_file(finished, monkeypatch):
    monkeypatch.setattr("elastic.study.description.provenance", lambda: {"elastic_version": "another"})
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in finished.folder.rglob("*")}
    studies.run(finished.folder.parents[1])
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in finished.folder.rglob("*")} == before
    assert verify_manifest(finished.folder) == []


def test_another_title_seals_again_without_a_run(finished):
    text = studies.SMALL.replace("A small study", "A study of another title")
    kept = times(finished)
    study = studies.run(finished.folder.parents[1], text=text)
    assert times(study) == kept
    assert study.cube.attrs["title"] == "A study of another title"
    assert verify_manifest(study.folder) == []


def test_restart_drops_the_runs_and_nothing_else(finished, finished_study, unsealed):
    (finished.folder / "notes.txt").write_text("mine")
    (first_run(finished) / "journal/records.npz").write_bytes(b"damaged")
    kept, opened = times(finished), plain_cube(finished)
    study = studies.run(finished.folder.parents[1], restart=True)
    assert not times(study).items() & kept.items()
    assert (finished.folder / "notes.txt").read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        plain_cube(finished)
    with pytest.raises(RuntimeError):  # not NaN, as Zarr reads a chunk that is gone
        opened["training"]["loss"].load()
    assert not study.verify().damaged
    assert_unbroken(study, finished_study)


def test_restart_leaves_a_folder_that_is_no_study(tmp_path, unsealed):
    mine = tmp_path / "results/small/runs/of_mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    studies.run(tmp_path, *studies.NO_PROBES, "training.epochs=1", restart=True)
    assert mine.read_text() == "mine"


def test_restart_takes_another_protocol_in_the_same_folder(finished, unsealed):
    study = studies.run(finished.folder.parents[1], *studies.NO_PROBES, "training.epochs=2", restart=True)
    assert study.protocol.training.epochs == 2
    assert {run.epoch for run in study.runs()} == {2}


def test_the_study_s_protocol_file_asks_for_the_study(tmp_path, unsealed):
    study = studies.run(tmp_path, *studies.NO_PROBES, "training.epochs=1", "axes.seed=[4]")
    again = elastic.load_protocol(study.folder / "protocol.yaml")
    assert again.digest == study.digest
    assert (again.training.epochs, again.axes.seed) == (1, [4])
    assert elastic.run(again, out=tmp_path / "results").digest == study.digest


def test_a_protocol_read_from_a_study_runs_elsewhere_to_the_same_numbers(finished_study, tmp_path, unsealed):
    study = elastic.run(finished_study.protocol, out=tmp_path)
    assert studies.journals(study) == studies.journals(finished_study)
    assert elastic.load_protocol(study.folder / "protocol.yaml").digest == finished_study.digest


def test_a_run_begun_before_a_variable_came_goes_on_without_it(tmp_path, finished_study, monkeypatch):
    later = "class_cosine"
    every = metric_probe.variables_of
    monkeypatch.setattr(metric_probe, "variables_of", lambda *asked: [e for e in every(*asked) if e.name != later])
    interrupted(tmp_path, 3)
    monkeypatch.setattr(metric_probe, "variables_of", every)
    cube = studies.run(tmp_path).cube["collapse"]
    reference = finished_study.cube["collapse"]
    assert cube[later].sel(seed=0).isnull().all()  # begun without it
    xr.testing.assert_identical(cube[later].sel(seed=1), reference[later].sel(seed=1))
    xr.testing.assert_identical(cube["nc1"], reference["nc1"])
