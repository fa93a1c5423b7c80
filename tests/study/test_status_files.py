"""The status of a study is read from one small file a run, and damage of it is said."""

from __future__ import annotations

import json
import random
import shutil
import tarfile
from pathlib import Path

import pytest
from support import journals, recordings

import elastic
from elastic.errors import Damaged

BEFORE = Path(__file__).parents[1] / "cube" / "sealed_before.tar.xz"


@pytest.fixture
def study(finished_study, tmp_path):
    shutil.copytree(finished_study.folder, tmp_path / "small")
    return elastic.open_study(tmp_path / "small")


def first_run(study):
    return study.run_folder(study.cells[0]["digest"])


def states(study):
    return [(run.state, run.epoch, run.epochs) for run in study.runs()]


def test_no_record_and_no_layout_is_read(study):
    for run in map(study.run_folder, (cell["digest"] for cell in study.cells)):
        for path in (run / "journal/records.npz", run / "layout.json", run / "checkpoint.pt"):
            path.write_bytes(b"")
    assert states(study) == [("done", 6, 6), ("done", 6, 6)]
    assert all(run.seconds["training"] > 0 for run in study.runs())


def test_a_run_under_way_is_told_from_its_status_and_the_names_of_its_records(study):
    run = first_run(study)
    for path in sorted(journals.expand(run).glob("*.npz"))[3:]:
        path.unlink()
    result = json.loads((run / "status.json").read_text())
    (run / "status.json").unlink()
    assert states(study)[0] == ("interrupted", 2, 6)  # as earlier releases leave it
    from elastic.cube import write_report

    write_report(run, {"status": "under way", "epochs": result["epochs"]})
    for path in (run / "journal").iterdir():
        path.write_bytes(b"")
    assert states(study)[0] == ("interrupted", 2, 6)


@pytest.mark.parametrize(
    ("gone", "state"),
    [
        (["status.json"], ("interrupted", 6, 6)),
        (["journal", "status.json"], ("interrupted", None, 6)),
        (["journal", "layout.json", "status.json"], ("waiting", None, None)),
        (["."], ("lost", None, None)),
    ],
)
def test_a_run_that_lacks_files_has_not_ended(study, gone, state):
    for name in gone:
        path = first_run(study) / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert states(study) == [state, ("done", 6, 6)]


def test_an_ended_run_without_records_is_damaged(study):
    """It must not be trained anew without a word, nor read as missing."""
    shutil.rmtree(first_run(study) / "journal")
    for read in (study.runs, study.assemble):
        with pytest.raises(Damaged, match="the records should be there once a run has ended; found none"):
            read()
    assert repr(study) == f"<Study 'small' at {study.folder}: damaged>"


def test_a_layout_that_is_gone_beside_records_is_no_run_that_waits(study):
    (first_run(study) / "layout.json").unlink()
    for read in (study.runs, study.assemble):
        with pytest.raises(Damaged, match=r"`layout\.json` should exist next to the records"):
            read()


def faults(data):
    draw = random.Random(0)
    for _ in range(60):
        place = draw.randrange(len(data))
        yield data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
    yield from (data[:place] for place in range(0, len(data), 97))
    yield from (b"", b"null", b"[]", b"{}\n{}", data + b" ", b"\xff" + data)


def test_damage_of_a_status_is_said_and_never_read_as_under_way(study):
    path = first_run(study) / "status.json"
    whole = path.read_bytes()
    for fault in faults(whole):
        path.write_bytes(fault)
        with pytest.raises(Damaged) as caught:
            study.runs()
        assert str(caught.value).startswith(f"{path}: `status.json` should be as it was written; found ")
        assert "its records are kept" in str(caught.value)
    path.unlink()  # as the message proposes
    assert states(study)[0] == ("interrupted", 6, 6)


def test_a_status_of_another_run_is_refused(study):
    one, other = (study.run_folder(cell["digest"]) for cell in study.cells)
    shutil.copy(other / "status.json", one / "status.json")
    with pytest.raises(Damaged, match=rf"`status\.json` should be of run {one.name}; found that of run {other.name}"):
        study.runs()


def test_a_study_of_an_earlier_release_has_its_status(tmp_path):
    with tarfile.open(BEFORE) as archive:
        archive.extractall(tmp_path, filter="data")
    study = elastic.open_study(tmp_path)
    assert states(study) == [("done", 1, 1), ("done", 1, 1)]
    (first_run(study) / "journal/000001.npz").unlink()
    assert states(study)[0] == ("interrupted", 0, 1)


def test_a_recorded_run_has_its_status_without_its_records(tmp_path):
    recordings.record(tmp_path)
    study = elastic.open_study(tmp_path)
    run = first_run(study)
    (run / "layout.json").write_bytes(b"")
    assert [(one.state, one.epoch, one.epochs) for one in study.runs()] == [("done", 3, 3)]
    path = run / "status.json"
    path.write_bytes(path.read_bytes().replace(b"done", b"dome"))
    with pytest.raises(Damaged, match=r"status\.json"):
        elastic.open_study(tmp_path).runs()
