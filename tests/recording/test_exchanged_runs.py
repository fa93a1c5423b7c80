"""Files of a recorded study that stand at another run's place are refused, and runs are extended after their end."""

from __future__ import annotations

import json
import shutil

import pytest
from support.recordings import record

import elastic
from elastic.errors import Damaged
from elastic.study import Study
from elastic.study.recorded import run_digest
from elastic.study.verification import State, verify

pytestmark = pytest.mark.usefixtures("few_metrics")


def two_runs(folder, others):
    """Record a study of the run 0 and one other in a folder, whose cube is not sealed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Study, "seal", lambda self: None)
        for seed in (0, others):
            record(folder, seed=others, coordinates={"seed": seed})
    return folder


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return the folder of a study of two runs, which tests copy."""
    return two_runs(tmp_path_factory.mktemp("recorded"), 1)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Return the folder of another study, of runs of the cells 0 and 5."""
    return two_runs(tmp_path_factory.mktemp("other"), 5)


@pytest.fixture
def runs(recorded, tmp_path):
    """Return the folder of a study of two runs, and those of its runs."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    return tmp_path, *(tmp_path / "runs" / run_digest({"seed": seed}) for seed in (0, 1))


@pytest.mark.parametrize("part", ["", "journal", "journal/records.npz", "layout.json", "status.json", "run.json"])
def test_parts_of_two_runs_that_are_exchanged_are_refused(runs, part):
    folder, one, other = runs
    aside = folder / "aside"
    (one / part).rename(aside)
    (other / part).rename(one / part)
    aside.rename(other / part)
    with pytest.raises(Damaged) as caught:
        _ = elastic.open_study(folder).cube
    assert str(one / part) in str(caught.value) or str(other / part) in str(caught.value)


@pytest.mark.parametrize("name", ["journal/records.npz", "status.json"])
def test_a_file_of_the_same_run_in_another_study_is_refused(runs, other, name):
    """Its cell is the same: only status.json and the records together tell that they are of one study."""
    folder, one, _ = runs
    shutil.copy(other / "runs" / one.name / name, one / name)
    with pytest.raises(Damaged, match=r"`records\.npz` should be the one that status\.json lists"):
        _ = elastic.open_study(folder).cube


@pytest.mark.parametrize("name", ["journal/records.npz", "run.json"])
def test_a_run_is_not_left_out_because_a_file_of_it_is_lost(runs, name):
    folder, one, _ = runs
    (one / name).unlink()
    with pytest.raises(Damaged) as caught:
        elastic.open_study(folder).seal()
    assert caught.value.place == str(one / name)
    assert not (folder / "manifest.sha256").exists()


def test_a_run_of_another_study_is_told_by_verify(runs, other):
    folder = runs[0]
    cell = run_digest({"seed": 5})
    shutil.copytree(other / "runs" / cell, folder / "runs" / cell)
    (collected,) = [one for one in verify(folder).files if one.path == f"runs/{cell}/run.json"]
    assert collected.state is State.FOREIGN
    assert collected.found == f"a run of the study {other.name!r}, copied here"
    assert not verify(folder).damaged


WRONG = {"coordinates": [], "claims": [3], "title": 3, "provenance": 3, "name": None}


@pytest.mark.parametrize("key", WRONG)
def test_a_description_without_a_checksum_is_checked_for_its_types(runs, key):
    """As an earlier release wrote it."""
    path = runs[0] / "study.json"
    facts = {k: value for k, value in json.loads(path.read_text()).items() if k not in ("sha256_of", "sha256")}
    path.write_text(json.dumps(facts))
    (collected,) = [one for one in verify(runs[0]).files if one.path == "study.json"]
    assert collected.state is State.NOT_CHECKABLE
    path.write_text(json.dumps({**facts, key: WRONG[key]}))
    with pytest.raises(Damaged, match=rf"'{key}' of another type"):
        elastic.open_study(runs[0])
    assert "study.json" in [one.path for one in verify(runs[0]).damaged]


def test_a_folder_whose_study_json_is_lost_is_damaged(runs):
    (runs[0] / "study.json").unlink()
    with pytest.raises(Damaged, match="be there beside the runs; found no such file; try elastic verify --repair"):
        elastic.open_study(runs[0])


def test_every_file_of_a_run_names_its_cell_and_has_a_checksum(runs):
    _, one, _ = runs
    for name in ("layout.json", "status.json", "run.json"):
        text = (one / name).read_text()
        assert len(json.loads(text)["sha256"]) == 64
        assert one.name in text or name == "run.json"  # its coordinates tell the cell
    assert f"elastic journal of run {one.name}, sha256 ".encode() in (one / "journal/records.npz").read_bytes()


def test_a_run_that_has_ended_is_extended_as_if_it_had_not(unsealed, tmp_path):
    """Each Recorder replays what is there and adds epochs; the result is that of one Recorder, byte by byte."""
    record(tmp_path / "once", epochs=range(8))
    for last in (3, 5, 8):
        record(tmp_path / "often", epochs=range(last))
        (run,) = (tmp_path / "often/runs").iterdir()
        assert [path.name for path in (run / "journal").iterdir()] == ["records.npz"]
    (whole,) = (tmp_path / "once/runs").iterdir()
    assert (run / "journal/records.npz").read_bytes() == (whole / "journal/records.npz").read_bytes()


def test_a_run_is_extended_and_interrupted_between_its_compacted_records_and_the_next(unsealed, tmp_path):
    def interrupted():
        yield from range(6)
        raise KeyboardInterrupt

    record(tmp_path, epochs=range(4))
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, epochs=interrupted())
    study = elastic.open_study(tmp_path)
    assert [(run.state, run.epoch) for run in study.runs()] == [("interrupted", 5)]
    assert study.cube["training"]["epoch"].values.tolist() == list(range(6))
    record(tmp_path, epochs=range(7))
    record(tmp_path / "once", epochs=range(7))
    once, twice = (elastic.open_study(folder).cube["training"] for folder in (tmp_path / "once", tmp_path))
    assert once.to_dataset().identical(twice.to_dataset())
