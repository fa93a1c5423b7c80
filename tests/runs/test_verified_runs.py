"""Runs whose probes are verified: engines by epoch, epochs without an engine, training that no probe touches."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import studies

import elastic
from elastic.checkpoint import FILE, load_checkpoint
from elastic.errors import RunFailed
from elastic.metrics.engine_check import ENGINE_CODES
from elastic.probes import elasticity as elasticity_module
from elastic.probes import engine_selection, shared_choice, verified_response
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.structured import Structured
from elastic.probes.verification import EngineMismatch
from elastic.progress import Watcher
from elastic.study import Study

EXTERNAL = "model={name: external, target: 'support.counting_models:%s', layers: [enter]}"
ONE_SEED = "axes.seed=[0]"

pytestmark = pytest.mark.usefixtures("few_metrics", "unsealed")


class Notes(Watcher):
    def __init__(self, stop_after=None):
        self.notes, self.stop_after = [], stop_after

    def note(self, text):
        self.notes.append(text)

    def epoch_done(self, epoch, scores, probed):
        if epoch == self.stop_after:
            raise KeyboardInterrupt


def last_weights(study):
    """Return the trained weights of a study's run of seed 0."""
    folder = study.run_folder(study.cells[0]["digest"])
    assert (folder / FILE).exists()
    state, _ = load_checkpoint(folder, folder.name)
    return {name: value for name, value in state["model"].items() if isinstance(value, torch.Tensor)}


def counting(folder, *settings):
    external = EXTERNAL % "Counting"
    return studies.run(folder, external, ONE_SEED, *settings, allow=["support.counting_models"])


