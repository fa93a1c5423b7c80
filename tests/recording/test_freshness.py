"""The cube is always that of the records, however they came to be others."""

from __future__ import annotations

import functools
import json
import os
import shutil

import pytest
import xarray as xr
from support import recordings
from support.recordings import samples

import elastic
from elastic.errors import ElasticError, SealedAgain, StudyError
from elastic.study import snapshots

#: Few variables: what is sealed, and when, does not depend on them, and a seal of all takes four times as long.
FEW = {"at": [0, 1, 3], "collapse": None, "elasticity": None, "weights": {}}

record = functools.partial(recordings.record, probes=FEW)
recorder = functools.partial(recordings.recorder, probes=FEW)


def run_folder(folder):
    (collected,) = [path.parent for path in (folder / "runs").glob("*/run.json")]
    return collected


def interrupted(count):
    """Yield epochs, then end as Ctrl-C does."""
    yield from range(count)
    raise KeyboardInterrupt


def assert_fresh(folder):
    study = elastic.open_study(folder)
    assert study.cube.load().identical(study.assemble())


@pytest.mark.parametrize("removed", [".", "journal"])
def test_a_run_that_is_removed_by_hand_and_recorded_again_is_the_one_in_the_cube(tmp_path, removed):
    record(tmp_path)
    before = elastic.open_study(tmp_path).cube.load()
    shutil.rmtree(run_folder(tmp_path) / removed)
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, epochs=interrupted(4), lr=0.5)
    assert not elastic.open_study(tmp_path).cube.identical(before)
    assert_fresh(tmp_path)
    shutil.rmtree(run_folder(tmp_path))
    record(tmp_path, lr=0.5)
    assert (elastic.open_study(tmp_path).cube["training"]["lr"] == 0.5).all()
    assert_fresh(tmp_path)


def test_a_sealed_cube_that_has_a_run_which_was_removed_by_hand_is_not_opened(tmp_path):
    for seed in (0, 1):
        record(tmp_path, coordinates={"seed": seed})
    study = elastic.open_study(tmp_path)
    shutil.rmtree(study.run_folder(study.cells[-1]["digest"]))
    assert (tmp_path / "manifest.sha256").exists()
    assert elastic.open_study(tmp_path).cube["training"]["seed"].values.tolist() == [0]


def test_a_run_whose_recorder_was_not_closed_is_told_from_one_that_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, epochs=interrupted(1))
    # Seals the run above without the digest of its samples.
    record(tmp_path, coordinates={"seed": 1}, test=samples(12, seed=2))
    record(tmp_path, epochs=range(1))
    study = elastic.open_study(tmp_path)
    assert study.cube.attrs["data_digest"] == study.assemble().attrs["data_digest"]
    report = json.loads((study.run_folder(study.cells[0]["digest"]) / "status.json").read_text())
    assert report["data_digest"] in study.cube.attrs["data_digest"]


def test_a_report_says_under_way_while_records_come_that_it_does_not_tell_of(tmp_path):
    record(tmp_path, epochs=range(2))
    report = run_folder(tmp_path) / "status.json"
    before = report.read_bytes()
    with recorder(tmp_path) as recording:
        recording.record(0, lr=0.05)
        assert report.read_bytes() == before  # a replay changes nothing
        recording.record(0.5, lr=0.05)
        assert json.loads(report.read_text())["status"] == "under way"
        assert [run.state for run in elastic.open_study(tmp_path).runs()] == ["under way"]
    assert json.loads(report.read_text())["status"] == "done"


def test_a_recorder_that_recorded_nothing_leaves_the_seal(tmp_path):
    record(tmp_path)
    recorder(tmp_path, coordinates={"seed": 7}).close()
    assert (tmp_path / "manifest.sha256").exists()
    assert_fresh(tmp_path)


def test_an_open_cube_has_no_numbers_of_a_later_seal(tmp_path):
    record(tmp_path)
    cube = elastic.open_study(tmp_path).cube
    record(tmp_path, lr=0.5, restart=True)
    with pytest.raises(SealedAgain, match="a cube that was sealed since"):
        cube.load()


def test_a_cube_that_is_replaced_while_it_is_read_is_assembled(tmp_path, monkeypatch):
    record(tmp_path)
    opened = snapshots.open_sealed

    def slow(folder):
        result = opened(folder)
        record(tmp_path, coordinates={"seed": 5})
        return result

    monkeypatch.setattr(snapshots, "open_sealed", slow)
    study = elastic.open_study(tmp_path)
    assert study.cube["training"]["seed"].values.tolist() == [0, 5]


def test_a_cube_is_assembled_anew_if_a_run_goes_meanwhile(tmp_path, monkeypatch):
    for seed in (0, 1):
        record(tmp_path, coordinates={"seed": seed})
    (tmp_path / "manifest.sha256").unlink()
    study = elastic.open_study(tmp_path)
    gone, assembled = study.run_folder(study.cells[-1]["digest"]), study._assembled

    def while_another_removes(*left_out):
        for path in gone.glob("journal/records.npz"):
            path.unlink()
            monkeypatch.setattr("elastic.cube.journal.Journal.epochs", lambda _: [0, 1])  # as listed before
            try:
                return assembled(*left_out)
            finally:
                monkeypatch.undo()
                shutil.rmtree(gone)
        return assembled(*left_out)

    monkeypatch.setattr(study, "_assembled", while_another_removes)
    assert study.cube["training"]["seed"].values.tolist() == [0]


def test_the_description_of_a_run_that_is_damaged_is_written_anew_by_its_recorder(tmp_path):
    record(tmp_path)
    before = elastic.open_study(tmp_path).cube.load()
    (run_folder(tmp_path) / "run.json").write_text("{")
    with pytest.raises(ElasticError, match=r"run\.json"):
        elastic.open_study(tmp_path)
    record(tmp_path)
    assert elastic.open_study(tmp_path).cube.identical(before)


def test_a_restart_that_dies_leaves_no_record_of_the_old_training(tmp_path, monkeypatch):
    record(tmp_path, epochs=range(4))

    def dies(path, *_, **__):
        if ".discarded" in str(path) and path.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("elastic.recording.membership.shutil.rmtree", dies)
        with pytest.raises(KeyboardInterrupt):
            recorder(tmp_path, restart=True)
    record(tmp_path, epochs=range(2), width=9, lr=0.5)  # another network: nothing of the old run is left
    training = elastic.open_study(tmp_path).cube["training"]
    assert training["epoch"].values.tolist() == [0, 1]
    assert not list(tmp_path.rglob(".discarded"))
    assert isinstance(elastic.open_study(tmp_path).cube, xr.DataTree)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_recorder_that_a_forked_process_inherits_belongs_to_the_first(tmp_path):
    recording = recorder(tmp_path)
    for epoch in range(2):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with recording:  # nothing is recorded, released or sealed at the end of the block, or of an exception
                    pass
                with recording:
                    recording.record(epoch)
            except StudyError as error:
                code = 0 if "a fork of it" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        recording.record(epoch)
    recording.close()
    assert_fresh(tmp_path)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].values.tolist() == [0, 1]
