"""Every axis of the review can be set in a protocol, and does in a run what it says."""

import pytest
import torch
from support import studies
from support.sampling import alternating

from elastic.errors import ElasticError
from elastic.protocol import load_protocol
from elastic.runs.setup import build_setup

#: What is recorded; that it is sealed as any other study is another matter.
pytestmark = pytest.mark.usefixtures("few_metrics", "unsealed")


def bench(tmp_path, *changes, seed=0):
    protocol = load_protocol(studies.write(tmp_path), settings=changes)
    return build_setup(protocol.cells[seed].settings, torch.device("cpu"))


def counts(built):
    return built.trainer.splits["train"].labels.bincount().tolist()


def test_imbalance_thins_the_last_classes_of_the_train_split(tmp_path):
    plain, thinned = bench(tmp_path), bench(tmp_path, "data.imbalance={ratio: 5, minority_classes: 2}")
    assert counts(plain) == [20, 20, 20]
    assert counts(thinned) == [20, 4, 4]
    assert thinned.layout.class_counts["train"] == (20, 4, 4)
    assert len(plain.trainer.splits["test"]) == len(thinned.trainer.splits["test"])


def test_random_labels_reach_training_and_probes_alike(tmp_path):
    noise = ("data.label_noise=1.0", "probes.collapse.per_class=null")
    plain, noisy = bench(tmp_path), bench(tmp_path, *noise)
    first, second = plain.trainer.splits["train"], noisy.trainer.splits["train"]
    assert torch.equal(first.inputs, second.inputs)
    assert (first.labels == second.labels).double().mean() == pytest.approx(1 / 3, abs=0.25)
    assert torch.equal(noisy.probes["collapse"].reader.samples["train"].labels, second.labels)


