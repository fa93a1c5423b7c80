"""A study says whether its sealed cube is up to date, and which runs are interrupted, lost or copies."""

from __future__ import annotations

import shutil

import pytest
from support import recordings, studies

import elastic
from elastic.claims.verdict_table import verdict_table
from elastic.errors import Damaged
from elastic.listing.studies import how_to_resume, status_table, study_facts
from elastic.report.context import read_context
from elastic.report.history import history
from elastic.study.creation import make_study
from elastic.study.verification import verify
from elastic.watching.live import Watched

pytestmark = pytest.mark.usefixtures("few_metrics")


def shown(renderable):
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def record(folder, *seeds, **options):
    for seed in seeds:
        recordings.record(folder, seed=seed, epochs=range(2), coordinates={"seed": seed, "norm": True}, **options)


def folder_of(folder, seed):
    study = elastic.open_study(folder)
    return study.run_folder(next(one["digest"] for one in study.cells if one["coordinates"]["seed"] == seed))


@pytest.fixture(scope="module")
def sealed(few_metrics, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed") / "loop"
    record(folder, 0, 1, 2, claims=[{"name": "collapse_deepens_with_depth", "metric": "nc1", "split": "train"}])
    return folder


@pytest.fixture
def loop(sealed, tmp_path):
    return shutil.copytree(sealed, tmp_path / "loop")


def test_a_seal_of_a_study_that_was_extended_is_out_of_date(finished_study, tmp_path):
    folder = shutil.copytree(finished_study.folder, tmp_path / "small")
    assert shown(status_table(elastic.open_study(folder))).splitlines()[0] == "small: 2 of 2 runs ended, cube sealed"
    study = make_study(folder, elastic.load_protocol(studies.write(tmp_path), settings=["axes.seed=[0,1,7]"]))
    facts = study_facts(study)
    assert (facts["sealed"], facts["seal"]) == (False, "sealed, out of date: the description changed since")
    assert [run["state"] for run in facts["runs"]] == ["done", "done", "waiting"]
    assert not Watched(study, "nc1")._look()


def test_a_run_under_way_is_told_from_one_that_was_interrupted(loop):
    recorder = recordings.recorder(loop, coordinates={"seed": 9, "norm": True})
    recorder.record(0)
    assert recorder.study.runs()[-1].state == "under way"
    assert how_to_resume(recorder.study, recorder.study.runs()) == ""
    recorder.__exit__(KeyboardInterrupt, None, None)
    study = elastic.open_study(loop)
    assert study.runs()[-1].state == "interrupted"
    assert "3 of 4 runs ended, 1 interrupted, cube not sealed" in shown(status_table(study))
    assert how_to_resume(study, study.runs()).startswith("resume: the training loop again")
    warnings = " ".join(history(read_context(study)).warnings)
    assert "was interrupted, and can be resumed: 3 of 4 runs have ended" in warnings


def test_runs_that_were_copied_into_a_sealed_study_are_counted(loop, tmp_path):
    other = tmp_path / "other"
    recordings.record(other, seed=1, epochs=range(4), coordinates={"seed": 1, "norm": True})
    record(other, 5)
    shutil.copytree(folder_of(other, 5), loop / "runs" / folder_of(other, 5).name)
    assert str(elastic.open_study(loop).seal_state()) == "sealed, out of date: 1 run added since"
    shutil.rmtree(folder_of(loop, 1))
    shutil.copytree(folder_of(other, 1), loop / "runs" / folder_of(other, 1).name)
    assert str(elastic.open_study(loop).seal_state()) == "sealed, out of date: 1 run added, 1 run changed since"


def test_a_study_that_was_interrupted_says_how_it_is_resumed(finished_study, tmp_path):
    folder = shutil.copytree(finished_study.folder, tmp_path / "with space" / "small")
    (folder_of(folder, 0) / "status.json").unlink()
    (folder / "manifest.sha256").unlink()
    line = f"resume: elastic run '{folder}/protocol.yaml' --out '{folder.parent}'"
    study = elastic.open_study(folder)
    assert how_to_resume(study, study.runs()) == line
    renamed = folder.rename(folder.with_name("renamed"))  # a run of the file would make a folder of the study's name
    study = elastic.open_study(renamed)
    assert how_to_resume(study, study.runs()) == "resume: the command that began the study"


def test_a_recorded_run_whose_folder_is_gone_is_named_by_every_command_that_counts(loop, caplog):
    shutil.rmtree(folder_of(loop, 1))
    study = elastic.open_study(loop)
    note = "norm=true seed=1: the folder of this run is gone; its numbers are in the sealed cube, and are not counted"
    assert "cube sealed, out of date: 1 run lost since" in shown(status_table(study))
    for text in (shown(status_table(study)), shown(verdict_table(elastic.check(study)))):
        assert note in " ".join(text.split())
    assert note in " ".join(history(read_context(study)).warnings)
    assert note in str(elastic.check(study).to_json()["notes"])
    (missing,) = study.verify().damaged
    assert missing.path.startswith("runs/")
    assert not list(loop.glob(f"{missing.path}/*"))
    study.seal()
    assert "the cube sealed before had a run whose folder is gone, norm=true seed=1" in caplog.text
    assert not elastic.check(loop).notes
    assert str(elastic.open_study(loop).seal_state()) == "sealed"


def test_a_run_of_a_protocol_whose_folder_is_gone_is_lost_and_its_sealed_numbers_are_read(finished_study, tmp_path):
    folder = shutil.copytree(finished_study.folder, tmp_path / "small")
    shutil.rmtree(folder_of(folder, 1))
    study = elastic.open_study(folder)
    assert [run.state for run in study.runs()] == ["done", "lost"]
    assert study.cube.identical(finished_study.cube)
    (note,) = study.notes()
    words = "the folder of this run is gone; its numbers are in the sealed cube"
    assert note == f"seed=1: {words} (elastic verify {folder})"
    assert "under way" not in " ".join(history(read_context(study)).warnings)


@pytest.mark.parametrize("kind", ["recorded", "of a protocol"])
def test_a_copy_of_a_run_is_named_and_not_counted(loop, finished_study, tmp_path, kind):
    folder = loop if kind == "recorded" else shutil.copytree(finished_study.folder, tmp_path / "small")
    cube, run = elastic.open_study(folder).cube, folder_of(folder, 1)
    shutil.copytree(run, run.with_name("a copy"))
    study = elastic.open_study(folder)
    assert study.cube.identical(cube)
    (note,) = study.notes()
    assert note == f"runs/a copy is a copy of runs/{run.name}, and is not counted: delete or move it"
    assert note in shown(status_table(study))
    assert [one.path for one in study.verify().damaged] == ["runs/a copy"]


def test_a_recorded_run_that_was_renamed_is_no_copy(loop):
    run = folder_of(loop, 1)
    run.rename(run.with_name("renamed"))
    with pytest.raises(Damaged, match=f"found that of the run {run.name}; try renaming the folder to"):
        elastic.open_study(loop)


@pytest.mark.parametrize(
    ("put", "words"), [("file", "a file"), ("link", "a link to /nowhere, where there is no folder")]
)
@pytest.mark.parametrize("kind", ["recorded", "of a protocol"])
def test_what_is_no_folder_in_place_of_a_run_is_named(loop, finished_study, tmp_path, kind, put, words):
    folder = loop if kind == "recorded" else shutil.copytree(finished_study.folder, tmp_path / "small")
    run = folder_of(folder, 1)
    shutil.rmtree(run)
    run.write_text("") if put == "file" else run.symlink_to("/nowhere")
    with pytest.raises(Damaged, match=rf"{run.name}` should be the folder of a run; found {words}; try putting"):
        elastic.open_study(folder).runs()
    wrong = verify(folder).damaged
    assert [(one.path, one.found) for one in wrong] == [(f"runs/{run.name}", f"{words}, in place of a run's folder")]
    if kind == "of a protocol":  # its sealed numbers are right
        assert elastic.open_study(folder).cube.identical(finished_study.cube)
