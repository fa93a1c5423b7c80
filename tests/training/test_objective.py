"""The objective: penalties where they are asked, the same for every optimiser, and told in whole."""

import math

import pytest
import torch
from support.small_trainings import SAMPLES, X, Y, network, trainer
from torch import nn

from elastic.errors import ModelError, OptionError
from elastic.losses import build_loss
from elastic.models.contract import Stages
from elastic.models.taps import Tapped
from elastic.optimizers import build_optimizer
from elastic.registry import registry
from elastic.training import build_objective, evaluate, train


def gradients(model, penalties):
    build_objective(model, build_loss("cross_entropy"), penalties).batch(SAMPLES.inputs, Y).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("name", "penalised"),
    [
        ("weights", {"stages.penultimate.0.weight", "stages.logits.weight"}),
        ("biases", {"stages.penultimate.0.bias", "stages.logits.bias"}),
        ("logits", {"stages.logits.weight", "stages.logits.bias"}),
        ("penultimate", {"stages.penultimate.0.weight", "stages.penultimate.0.bias"}),
        ("logits.weights", {"stages.logits.weight"}),
        ("penultimate.biases", {"stages.penultimate.0.bias"}),
    ],
)
def test_a_penalty_adds_lambda_times_the_parameter_to_the_gradients_it_names_and_to_no_other(name, penalised):
    plain, changed = gradients(network(), {}), gradients(network(), {name: 0.3})
    for parameter, value in network().named_parameters():
        expected = plain[parameter] + (0.3 * value if parameter in penalised else 0)
        torch.testing.assert_close(changed[parameter], expected.detach())


def test_a_penalty_on_all_parameters_is_the_optimiser_s_weight_decay():
    own = trainer(network(), "sgd", {"lr": 0.1, "weight_decay": 0.02, "momentum": 0.5}, decay=0.02, epochs=4)
    penalties = {"weights": 0.02, "biases": 0.02}
    added = trainer(network(), "sgd", {"lr": 0.1, "momentum": 0.5}, penalties=penalties, epochs=4)
    result = [[snapshot.objective for snapshot in train(t)] for t in (own, added)]
    assert result[0] == pytest.approx(result[1], rel=1e-12)
    for a, b in zip(own.model.parameters(), added.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_the_objective_is_loss_plus_penalties():
    model = network()
    objective = build_objective(model, build_loss("mse"), {"weights": 0.4, "features": 0.2})
    with torch.no_grad():
        h = model.taps(SAMPLES.inputs)["penultimate"]
        loss = ((model(SAMPLES.inputs) - torch.nn.functional.one_hot(Y, 3)) ** 2).sum(1).mean() / 2
        norms = sum(p.square().sum() for n, p in model.named_parameters() if "weight" in n)
        expected = loss + 0.2 * norms + 0.1 * h.square().sum(1).mean()
    assert objective.total(loss.item(), SAMPLES.inputs, Y) == pytest.approx(expected.item(), rel=1e-12)
    assert objective.batch(SAMPLES.inputs, Y).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("name", ["weight", "hidden_1", "bias"])
def test_a_penalty_on_nothing_is_told_with_the_nearest_name(name):
    with pytest.raises(ModelError, match=rf"penalties\.{name}.*try"):
        build_objective(network(), build_loss("mse"), {name: 0.1})


def test_every_optimiser_of_the_registry_falls_to_the_same_minimum_of_a_convex_problem():
    reached = {}
    for name, options, epochs in [
        ("sgd", {"lr": 0.5, "momentum": 0.9}, 150),
        ("adam", {"lr": 0.05}, 400),
        ("adamw", {"lr": 0.05, "weight_decay": 0.0}, 400),
        ("rmsprop", {"lr": 5e-3}, 500),
        ("lbfgs", {}, 8),
        ("gradient_flow", {"lr": 300.0, "method": "LSODA"}, 1),
    ]:
        torch.manual_seed(0)
        model = Stages({"penultimate": nn.Identity(), "logits": nn.Linear(5, 3)}).double()
        *_, last = train(trainer(model, name, options, penalties={"weights": 0.1, "biases": 0.1}, epochs=epochs))
        reached[name] = last.objective
    assert set(reached) == set(registry("optimizers").names())
    assert reached == pytest.approx(dict.fromkeys(reached, reached["lbfgs"]), rel=1e-4)


def test_gradient_flow_is_the_limit_of_small_steps():
    flow = trainer(network(), "gradient_flow", {"lr": 0.5, "rtol": 1e-9, "atol": 1e-12})
    *_, _ = train(flow)
    errors = []
    for steps in (50, 100):
        small = trainer(network(), "sgd", {"lr": 0.5 / steps}, epochs=steps)
        *_, _ = train(small)
        pairs = zip(flow.model.parameters(), small.model.parameters(), strict=True)
        errors.append(math.sqrt(sum((a - b).square().sum().item() for a, b in pairs)))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)  # Euler's method errs in proportion to its step
    assert errors[1] < 1e-3


def test_a_line_search_sees_the_penalties():
    model = network()
    *_, last = train(trainer(model, "lbfgs", {"iterations": 200}, penalties={"weights": 0.1, "biases": 0.1}, epochs=3))
    gradient = gradients(model, {"weights": 0.1, "biases": 0.1})
    assert max(g.abs().max() for g in gradient.values()) < 1e-6
    assert last.loss["train"] < last.objective


@pytest.mark.parametrize(("name", "options"), [("lbfgs", {"iterations": 5}), ("gradient_flow", {"lr": 0.1}),
                                               ("rmsprop", {"momentum": 0.5})])  # fmt: skip
def test_training_goes_on_from_a_saved_state_bit_for_bit(name, options):
    whole = trainer(network(), name, options, epochs=6)
    expected = [s.loss["train"] for s in train(whole)]
    first = trainer(network(), name, options, epochs=3)
    *_, _ = train(first)
    second = trainer(network(3 + 1), name, options, epochs=6)
    second.load_state_dict(first.state_dict())
    assert [s.loss["train"] for s in train(second)] == expected[4:]


def test_options_that_make_no_sense_are_told():
    with pytest.raises(OptionError, match="rtol"):
        build_optimizer("gradient_flow", {"lr": 1.0, "rtol": 2.0}, network().parameters())


@pytest.mark.parametrize("loss", ["cross_entropy", "supervised_contrastive"])
def test_an_output_of_another_name_is_trained_on_and_evaluated_as_any(loss):
    built_in = network()
    named = Tapped(nn.Sequential(*built_in.stages["penultimate"], built_in.stages["logits"]), ["1", "2"], X[:1])
    assert named.layers == ("1", "2")
    results = []
    for model in (built_in, named):
        objective = build_objective(model, build_loss(loss), {"features": 0.1, "weights": 0.2})
        mean_loss, accuracy = evaluate(model, build_loss(loss), SAMPLES)
        results.append((objective.batch(SAMPLES.inputs, Y).item(), objective.total(1.0, X, Y), mean_loss, accuracy))
    assert results[0] == results[1]
    plain = named.module(SAMPLES.inputs)
    assert results[0][3] == float((plain.argmax(1) == Y).double().mean())
