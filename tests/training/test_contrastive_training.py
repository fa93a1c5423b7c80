"""Training under a loss of the features: they collapse, and the classifier that it leaves out is fitted beside."""

from __future__ import annotations

import pytest
import torch
from support import studies
from support.small_trainings import X, Y, network, trainer
from torch import nn

from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.measure import measure_collapse
from elastic.models.contract import Stages, Task
from elastic.models.fixed_classifier import fix_classifier
from elastic.models.mlp import mlp
from elastic.models.taps import Tapped
from elastic.training import build_objective, evaluate, evaluation, train

pytestmark = pytest.mark.usefixtures("unsealed")

LOSS = build_loss("supervised_contrastive", {"temperature": 0.2})
CONTRASTIVE = "loss={name: supervised_contrastive, temperature: 0.2}"


def digits(tmp_path, *settings, **options):
    return studies.run(tmp_path, CONTRASTIVE, "axes.seed=[0]", *settings, **options)


def test_a_batch_s_objective_is_the_loss_of_the_features_and_the_cross_entropy_of_the_classifier():
    model = network()
    h = model.taps(X)["penultimate"]
    fit = nn.functional.cross_entropy(model(X), Y)
    expected = (LOSS.per_sample(h, Y).mean() + fit).item()
    objective = build_objective(model, LOSS, {"weights": 0.4, "features": 0.2})
    penalties = 0.2 * sum(p.square().sum() for n, p in model.named_parameters() if "weight" in n)
    penalties += 0.1 * h.square().sum(1).mean()
    assert objective.batch(X, Y).item() == pytest.approx(expected + penalties.item(), rel=1e-12)
    mean_loss, _ = evaluate(model, LOSS, Samples(X, Y, (0, 1, 2)))
    assert objective.total(mean_loss, X, Y) == pytest.approx(expected + penalties.item(), rel=1e-12)


def test_the_encoder_learns_from_the_loss_alone_and_the_classifier_from_its_own_fit():
    model = network()
    build_objective(model, LOSS).batch(X, Y).backward()
    encoder, classifier = list(model.stages["penultimate"].parameters()), list(model.stages["logits"].parameters())
    of_loss = torch.autograd.grad(LOSS.per_sample(model.taps(X)["penultimate"], Y).mean(), encoder)
    of_fit = torch.autograd.grad(nn.functional.cross_entropy(model(X), Y), classifier)
    for parameter, gradient in zip([*encoder, *classifier], [*of_loss, *of_fit], strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-12, atol=1e-14)


def test_a_small_network_collapses_in_its_directions_to_a_simplex():
    torch.manual_seed(0)
    model = mlp(Task((5,), 3), widths=[32, 8], activation="tanh").double()
    clusters = Samples(X + 4 * nn.functional.one_hot(Y, 5), Y, (0, 1, 2))
    run = trainer(model, "sgd", {"lr": 0.1, "momentum": 0.9}, epochs=400)
    run.objective, run.splits = build_objective(model, LOSS), {"train": clusters}
    seen = []
    for snapshot in train(run):
        if snapshot.epoch not in (0, 400):
            continue
        with torch.no_grad():
            h = snapshot.model.taps(clusters.inputs)["penultimate"]
        seen.append(measure_collapse({"h": h, "directions": nn.functional.normalize(h)}, Y))
    nc1, etf = ([float(ds[name].sel(layer="directions")) for ds in seen] for name in ("nc1", "nc2_etf_error"))
    assert nc1[-1] < 0.02 * nc1[0]
    assert etf[-1] < 0.2 * etf[0]
    assert float(seen[-1].nc1.sel(layer="h")) < 0.1 * float(seen[0].nc1.sel(layer="h"))
    assert snapshot.accuracy["train"] == 1


