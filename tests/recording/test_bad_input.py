"""What does not fit is refused with one error that says what to do, before anything is written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import recordings, studies
from support.recordings import network, record, recorder, samples
from torch import nn

import elastic
from elastic.errors import ElasticError, RunBusy, StudyError

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")


def refused(folder, match, model=None, **options):
    with pytest.raises(ElasticError, match=match):
        recorder(folder / "study", model, **options)
    assert not (folder / "study" / "runs").exists()


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        (["11"], "`layers` should name submodules of the model; found '11'; try"),
        (["1", "1"], "be named once"),
        (["layer*"], r"found 'layer\*'"),
        ([3], "names of submodules"),
        (["4", "1", "6"], "found '6'"),
    ],
)
def test_layers_that_the_model_does_not_have(tmp_path, layers, match):
    refused(tmp_path, match, layers=layers)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.arange(24), "be positions of the 3 logits"),
        (np.arange(24) % 3 - 1, "be positions of the 3 logits"),
        (np.array(["a", "b", "c"] * 8), "be positions of logits, as integers"),
        (np.arange(23) % 3, "24 inputs, 23 labels"),
        (np.linspace(0, 2, 24), "be positions of logits, as integers"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_outside_the_outputs(tmp_path, labels, match, split):
    refused(tmp_path, match, **{split: (samples()[0], labels)})


@pytest.mark.parametrize(
    ("train", "match"),
    [
        (samples()[0], "`train` should be a pair"),
        ((samples()[0][:, :4], samples()[1]), "run on the train inputs"),
        ((np.full((24, 5), np.nan, "float32"), samples()[1]), "be finite"),
        (([], []), "`train"),
        ({"labels": samples()[1]}, "`train` should hold the model's inputs"),
        ({"text": ["a"] * 24, "labels": samples()[1]}, "`train` should hold the model's inputs"),
        ((torch.zeros(24, 5, device="meta"), samples()[1]), "`train` should be on the model's device"),
    ],
)
def test_samples_that_do_not_fit_the_model(tmp_path, train, match):
    refused(tmp_path, match, train=train)


def test_models_that_cannot_be_probed_where_they_are(tmp_path):
    refused(tmp_path, "have values", network().to("meta"))
    refused(tmp_path, "be an nn.Module", model=nn.ReLU())
    split = network()
    split[4].to("meta")
    refused(tmp_path, "be on one device", split)


def test_a_model_that_moved_or_changed_its_widths(tmp_path):
    model = network()
    with recorder(tmp_path, model) as recording:
        recording.record(0)
        model[0], model[2] = nn.Linear(5, 9), nn.Linear(9, 4)
        with pytest.raises(ElasticError, match="layer `1` should have 6 features"):
            recording.record(1)
        model.to("meta")
        with pytest.raises(ElasticError, match="`model` should stay on cpu"):
            recording.record(1)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].values.tolist() == [0]


@pytest.mark.parametrize(
    "change", [nn.Module.half, nn.Module.double, lambda model: setattr(model, "2", nn.Linear(7, 7))]
)
def test_a_model_that_no_longer_runs_on_the_samples(tmp_path, change):
    model = network()
    with recorder(tmp_path, model) as recording:
        recording.record(0)
        change(model)
        with pytest.raises(ElasticError, match="`model` should run on the samples as when the Recorder was made"):
            recording.record(1)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].values.tolist() == [0]


@pytest.mark.parametrize(
    ("probes", "match"),
    [
        ({"colapse": {}}, "'collapse'"),
        ({"collapse": {"per_clas": 3}}, r"`probes\.collapse\.per_clas`"),
        ({"collapse": {"per_class": 0}}, r"`probes\.collapse\.per_class`"),
        ({"elasticity": {"update": "finite"}}, r"`probes\.elasticity\.lr`"),
        ({"weights": {"per_class": -1}}, r"`probes\.weights\.per_class`"),
        ({"weights": 3}, r"`probes\.weights`"),
        ({"at": {"name": "logg"}}, "'log'"),
        ({"at": {"name": "log", "cuont": 3}}, "'count'"),
        ({"at": {"count": 3}}, "have a name"),
        ({"at": [-1]}, "not negative"),
        ({"at": 7}, "a list of epochs"),
        ({"memory_budget": "much"}, r"`probes\.memory_budget`"),
        ([], "be a mapping"),
    ],
)
def test_probes_and_options_that_there_are_not(tmp_path, probes, match):
    refused(tmp_path, match, probes=probes)


def test_a_schedule_needs_the_last_epoch(tmp_path):
    refused(tmp_path, "be given for the schedule 'log'", epochs=None, probes={})
    refused(tmp_path, "be a positive integer", epochs=0)
    refused(tmp_path, "be a positive integer", epochs=2.5)


@pytest.mark.parametrize(
    ("coordinates", "match"),
    [
        ({"layer": 1}, "no group, dim or variable"),
        ({"epoch": 1}, "no group, dim or variable"),
        ({"collapse": 1}, "that no group"),
        ({"nc1": 1}, "that no group"),
        ({"component": 1}, "that no group"),
        ({"Learning Rate": 1}, "names of a-z"),
        ({3: 1}, "names of a-z"),
        ({"seed": "a"}, "be a whole number"),
        ({"seed": -1}, "be a whole number"),
        ({"size": None}, "be a number, a text or a truth value"),
        ({"size": [1, 2]}, "be a number, a text or a truth value"),
        ({"size": float("nan")}, "be finite"),
        (["seed"], "be a mapping"),
    ],
)
def test_coordinates_that_a_cube_cannot_have(tmp_path, coordinates, match):
    refused(tmp_path, match, coordinates=coordinates)


def test_coordinates_of_other_names_or_kinds_than_the_study_s(tmp_path):
    record(tmp_path, coordinates={"seed": 0, "size": 1})
    before = studies.contents(tmp_path, "runs/**/*")
    for coordinates, match in (
        ({"seed": 1}, "have the names of the study's other runs: size, seed; found seed"),
        ({"seed": 1, "siez": 1}, "have the names"),
        ({"seed": 1, "size": "large"}, "be a number, as in the study's other runs"),
        ({"seed": 1, "size": True}, "be a number, as in the study's other runs"),
    ):
        with pytest.raises(StudyError, match=match):
            recorder(tmp_path, coordinates=coordinates)
    assert studies.contents(tmp_path, "runs/**/*") == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"loss": "cross_entrpy"}, "'cross_entropy'"),
        ({"loss": 3}, "`loss` should be a name"),
        ({"title": 3}, "`title` should be a text"),
        ({"cites": ["he2023lwa"]}, "'he2023law'"),
        ({"claims": [{"name": "blow"}]}, "'below'"),
        ({"claims": [{"name": "below", "variable": "nc1"}]}, "threshold"),
        ({"settings": {"f": print}}, "be what JSON holds"),
    ],
)
def test_what_a_study_says_of_itself_is_checked(tmp_path, options, match):
    refused(tmp_path, match, **options)


def test_a_folder_that_holds_a_protocol_s_study_is_left_alone(tmp_path):
    study = studies.run(tmp_path, *studies.NO_PROBES, "training.epochs=1", "axes.seed=[0]")
    before = studies.contents(study.folder)
    with pytest.raises(StudyError, match="found the study of a protocol"):
        recorder(study.folder)
    assert studies.contents(study.folder) == before


@pytest.mark.parametrize("restart", [False, True])
def test_a_protocol_does_not_run_in_a_recorded_study(tmp_path, restart):
    record(tmp_path / "results" / "small")
    before = studies.contents(tmp_path / "results", "**/*.npz")
    with pytest.raises(StudyError, match="one that training loops recorded"):
        studies.run(tmp_path, restart=restart)
    assert studies.contents(tmp_path / "results", "**/*.npz") == before


def test_a_run_belongs_to_one_recorder_at_a_time(tmp_path):
    with recorder(tmp_path) as recording:
        recording.record(0, lr=0.05)
        with pytest.raises(RunBusy, match="which is this one; try closing its Recorder"):
            recorder(tmp_path)
    record(tmp_path)


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "study").write_text("")
    with pytest.raises(ElasticError, match="study"):
        recorder(tmp_path / "study")


def test_other_probes_on_the_same_coordinates_are_another_run(tmp_path):
    record(tmp_path)
    with pytest.raises(StudyError, match="be what this run is about to record"):
        recorder(tmp_path, probes=recordings.PROBES)
    assert [run.epoch for run in elastic.open_study(tmp_path).runs()] == [3]


def test_an_empty_path_is_no_folder():
    with pytest.raises(ElasticError, match="`folder` should be the path of a folder; found an empty text"):
        recorder("")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"probes": {"colapse": None}}, r"`probes\.colapse` should be one of the probes; .* try 'collapse'"),
        ({"probes": {"elastcity": {}}}, r"`probes\.elastcity` should be one of the probes; .* try 'elasticity'"),
        ({"probes": {"at": "logg"}}, r"`probes\.at` should be one of the probe_schedules; .* try 'log'"),
        ({"loss": "cross_entrpy"}, "`loss` should be one of the losses; .* try 'cross_entropy'"),
        ({"coordinates": {"layer": 1}}, r"`coordinates` should .*; found 'layer'; try layer_axis"),
        ({"coordinates": {"my lr": 1}}, r"`coordinates` should .*; found 'my lr'; try my_lr"),
        (
            {"forward": lambda model, batch: model(batch)},
            r"on \(float32 \[3, 5\], int64 \[3\]\); try a forward\(model, batch\) of this batch, .*model\(batch\[0\]\)",
        ),
    ],
)
def test_a_mistake_in_an_argument_is_named_by_the_argument(tmp_path, options, match):
    refused(tmp_path, match, **options)


def test_a_folder_whose_name_a_file_has(tmp_path):
    (tmp_path / "study").write_text("")
    refused(tmp_path, "try another place .*: a file has this name")
