"""A study that several Recorders describe keeps what each has said, and all its runs have coordinates of one form."""

import json

import pytest

from elastic.cube import read_report, write_report
from elastic.errors import StudyError
from elastic.recording.membership import Header, describe, join

CLAIM = {"name": "collapse_deepens_with_depth"}


def stored(folder):
    facts = json.loads((folder / "study.json").read_text())
    return {key: value for key, value in facts.items() if not key.startswith("sha256")}


def run_of(folder, **coordinates):
    run = join(folder, coordinates, Header())
    run.mkdir(parents=True, exist_ok=True)
    describe(folder, run, coordinates, {})
    return run


def test_what_is_left_out_keeps_what_another_recorder_said(tmp_path):
    join(tmp_path, {"seed": 0}, Header("Widths", "Do wide ones collapse?", ["papyan2020prevalence"], [CLAIM]))
    first = stored(tmp_path)
    join(tmp_path, {"seed": 1}, Header())
    assert stored(tmp_path) == first
    join(tmp_path, {"seed": 1}, Header(title="Depths"))
    assert stored(tmp_path) == {**first, "title": "Depths"}
    join(tmp_path, {"seed": 1}, Header(cites=[], claims=[]))
    assert stored(tmp_path) == {**first, "title": "Depths", "cites": [], "claims": []}
    assert [claim["name"] for claim in first["claims"]] == ["collapse_deepens_with_depth"]


def test_the_seal_is_removed_when_the_description_changes_and_not_before(tmp_path):
    join(tmp_path, {"seed": 0}, Header("Widths"))
    seal = tmp_path / "manifest.sha256"
    seal.write_text("")
    join(tmp_path, {"seed": 1}, Header("Widths"))
    assert seal.exists()
    join(tmp_path, {"seed": 1}, Header("Depths"))
    assert not seal.exists()


@pytest.mark.parametrize("claims", [{}, "", CLAIM, "collapse_deepens_with_depth", [["name"]], 3], ids=repr)
def test_claims_are_a_list_of_mappings(claims, tmp_path):
    with pytest.raises(StudyError, match="be a list of mappings"):
        join(tmp_path, {"seed": 0}, Header(claims=claims))
    assert not (tmp_path / "study.json").exists()


def test_coordinates_have_the_names_of_the_study_before_and_after_its_first_run(tmp_path):
    join(tmp_path, {"width": 4, "seed": 0}, Header())
    with pytest.raises(StudyError, match="have the names of the study's other runs: width, seed; found seed"):
        join(tmp_path, {"seed": 0}, Header())
    run_of(tmp_path, width=4, seed=0)
    (tmp_path / "study.json").unlink()
    with pytest.raises(StudyError, match="have the names of the study's other runs"):
        join(tmp_path, {"depth": 4, "seed": 0}, Header())
    with pytest.raises(StudyError, match="be a number, as in the study's other runs"):
        join(tmp_path, {"width": "four", "seed": 0}, Header())
    assert not (tmp_path / "study.json").exists()
    join(tmp_path, {"width": 8, "seed": 0}, Header())
    assert stored(tmp_path)["coordinates"] == ["width", "seed"]


def test_a_run_whose_description_changes_is_under_way_again_and_keeps_what_it_started_with(tmp_path):
    run = run_of(tmp_path, seed=0)
    kept = {"epochs": 9, "data_digest": "d", "probe_arithmetic": "1"}
    write_report(run, {"status": "done", "epoch": 9, "journal": {}, **kept})
    describe(tmp_path, run, {"seed": 0}, {})
    assert read_report(run)["status"] == "done"
    describe(tmp_path, run, {"seed": 0}, {"optimizer": "adam"})
    result = read_report(run)
    assert {key: result[key] for key in kept} == kept
    assert (result["status"], result.keys() & {"epoch", "journal"}) == ("under way", set())