def test_a_study_under_it_is_trained_and_probed_and_its_classifier_decides(tmp_path):
    study = digits(tmp_path, "training.epochs=12", "model.norm=none", "optimizer.lr=0.05")
    training, elasticity = study.cube["training"].dataset.isel(seed=0), study.cube["elasticity"].dataset.isel(seed=0)
    assert float(training["accuracy"].sel(split="test")[-1]) > 0.9
    assert (training["objective"] > training["loss"].sel(split="train")).all()
    collapse = study.cube["collapse"].dataset.isel(seed=0).sel(split="train", layer="penultimate")
    assert float(collapse["nc1"][-1]) < 0.2 * float(collapse["nc1"][0])
    assert float(collapse["nc3_duality"][-1]) < float(collapse["nc3_duality"][0])
    assert elasticity["locality"].notnull().all()
    assert float(elasticity["locality"].sel(layer="penultimate")[-1]) > 1


def test_a_study_that_is_stopped_goes_on_to_the_same_bytes(tmp_path):
    whole, cut = (tmp_path / name for name in ("whole", "cut"))
    expected = studies.journals(digits(whole, "training.epochs=4", "probes.at={name: every}"))
    study = digits(cut, "training.epochs=4", "probes.at={name: every}")
    assert studies.journals(study) == expected
    model = network()
    runs = [trainer(model_, "sgd", {"lr": 0.1, "momentum": 0.9}, epochs=6) for model_ in (model, network())]
    for run in runs:
        run.objective, run.batch_size = build_objective(run.model, LOSS), 8
    result = [(s.loss, s.accuracy, s.objective) for s in train(runs[0])]
    half = train(runs[1])
    for _ in range(4):
        next(half)
    resumed = trainer(network(), "sgd", {"lr": 0.1, "momentum": 0.9}, epochs=6)
    resumed.objective, resumed.batch_size = build_objective(resumed.model, LOSS), 8
    resumed.load_state_dict(runs[1].state_dict())
    assert [(s.loss, s.accuracy, s.objective) for s in train(resumed)] == result[4:]


@pytest.mark.parametrize(("optimizer", "options"), [("lbfgs", {}), ("gradient_flow", {"lr": 0.5})])
def test_optimisers_that_evaluate_the_objective_themselves_lower_it(optimizer, options):
    run = trainer(network(), optimizer, options, epochs=4)
    run.objective = build_objective(run.model, LOSS, {"weights": 1e-3})
    first, *_, last = train(run)
    assert last.loss["train"] < first.loss["train"]
    assert last.objective < first.objective
    assert last.accuracy["train"] > first.accuracy["train"]


def test_evaluation_spreads_samples_that_are_sorted_by_class(monkeypatch):
    model, order = network(), Y.argsort(stable=True)
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 16)
    values, accuracy = evaluate(model, LOSS, Samples(X[order], Y[order], (0, 1, 2)))
    with torch.no_grad():
        h = model.taps(X[order])["penultimate"]
        batches = [LOSS.per_sample(h[b::3], Y[order][b::3]) for b in range(3)]
        assert accuracy == (model(X).argmax(1) == Y).double().mean().item()
    assert all(len(labels.unique()) == 3 for labels in (Y[order][b::3] for b in range(3)))
    assert values == pytest.approx(torch.cat(batches).mean().item(), rel=1e-12)


def test_a_model_without_a_linear_classifier_or_with_a_fixed_one_is_told():
    nonlinear = Stages({"penultimate": nn.Linear(5, 4), "logits": nn.Sequential(nn.Tanh(), nn.Linear(4, 3))})
    with pytest.raises(ModelError, match="no linear layer reads the penultimate features"):
        build_objective(nonlinear, LOSS)
    with pytest.raises(ModelError, match="a layer before the logits"):
        build_objective(Tapped(nn.Linear(5, 3), []), LOSS)
    fixed = network()
    fix_classifier(fixed)
    with pytest.raises(ModelError, match=r"training\.classifier.*be learned"):
        build_objective(fixed, LOSS)


def test_a_protocol_that_fixes_the_classifier_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"training\.classifier"):
        digits(tmp_path, "training.classifier=etf")