def test_the_initial_scale_is_a_factor_on_weights_alone(tmp_path):
    plain, small = bench(tmp_path), bench(tmp_path, "training.init_scale=0.01")
    pairs = zip(plain.trainer.model.parameters(), small.trainer.model.parameters(), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(other, one * 0.01 if one.ndim > 1 else one)


def test_penalties_are_part_of_what_is_minimised_and_told(tmp_path):
    study = studies.run(tmp_path, "training.penalties={logits: 0.5}", "optimizer.weight_decay=0.0",
                        "axes.seed=[0]", *studies.NO_PROBES)  # fmt: skip
    training = study.cube["training"].dataset
    gap = (training["objective"] - training["loss"].sel(split="train")).values
    assert (gap > 0).all()
    plain = studies.run(tmp_path / "plain", "axes.seed=[0]", "optimizer.weight_decay=0.0", *studies.NO_PROBES)
    result = plain.cube["training"].dataset
    assert (result["objective"] == result["loss"].sel(split="train")).all()
    assert float(training["loss"].sel(split="train")[0, -1]) > float(result["loss"].sel(split="train")[0, -1])


def test_the_optimiser_s_own_decay_is_part_of_the_objective_too(tmp_path):
    built = bench(tmp_path, "optimizer.weight_decay=0.1")
    squares = sum(p.double().square().sum().item() for p in built.trainer.model.parameters())
    part = built.trainer.splits["train"]
    assert built.trainer.objective.total(2.0, part.inputs, part.labels) == pytest.approx(2.0 + 0.05 * squares)


@pytest.mark.parametrize(
    ("penalties", "ridge"),
    [("{logits: 0.5}", 0.5), ("{weights: 0.25, logits.weights: 0.5}", 0.75), ("{logits.biases: 0.5}", 0.0)],
)
def test_the_best_classifier_is_that_of_the_ridge_that_weighs_on_its_weights(tmp_path, penalties, ridge):
    built = bench(tmp_path, f"training.penalties={penalties}", "optimizer.weight_decay=0.0", "loss=mse")
    assert built.probes["collapse"].reader.ridge == ridge


@pytest.mark.parametrize("optimizer", ["lbfgs", "{name: gradient_flow, lr: 1.0}", "{name: rmsprop}"])
def test_other_optimisers_train_a_study(tmp_path, optimizer):
    study = studies.run(tmp_path, f"optimizer={optimizer}", "training.batch_size=null", "model.norm=none",
                        "training.epochs=1", "training.dtype=float64", "axes.seed=[0]",
                        *studies.NO_PROBES)  # fmt: skip
    loss = study.cube["training"].dataset["loss"].sel(split="train").values.ravel()
    assert loss[-1] < loss[0]


def test_free_features_are_trained_and_probed_as_any_network(tmp_path):
    study = studies.run(
        tmp_path, "data={name: indices, per_class_counts: [8, 8, 8]}", "axes.seed=[0]",
        "model={name: extended_unconstrained_features, widths: [6, 5], activation: relu}", "loss=mse",
        "optimizer=lbfgs", "training={epochs: 5, batch_size: null, dtype: float64, "
        "penalties: {free_features: 0.002, penultimate: 0.002, logits: 0.002}}",
    )  # fmt: skip
    nc1 = study.cube["collapse"]["nc1"].sel(split="train", layer="penultimate").values.ravel()
    assert nc1[-1] < 1e-3 * nc1[0]
    assert study.cube["elasticity"]["response"].notnull().all()


THEORY = {
    "balanced": "[6, 6, 6]",
    "imbalanced": "[9, 6, 2]",
}


#: Settings of each model, and penalties.
MODELS = {
    "layer_peeled": (("model={name: layer_peeled, width: 6}", "optimizer={name: sgd, lr: 2.0}"), ""),
    "unconstrained_features":
        (("model={name: unconstrained_features, width: 5, bias: true}", "optimizer=lbfgs"), "weights: 0.002"),
    "deep_unconstrained_features":
        (("model={name: deep_unconstrained_features, width: 5, depth: 3}", "optimizer=lbfgs", "loss=mse"),
         "weights: 0.002"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "classes"), alternating(MODELS, THEORY))
def test_every_theory_model_runs_through_training_probes_and_cube(tmp_path, name, classes):
    (model, training), counts = MODELS[name], THEORY[classes]
    data, how = f"{{name: indices, per_class_counts: {counts}}}", "epochs: 6, batch_size: null, dtype: float64"
    study = studies.run(tmp_path, f"data={data}", "axes.seed=[0]", *model,
                        f"training={{{how}, penalties: {{{training}}}}}", "probes.collapse.per_class=null")  # fmt: skip
    objective = study.cube["training"].dataset["objective"].values.ravel()
    assert objective[-1] < objective[0]
    for group, variable in (("collapse", "nc1"), ("collapse", "class_mean_spectrum"), ("elasticity", "response")):
        result = study.cube[group][variable]
        assert {"penultimate", "logits"} <= set(result["layer"].values)
        assert result.sel(split="train").notnull().all() if "split" in result.dims else result.notnull().all()


def test_a_classifier_can_be_fixed_to_a_simplex(tmp_path):
    built = bench(tmp_path, "training.classifier=etf")
    classifier = built.trainer.model.next_weights()["penultimate"]
    before = classifier.weight.detach().clone()
    gram = before @ before.T
    torch.testing.assert_close(gram, torch.eye(3) * 1.5 - 0.5)
    for _ in range(2):
        built.trainer.train_epoch()
    assert torch.equal(classifier.weight, before)
    assert not classifier.bias.any()
    study = studies.run(tmp_path, "training.classifier=etf", "axes.seed=[0]")
    assert (study.cube["elasticity"]["response"].sel(layer="penultimate") > 0).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("data.imbalance={ratio: 0.5}", "ratio"),
        ("data.imbalance={ratio: 2, kind: step}", "profile|kind"),
        ("data.imbalance={ratio: 2, minority_classes: 3}", "minority_classes"),
        ("data.label_noise=1.5", "label_noise"),
        ("training.init_scale=0", "init_scale"),
        ("training.penalties={logits: -1.0}", "penalties"),
        ("training.penalties={logit: 0.1}", "'logits'"),
        ("training.penalties={logits.gains: 0.1}", "weights"),
        ("training.penalties={logit.weights: 0.1}", "logit.weights"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path, change, text):
    with pytest.raises(ElasticError, match=text):
        bench(tmp_path, change)
