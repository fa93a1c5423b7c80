"""Which epochs a Recorder takes, when it probes, and what happens when epochs are replayed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from support import recordings
from support.recordings import PROBES, network, record, recorder

import elastic
from elastic.checkpoint import ARITHMETIC
from elastic.cube import Journal, read_report, write_report
from elastic.errors import ElasticError, NotReproduced, StudyError

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")


def probed(folder):
    return elastic.open_study(folder).cube["collapse"]["epoch"].values.tolist()


def test_probes_are_read_where_an_epoch_of_the_schedule_is_reached(tmp_path):
    with recorder(tmp_path, epochs=10, probes={**recordings.CHEAP, "at": [0.5, 1, 4]}) as recording:
        seen = [recording.record(epoch).probed for epoch in (0, 0.25, 0.75, 1, 2, 6, 7, 10)]
    assert seen == [True, False, True, True, False, True, False, True]
    assert probed(tmp_path) == [0, 0.75, 1, 6, 10]


def test_a_schedule_by_name_is_that_of_a_protocol(tmp_path):
    record(tmp_path, epochs=range(11), probes={**recordings.CHEAP, "at": {"name": "linear", "count": 3}})
    assert probed(tmp_path) == [0, 2, 3]  # `recordings.record` plans three epochs


def test_a_probe_is_forced_or_left_out(tmp_path):
    with recorder(tmp_path) as recording:
        assert not recording.record(0, probe=False).probed
        assert recording.record(1.5, probe=True).probed
        assert not recording.record(2).probed
        assert recording.record(2.25, probe=True).probed
    cube = elastic.open_study(tmp_path).cube
    assert cube["collapse"]["epoch"].values.tolist() == [1.5, 2.25]
    assert cube["training"]["epoch"].values.tolist() == [0, 1.5, 2, 2.25]


def test_whole_epochs_are_integers_in_the_cube(sealing, tmp_path):
    record(tmp_path)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].dtype == np.int64


def test_fractional_epochs_are_kept_to_the_last_bit(sealing, tmp_path):
    epochs = [1e-7, 0.1 + 0.2, 1 / 3, 12345.6789, 2**31 + 0.5]
    with recorder(tmp_path, epochs=None, probes={**recordings.CHEAP, "at": epochs}) as recording:
        assert all(recording.record(np.float64(epoch)).probed for epoch in epochs)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].values.tolist() == epochs
    assert probed(tmp_path) == epochs


@pytest.mark.parametrize(
    "epoch", [1, 0.5, -1, float("nan"), float("inf"), True, "2", None, np.arange(2), torch.ones(2)]
)
def test_an_epoch_that_goes_back_or_is_none_is_refused_and_nothing_is_lost(tmp_path, epoch):
    with recorder(tmp_path) as recording:
        recording.record(0)
        recording.record(1)
        with pytest.raises(StudyError, match="`epoch`"):
            recording.record(epoch)
        recording.record(2)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].values.tolist() == [0, 1, 2]


def test_the_same_epochs_may_be_replayed(tmp_path):
    record(tmp_path)
    before = elastic.open_study(tmp_path).cube.load()
    record(tmp_path)
    assert elastic.open_study(tmp_path).cube.identical(before)


def test_a_replay_goes_on_after_the_epochs_that_it_repeats(tmp_path):
    record(tmp_path / "once", epochs=range(6))
    record(tmp_path / "twice", epochs=range(3))
    record(tmp_path / "twice", epochs=range(6))
    once, twice = (elastic.open_study(tmp_path / name).cube for name in ("once", "twice"))
    for group in ("training", "collapse"):
        assert once[group].to_dataset().identical(twice[group].to_dataset())


def test_a_different_replay_is_refused_and_the_old_record_kept(tmp_path):
    record(tmp_path)
    before = elastic.open_study(tmp_path).cube.load()
    with pytest.raises(
        NotReproduced, match=r"epoch 0 .*try other coordinates, or restart=True to replace this run; the record"
    ):
        record(tmp_path, lr=0.5)
    assert elastic.open_study(tmp_path).cube.identical(before)


def test_a_replay_with_another_scalar_or_without_its_probes_is_different(tmp_path):
    record(tmp_path)
    with recorder(tmp_path) as recording, pytest.raises(NotReproduced, match="training/lr"):
        recording.record(0, lr=7)
    with recorder(tmp_path) as recording, pytest.raises(NotReproduced, match="in one of them only"):
        recording.record(0, lr=0.05, probe=False)


def test_restart_replaces_the_run_and_no_other(tmp_path):
    record(tmp_path, coordinates={"seed": 0})
    record(tmp_path, coordinates={"seed": 1})
    before = elastic.open_study(tmp_path).cube.load()
    record(tmp_path, coordinates={"seed": 0}, lr=0.5, epochs=range(2), restart=True)
    after = elastic.open_study(tmp_path).cube
    assert (after["training"]["lr"].sel(seed=0, epoch=[0, 1]) == 0.5).all()
    assert after["training"]["status"].sel(seed=0).values.tolist() == [1, 1, 0, 0]
    assert after["training"].sel(seed=1).to_dataset().identical(before["training"].sel(seed=1).to_dataset())


def test_a_run_that_is_recorded_anew_after_its_folder_was_removed_is_never_read_from_the_old_seal(sealing, tmp_path):
    record(tmp_path)
    (run,) = (tmp_path / "runs").iterdir()
    shutil.rmtree(run)
    with recorder(tmp_path, network(seed=5)) as recording:
        for epoch in range(4):
            recording.record(epoch, lr=0.9)
            assert elastic.open_study(tmp_path).cube["training"]["lr"].values[0, -1] == 0.9
    assert (elastic.open_study(tmp_path).cube["training"]["lr"] == 0.9).all()


def test_restart_allows_another_network(tmp_path):
    record(tmp_path, width=6)
    with pytest.raises(ElasticError, match="layers"):
        record(tmp_path, width=9)
    record(tmp_path, width=9, restart=True)
    assert elastic.open_study(tmp_path).cube["collapse"]["width"].sel(layer="1") == 9


def test_scalars_become_variables_and_may_come_late(tmp_path):
    with recorder(tmp_path, epochs=5) as recording:
        recording.record(0, lr=0.1)
        recording.record(1, lr=torch.tensor(0.1), grad_norm=np.float32(0.5), nothing=None)
        recording.record(2, grad_norm=3, stopped=True)
    training = elastic.open_study(tmp_path).cube["training"].to_dataset().isel(seed=0)
    np.testing.assert_array_equal(training["lr"], [0.1, np.float32(0.1), np.nan])
    np.testing.assert_array_equal(training["grad_norm"], [np.nan, 0.5, 3])
    np.testing.assert_array_equal(training["stopped"], [np.nan, np.nan, 1])
    assert "nothing" not in training
    assert training["grad_norm"].attrs["long_name"].startswith("grad_norm")


def test_records_before_a_scalar_came_are_replayed_all_the_same(tmp_path):
    for _ in range(2):
        with recorder(tmp_path) as recording:
            recording.record(0)
            recording.record(1, late=1.0)
    assert np.isnan(elastic.open_study(tmp_path).cube["training"]["late"].values[0, 0])


@pytest.mark.parametrize(
    ("scalars", "match"),
    [
        ({"lr": "fast"}, "`lr` should be one real number"),
        ({"norms": torch.ones(3)}, r"found Tensor of shape \[3\]"),
        ({"lr": 1j}, "one real number"),
        ({"loss": 0.5}, "be left to the Recorder"),
        ({"test_accuracy": 0.5}, "be left to the Recorder"),
        ({"nc1": 0.5}, "another name"),
        ({"status": 1}, "another name"),
        ({"layer": 1}, "another name"),
        ({"huge": 2**60 + 1}, "holds exactly"),
    ],
)
def test_a_scalar_that_is_none_is_refused_and_the_epoch_can_be_recorded(tmp_path, scalars, match):
    with recorder(tmp_path) as recording:
        with pytest.raises(ElasticError, match=match):
            recording.record(0, **scalars)
        recording.record(0, lr=0.1)
    assert elastic.open_study(tmp_path).cube["training"]["lr"].values.tolist() == [[0.1]]


def test_a_loss_that_is_no_longer_finite_ends_in_the_status_diverged(tmp_path):
    model = network()
    with recorder(tmp_path, model, epochs=4) as recording:
        recording.record(0)
        recording.record(1)
        with torch.no_grad():
            model[0].weight.fill_(float("nan"))
        diverged = recording.record(2)
        assert diverged.diverged
        assert not diverged.probed
    study = elastic.open_study(tmp_path)
    assert study.cube["training"]["status"].values.tolist() == [[1, 1, 2]]
    assert [run.state for run in study.runs()] == ["diverged"]


def test_what_was_recorded_outlives_an_interruption(tmp_path):
    def interrupted(epochs):
        for epoch in epochs:
            if epoch == 2:
                raise KeyboardInterrupt
            yield epoch

    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, epochs=interrupted(range(4)))
    study = elastic.open_study(tmp_path)
    assert [(run.state, run.epoch) for run in study.runs()] == [("interrupted", 1)]
    assert study.cube["training"]["epoch"].values.tolist() == [0, 1]
    record(tmp_path)
    assert [(run.state, run.epoch) for run in study.runs()] == [("done", 3)]


def test_a_recorder_that_recorded_nothing_leaves_no_run(tmp_path):
    with pytest.raises(KeyboardInterrupt), recorder(tmp_path, coordinates={"seed": 4}):
        raise KeyboardInterrupt
    recorder(tmp_path, coordinates={"seed": 5}).close()
    record(tmp_path, coordinates={"seed": 6})
    assert elastic.open_study(tmp_path).cube["training"]["seed"].values.tolist() == [6]


def test_a_closed_recorder_records_nothing_more(tmp_path):
    recording = recorder(tmp_path)
    recording.record(0)
    recording.close()
    recording.close()
    with pytest.raises(StudyError, match="one that was closed"):
        recording.record(1)


def test_the_user_s_own_scores_take_the_place_of_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr("elastic.runs.recorder.evaluate", None)
    with recorder(tmp_path, evaluate=False, epochs=9) as recording:
        recording.record(0, train_loss=2.0, test_accuracy=0.25)
        recording.record(1, loss={"train": 1.0, "test": 1.5}, accuracy=0.5)
        recording.record(2)
        assert recording.record(3, loss=float("inf")).diverged
    training = elastic.open_study(tmp_path).cube["training"].to_dataset().isel(seed=0)
    np.testing.assert_array_equal(training["loss"], [[2, np.nan], [1, 1.5], [np.nan] * 2, [np.inf, np.nan]])
    np.testing.assert_array_equal(training["accuracy"], [[np.nan, 0.25], [0.5, np.nan], [np.nan] * 2, [np.nan] * 2])


def test_the_samples_are_drawn_from_the_coordinate_seed_or_from_the_argument(tmp_path):
    def drawn(name, **options):
        with recorder(tmp_path / name, **options) as recording:
            reader = recording.probes["collapse"].reader
            return reader.samples["train"].inputs.sum().item()

    few = {"probes": {"collapse": {"per_class": 2}, "elasticity": None}}
    of_coordinate = drawn("a", coordinates={"seed": 7}, **few)
    assert drawn("b", seed=7, **few) == of_coordinate
    assert drawn("c", coordinates={"seed": 3}, seed=7, **few) == of_coordinate
    assert drawn("d", **few) != of_coordinate


def rounded(folder, monkeypatch):
    """Replay a recorded run whose movements are larger by a part in ten million."""
    append = Journal.append

    def shifted(self, epoch, record):
        key = "elasticity/response"
        append(
            self, epoch, {**record, key: np.asarray(record[key]) * np.float32(1 + 2e-7)} if key in record else record
        )

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", shifted)
        record(folder, probes=PROBES)


def test_movements_that_differ_by_rounding_are_another_record(tmp_path, monkeypatch):
    record(tmp_path, probes=PROBES)
    with pytest.raises(NotReproduced, match="elasticity/response other by up to"):
        rounded(tmp_path, monkeypatch)


def test_a_run_that_an_earlier_release_began_may_differ_by_the_rounding_of_movements(tmp_path, monkeypatch, caplog):
    record(tmp_path, probes=PROBES)
    before = elastic.open_study(tmp_path).cube.load()
    (run,) = (tmp_path / "runs").iterdir()
    write_report(run, {key: value for key, value in read_report(run).items() if key != ARITHMETIC})
    for _ in range(2):  # the run remains one of that release
        rounded(tmp_path, monkeypatch)
        assert "differs by rounding when replayed; the record is kept: elasticity/response" in caplog.text
        caplog.clear()
    assert elastic.open_study(tmp_path).cube["elasticity"].to_dataset().equals(before["elasticity"].to_dataset())
    with pytest.raises(NotReproduced):
        record(tmp_path, probes=PROBES, lr=0.5)
