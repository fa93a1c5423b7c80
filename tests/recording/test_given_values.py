"""What a Recorder is given: arrays that change later, numbers of NumPy, names and numbers that no cube holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import recordings
from support.recordings import network, record, recorder, samples

import elastic
from elastic.errors import StudyError

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor])
def test_later_changes_of_the_user_s_arrays_are_not_recorded(tmp_path, convert):
    x, y = map(convert, samples())
    with recorder(tmp_path, train=(x, y), test=None, probes={**recordings.CHEAP, "at": [0, 1]}) as recording:
        recording.record(0)
        x *= 100
        y[:] = 0
        recording.record(1)
    cube = elastic.open_study(tmp_path).cube
    for name in ("nc1", "class_mean_norm"):
        np.testing.assert_array_equal(cube["collapse"][name].isel(epoch=0), cube["collapse"][name].isel(epoch=1))
    assert np.unique(cube["training"]["loss"]).size == 1


def test_the_user_s_arrays_stay_as_they_are_even_read_only(tmp_path):
    (x, y), before = samples(), samples()
    x.flags.writeable = y.flags.writeable = False
    record(tmp_path, train=(x, y), probes=recordings.PROBES)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("name", ["val/loss", "", "..", "zarr.json", "__x", "a\nb", "x" * 200, " x", "x "])
def test_a_scalar_s_name_that_no_cube_holds_is_refused_and_nothing_is_lost(tmp_path, name):
    with recorder(tmp_path) as recording:
        with pytest.raises(StudyError, match="be a name of letters, digits and _"):
            recording.record(0, **{name: 1.0})
        recording.record(0, lr=0.1)
    assert elastic.open_study(tmp_path).cube["training"]["lr"].values.tolist() == [[0.1]]


def test_other_names_of_scalars_are_kept_in_the_sealed_cube(sealing, tmp_path):
    numbers = {name: 1.5 + n for n, name in enumerate(["top-1", "val.loss", "λ", "grad norm", "_x", "A1", "f1@5"])}
    with recorder(tmp_path) as recording:
        recording.record(0, **numbers)
    assert (tmp_path / "manifest.sha256").exists()
    training = elastic.open_study(tmp_path).cube["training"]
    assert {name: training[name].values.tolist() for name in numbers} == {n: [[v]] for n, v in numbers.items()}


def test_epochs_beyond_float64_s_whole_numbers_are_refused(sealing, tmp_path):
    with recorder(tmp_path) as recording:
        recording.record(0.5)
        for epoch in (2**53 + 1, 2**63, 2.0**60):
            with pytest.raises(StudyError, match=r"2\*\*53"):
                recording.record(epoch)
        recording.record(2**53)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].values.tolist() == [0.5, 2.0**53]


def test_coordinates_that_one_axis_cannot_tell_apart_are_refused(tmp_path):
    record(tmp_path, coordinates={"size": 2.0**53})
    with pytest.raises(StudyError, match="another float64"):
        recorder(tmp_path, coordinates={"size": 2**53 + 1})
    with pytest.raises(StudyError, match="64 bits"):
        recorder(tmp_path, coordinates={"size": 2**63})
    with pytest.raises(StudyError, match="64 bits"):
        recorder(tmp_path / "other", seed=0, coordinates={"seed": 2**64})
    assert elastic.open_study(tmp_path).cube["training"]["size"].values.tolist() == [2.0**53]


def test_a_coordinate_of_another_kind_that_joined_meanwhile_is_refused(tmp_path, monkeypatch):
    joined = elastic.recording.recorder.join

    def late(folder, coordinates, header):
        run = joined(folder, coordinates, header)
        monkeypatch.setattr("elastic.recording.recorder.join", joined)
        record(tmp_path, coordinates={"size": "small"})
        return run

    monkeypatch.setattr("elastic.recording.recorder.join", late)
    with pytest.raises(StudyError, match="be a text"):
        recorder(tmp_path, coordinates={"size": 3})
    assert elastic.open_study(tmp_path).cube["training"]["size"].values.tolist() == ["small"]


def test_names_of_coordinates_outlive_study_json(tmp_path):
    record(tmp_path, coordinates={"size": 3})
    (tmp_path / "study.json").unlink()
    with pytest.raises(StudyError, match="`coordinates` should have the names"):
        recorder(tmp_path, coordinates={"depth": 3})
    record(tmp_path, coordinates={"size": 4})
    assert elastic.open_study(tmp_path).cube["training"]["size"].values.tolist() == [3, 4]


def test_numbers_of_numpy_serve_as_options(tmp_path):
    options = {"at": np.array([0, 1]), "collapse": {"per_class": np.int64(5)}, "elasticity": None}
    settings = {"rate": np.float32(0.5), "beta": torch.tensor(0.25)}
    with recorder(tmp_path, epochs=np.int64(2), probes=options, settings=settings) as recording:
        recording.record(np.int64(0))
        recording.record(torch.tensor(1))
    study = elastic.open_study(tmp_path)
    assert study.facts["protocol"]["settings"]["training"] == {"beta": 0.25, "rate": 0.5}
    assert study.cube["collapse"]["epoch"].values.tolist() == [0, 1]


def test_a_working_directory_that_changes_moves_no_record(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with recorder("study", network()) as recording:
        recording.record(0)
        monkeypatch.chdir(tmp_path / "elsewhere")
        recording.record(1)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert elastic.open_study(tmp_path / "study").cube["training"]["epoch"].values.tolist() == [0, 1]


def test_the_folder_is_not_listed_at_each_record(tmp_path, monkeypatch):
    record(tmp_path, epochs=[0, 2])
    with recorder(tmp_path, epochs=None, probes={**recordings.CHEAP, "at": [0, 1.5]}) as recording:
        recording.record(0, lr=0.05)
        monkeypatch.setattr(type(recording.journal), "epochs", lambda _: pytest.fail("listed"))
        seen = [recording.record(epoch, lr=0.05).probed for epoch in (1, 1.75)]
        monkeypatch.undo()
    assert seen == [False, True]