@pytest.fixture(scope="module")
def counted(few_metrics, tmp_path_factory):
    """Return a run of a model that counts, without probes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "seal", lambda self: None)
        return counting(tmp_path_factory.mktemp("counted"), *studies.NO_PROBES)


@pytest.mark.parametrize("engine", ["auto", "autodiff"])
def test_training_of_a_model_that_counts_is_the_same_with_probes_and_without(tmp_path, counted, engine):
    many = counting(
        tmp_path / "many", "probes.at={name: log, count: 7}", f"probes.elasticity={{stepped_per_class: 2, "
        f"observed_per_class: 4, engine: {engine}}}",
    )  # fmt: skip
    first, second = last_weights(many), last_weights(counted)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for name in ("loss", "accuracy"):
        np.testing.assert_array_equal(many.cube["training"][name], counted.cube["training"][name])


def test_a_model_that_couples_its_batch_is_refused_with_its_layer(tmp_path):
    notes = Notes()
    with pytest.raises(RunFailed):
        studies.run(tmp_path, EXTERNAL % "Coupled", ONE_SEED, allow=["support.counting_models"], watch=notes)
    assert any("layer 'logits' should give each sample features of its own" in note for note in notes.notes)


def test_an_epoch_that_no_engine_measures_is_nan_and_training_goes_on(tmp_path, study_of_few, monkeypatch, sealing):
    read = ElasticityProbe.read

    def failing(self, epoch=0, **first):
        if epoch == 2:
            raise EngineMismatch("`engine`", "move features as a real step does", "autodiff: off by 0.2", "another")
        return read(self, epoch, **first)

    monkeypatch.setattr(ElasticityProbe, "read", failing)
    notes = Notes()
    study = studies.run(tmp_path / "failing", ONE_SEED, watch=notes)
    assert [note for note in notes.notes if "epoch 2: elasticity is not measured" in note]
    group, expected = study.cube["elasticity"].to_dataset(), study_of_few.cube["elasticity"].to_dataset()
    assert (group["status"] == 1).all()
    assert group["probe_engine"].sel(epoch=2) == ENGINE_CODES["none"]
    for name in group.data_vars.keys() - {"probe_engine", "status"}:
        assert group[name].sel(epoch=2).isnull().all(), name
    others = [epoch for epoch in group["epoch"].values if epoch != 2]
    assert group.sel(epoch=others).identical(expected.sel(seed=[0], epoch=others))
    for name, value in last_weights(study_of_few).items():
        assert torch.equal(value, last_weights(study)[name])


class WrongOnceTrained(Structured):
    """Is off where the first bias has moved away from its initial value."""

    initial: torch.Tensor | None = None

    def moved(self, steps, inputs):
        bias = next(p for name, p in self.model.named_parameters() if name.endswith("bias"))
        if WrongOnceTrained.initial is None:
            WrongOnceTrained.initial = bias.detach().clone()
        factor = 1.0 if torch.equal(WrongOnceTrained.initial, bias) else 1.1
        moved, features = super().moved(steps, inputs)
        return {layer: value * factor for layer, value in moved.items()}, features


def test_an_engine_given_up_before_a_resumption_stays_given_up_and_the_bits_the_same(tmp_path, monkeypatch):
    structured = engine_selection.ENGINES["structured"]
    monkeypatch.setitem(engine_selection.ENGINES, "structured", WrongOnceTrained)
    WrongOnceTrained.initial = None
    notes = Notes()
    whole = studies.run(tmp_path / "whole", ONE_SEED, watch=notes)
    assert any(note.startswith("epoch 1: the elasticity probes run on autodiff") for note in notes.notes)
    WrongOnceTrained.initial = None
    with pytest.raises(KeyboardInterrupt):
        studies.run(tmp_path / "resumed", ONE_SEED, watch=Notes(stop_after=1))
    monkeypatch.setitem(engine_selection.ENGINES, "structured", structured)  # from here on it would be right
    resumed = studies.run(tmp_path / "resumed", ONE_SEED)
    codes = [ENGINE_CODES["structured"], *[ENGINE_CODES["autodiff"]] * 3]
    for study in (whole, resumed):
        assert study.cube["elasticity"]["probe_engine"].values.ravel().tolist() == codes
    assert studies.journals(whole) == studies.journals(resumed)


def test_a_run_resumed_after_an_epoch_that_no_engine_measured_has_the_same_bits(tmp_path, monkeypatch):
    read, verify, now = ElasticityProbe.read, verified_response.verify, {}

    def reading(self, epoch=0, **first):
        now["epoch"] = epoch
        return read(self, epoch, **first)

    def verifying(*arguments):
        check = verify(*arguments)
        return replace(check, errors=dict.fromkeys(check.errors, 0.5)) if now["epoch"] == 1 else check

    monkeypatch.setattr(ElasticityProbe, "read", reading)
    monkeypatch.setattr(verified_response, "verify", verifying)
    whole = studies.run(tmp_path / "whole", ONE_SEED)
    with pytest.raises(KeyboardInterrupt):
        studies.run(tmp_path / "resumed", ONE_SEED, watch=Notes(stop_after=1))
    resumed = studies.run(tmp_path / "resumed", ONE_SEED)
    codes = [ENGINE_CODES[name] for name in ("structured", "none", "autodiff", "autodiff")]
    for study in (whole, resumed):
        group = study.cube["elasticity"]
        assert group["probe_engine"].values.ravel().tolist() == codes
        assert (group["probe_error"].sel(epoch=1) == 0.5).all()
        assert group["response"].sel(epoch=1).isnull().all()
    assert studies.journals(whole) == studies.journals(resumed)
    (run,) = (whole.folder / "runs").iterdir()
    assert json.loads((run / "status.json").read_text())["engine"].startswith("autodiff (")


def test_an_engine_asked_for_by_name_that_is_wrong_from_the_start_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setitem(engine_selection.ENGINES, "structured", WrongOnceTrained)
    WrongOnceTrained.initial = torch.zeros(1)
    notes = Notes()
    with pytest.raises(RunFailed):
        studies.run(tmp_path, ONE_SEED, "probes.elasticity.engine=structured", watch=notes)
    assert any("`engine` should move features as a real step does" in note for note in notes.notes)


def test_the_first_check_is_reported_apart(tmp_path):
    notes = Notes()
    studies.run(tmp_path, ONE_SEED, watch=notes)
    (note,) = (note for note in notes.notes if note.startswith("elasticity probes:"))
    assert "structured" in note
    assert "against real steps in float64" in note
    cube = elastic.open_study(tmp_path / "results/small").cube
    assert float(cube["elasticity"]["probe_error"].max()) < 1e-4
    assert verified_response.CHECK == "probe_check"


def chosen_in(folder, monkeypatch, *settings, **options):
    """Return how many runs of a study of two seeds, its rehearsal among them, tried an engine."""
    tried, choose = [], elasticity_module.choose_engine
    with monkeypatch.context() as patch:
        patch.setattr(elasticity_module, "choose_engine", lambda *a, **k: tried.append(a) or choose(*a, **k))
        few = ("training.epochs=1", "probes.at={name: listed, values: [1]}", "probes.collapse=null")
        studies.run(folder, *few, *settings, **options)
    return len(tried)


def test_runs_whose_models_differ_only_in_numbers_share_the_trial_of_an_engine(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_choice, "_CHOSEN", {})
    monkeypatch.setattr("elastic.runs.setup.modules_outside", list)  # of other tests of this process
    assert chosen_in(tmp_path / "two seeds", monkeypatch) == 1
    assert chosen_in(tmp_path / "tanh", monkeypatch, "model.activation=tanh") == 1
    assert chosen_in(tmp_path / "frozen", monkeypatch, "training.classifier=etf") == 1
    assert (
        chosen_in(tmp_path / "finite", monkeypatch, "probes.elasticity.update=finite", "probes.elasticity.lr=0.1") == 1
    )
    assert chosen_in(tmp_path / "other data", monkeypatch, "data.classes=[3, 5]") == 1
    own = chosen_in(tmp_path / "own", monkeypatch, EXTERNAL % "Counting", allow=["support.counting_models"])
    assert own == 3
