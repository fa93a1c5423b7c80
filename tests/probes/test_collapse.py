"""The collapse probe: whose means decide, what is read of which layer, and the squared loss taken apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import oracles, studies

from elastic.checkpoint import FILE
from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.metrics.tabulation import tabulate
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.probes.collapse import CollapseProbe


def points(count, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    means = torch.tensor([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    return Samples((torch.randn(count, 4, generator=generator) + means[labels] + shift).double(), labels, (0, 1, 2))


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return mlp(Task((4,), 3), widths=[6, 5], norm="batch").double().eval()


@pytest.fixture
def samples():
    return {"train": points(30, 1), "test": points(21, 2, shift=0.7)}


def features_of(model, data):
    with torch.no_grad():
        taps = {"input": data.inputs, **model.taps(data.inputs)}
    return {layer: features.numpy() for layer, features in taps.items()}


@pytest.mark.parametrize("splits", [["train", "test"], ["test"]])
def test_test_samples_are_decided_by_the_class_means_of_the_train_split(model, samples, splits):
    readings = CollapseProbe(model, samples, splits).read()
    assert list(readings) == splits
    train, test = (features_of(model, samples[split]) for split in ("train", "test"))
    for layer, reading in readings["test"].by_layer.items():
        means = oracles.class_means(train[layer], samples["train"].labels.tolist())
        nearest = [int(np.argmin([np.sum((h - m) ** 2) for m in means])) for h in test[layer]]
        assert reading["nearest"].tolist() == nearest
        own = oracles.class_means(test[layer], samples["test"].labels.tolist())
        np.testing.assert_allclose(reading["statistics"].means, own, rtol=1e-10, atol=1e-12)
    by_own_means = CollapseProbe(model, {"train": samples["test"]}, ["train"]).read()["train"].by_layer
    assert any(
        by_own_means[layer]["nearest"].tolist() != reading["nearest"].tolist()
        for layer, reading in readings["test"].by_layer.items()
    ), "the case does not tell the two apart"


@pytest.mark.usefixtures("unsealed")
def test_a_rank_tolerance_of_the_protocol_reaches_every_layer_and_split(tmp_path):
    text = studies.SMALL.replace("collapse: {per_class: 20}", "collapse: {per_class: 20, rank_tolerance: 0.99}")
    cube = studies.run(tmp_path, "training.epochs=1", "axes.seed=[0]", "probes.elasticity=null", text=text).cube
    rank = cube["collapse"]["class_mean_rank"]
    assert (rank.sel(layer=["hidden_1", "penultimate", "logits"]) == 1).all()
    plain = studies.run(tmp_path / "plain", "training.epochs=1", "axes.seed=[0]", "probes.elasticity=null").cube
    assert (plain["collapse"]["class_mean_rank"].sel(layer="input") == 2).all()
    assert (cube["collapse"]["nc1"] <= plain["collapse"]["nc1"]).all()


def test_decisions_are_the_network_s_own(model, samples):
    for split, reading in CollapseProbe(model, samples, ["train", "test"]).read().items():
        logits = features_of(model, samples[split])["logits"]
        for of_layer in reading.by_layer.values():
            assert of_layer["decisions"].tolist() == logits.argmax(1).tolist()
    least = CollapseProbe(model, samples, ["test"], decide=lambda outputs: outputs.argmin(1)).read()["test"].by_layer
    assert all(of_layer["decisions"].tolist() == logits.argmin(1).tolist() for of_layer in least.values())


@pytest.mark.parametrize("ridge", [None, 0.0, 0.1])
def test_readings_are_named_before_anything_is_read(model, samples, ridge):
    probe = CollapseProbe(model, samples, ["train"], ridge)
    by_layer, of_network = probe.names()
    reading = probe.read()["train"]
    assert list(by_layer) == list(reading.by_layer) == list(probe.layers)
    assert by_layer == {layer: set(of_layer) for layer, of_layer in reading.by_layer.items()}
    assert of_network == set(reading.of_network)
    assert bool(of_network) == (ridge is not None)


def test_weights_are_those_that_read_a_layer(model, samples):
    by_layer = CollapseProbe(model, samples, ["train"]).read()["train"].by_layer
    duality = {layer: r["duality_weights"] for layer, r in by_layer.items() if "duality_weights" in r}
    assert {layer: w.is_classifier for layer, w in duality.items()} == {"hidden_1": False, "penultimate": True}
    assert torch.equal(duality["penultimate"].weights, model.stages["logits"].weight)
    assert torch.equal(duality["hidden_1"].weights, model.stages["penultimate"][0].weight)
    assert [layer for layer, r in by_layer.items() if "classifier_weights" in r] == ["penultimate"]
    assert torch.equal(by_layer["penultimate"]["classifier_weights"], model.stages["logits"].weight)
    assert torch.equal(by_layer["penultimate"]["classifier_bias"], model.stages["logits"].bias)


def test_a_classifier_without_a_bias_has_one_of_zeros(samples):
    plain = mlp(Task((4,), 3), widths=[6, 5], bias=False).eval()
    single = {split: Samples(part.inputs.float(), part.labels, part.classes) for split, part in samples.items()}
    bias = CollapseProbe(plain, single, ["train"]).read()["train"].by_layer["penultimate"]["classifier_bias"]
    assert torch.equal(bias, torch.zeros(3, dtype=torch.float64))


def test_a_budget_below_one_sample_s_features_is_refused(model, samples):
    CollapseProbe(model, samples, ["train"]).check_budget()
    with pytest.raises(ModelError, match="budget"):
        CollapseProbe(model, samples, ["train"], memory_budget=1).check_budget()


def table_of(probe, split):
    reading = probe.read()[split]
    return tabulate("collapse", probe.layers, reading.by_layer, reading.of_network)


@pytest.mark.parametrize("split", ["train", "test"])
def test_two_passes_in_a_tiny_budget_give_the_numbers_of_one(model, samples, split):
    whole = table_of(CollapseProbe(model, samples, ["train", "test"], 0.1), split)
    cut = table_of(CollapseProbe(model, samples, ["train", "test"], 0.1, memory_budget=1), split)
    assert whole.keys() == cut.keys()
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


def squared_loss_run(folder, monkeypatch, optimizer):
    monkeypatch.setattr("elastic.study.Study.seal", lambda self: None)
    return studies.run(
        folder, "loss=mse", "training.dtype=float64", "probes.elasticity=null", "probes.collapse.per_class=null",
        "axes.seed=[0]", f"optimizer={optimizer}",
    )  # fmt: skip


#: Only the first adds (λ/2)‖θ‖² to the objective: Adam does with its decay, AdamW decays apart from it.
RIDGES = {
    "{name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 0.01}": 0.01,
    "{name: adam, lr: 0.01, weight_decay: 0.003}": 0.003,
    "{name: adamw, lr: 0.01, weight_decay: 0.01}": 0.0,
    "{name: sgd, lr: 0.05}": 0.0,
}


@pytest.mark.parametrize("optimizer", RIDGES)
def test_the_squared_loss_of_a_run_is_the_sum_of_its_parts(tmp_path, monkeypatch, optimizer):
    study, ridge = squared_loss_run(tmp_path, monkeypatch, optimizer), RIDGES[optimizer]
    collapse = study.cube["collapse"].dataset.isel(seed=0).sel(split="train")
    training = study.cube["training"].dataset.isel(seed=0).sel(split="train", epoch=collapse["epoch"])
    parts = collapse["mse_least_squares"] + collapse["mse_perpendicular"]
    state = torch.load(study.run_folder(study.cells[0]["digest"]) / FILE, weights_only=True)["state"]["model"]
    squares = sum(float(state[f"stages.logits.{name}"].square().sum()) for name in ("weight", "bias"))
    last = {"epoch": int(collapse["epoch"][-1])}
    assert float(parts.sel(last)) == pytest.approx(float(training["loss"].sel(last)) + ridge / 2 * squares, rel=1e-9)
    if ridge == 0:
        np.testing.assert_allclose(parts, training["loss"], rtol=1e-9)
    np.testing.assert_allclose(collapse["mse_nc1"] + collapse["mse_nc23"], collapse["mse_least_squares"], rtol=1e-9)
    assert (collapse["mse_perpendicular"] > 0).all()


def test_a_run_on_another_loss_has_no_such_parts(finished_study):
    assert not [name for name in finished_study.cube["collapse"].dataset if str(name).startswith("mse_")]
