"""Files of a recorded study that stand at another run's place are refused, and runs are extended after their end."""

from __future__ import annotations

import json

import pytest
from recordings import record

import elastic
from elastic.errors import Damaged
from elastic.study.recorded import run_digest


@pytest.fixture
def runs(tmp_path):
    """Return the folder of a study of two runs, and those of its runs."""
    for seed in (0, 1):
        record(tmp_path, seed=seed, coordinates={"seed": seed})
    (tmp_path / "manifest.sha256").unlink()
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


def test_every_file_of_a_run_names_its_cell_and_has_a_checksum(runs):
    _, one, _ = runs
    for name in ("layout.json", "status.json", "run.json"):
        text = (one / name).read_text()
        assert len(json.loads(text)["sha256"]) == 64
        assert one.name in text or name == "run.json"  # its coordinates tell the cell
    assert f"elastic journal of run {one.name}, sha256 ".encode() in (one / "journal/records.npz").read_bytes()


def test_a_run_that_has_ended_is_extended_as_if_it_had_not(tmp_path):
    """Each Recorder replays what is there and adds epochs; the result is that of one Recorder, byte by byte."""
    record(tmp_path / "once", epochs=range(8))
    for last in (3, 5, 8):
        record(tmp_path / "often", epochs=range(last))
        (run,) = (tmp_path / "often/runs").iterdir()
        assert [path.name for path in (run / "journal").iterdir()] == ["records.npz"]
    (whole,) = (tmp_path / "once/runs").iterdir()
    assert (run / "journal/records.npz").read_bytes() == (whole / "journal/records.npz").read_bytes()


def test_a_run_is_extended_and_interrupted_between_its_compacted_records_and_the_next(tmp_path):
    def interrupted():
        yield from range(6)
        raise KeyboardInterrupt

    record(tmp_path, epochs=range(4))
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, epochs=interrupted())
    study = elastic.open_study(tmp_path)
    assert [(run.state, run.epoch) for run in study.runs()] == [("under way", 5)]
    assert study.cube["training"]["epoch"].values.tolist() == list(range(6))
    record(tmp_path, epochs=range(7))
    record(tmp_path / "once", epochs=range(7))
    once, twice = (elastic.open_study(folder).cube["training"] for folder in (tmp_path / "once", tmp_path))
    assert once.to_dataset().identical(twice.to_dataset())
