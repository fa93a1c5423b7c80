"""Mistakes in parts that a user registers are named, and wrong ones are refused before a run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import nn

import elastic
from elastic.claims.contract import Evidence, claim, evidence_of
from elastic.cube import Layout, Variable
from elastic.cube.variable import check_names
from elastic.data.contract import Samples
from elastic.data.preparation import prepare
from elastic.errors import DataError, ElasticError, ModelError, NotMeasured, OptionError, StudyError
from elastic.figures.contract import figure
from elastic.losses.contract import Loss, LossGradient, build_loss, by_norm
from elastic.losses.own_registered import check_registered
from elastic.metrics.tabulation import tabulate
from elastic.models.building import build_model
from elastic.models.contract import Stages, Task
from elastic.optimizers.contract import build_optimizer, needs_objective, optimizer
from elastic.probes.contract import Declaration, Probe, ProbeFacts
from elastic.registry import Entry, registry
from elastic.runs.layouts import layout_of

LABELS = torch.tensor([0, 0, 1, 1])


@pytest.fixture
def enter(monkeypatch):
    """Register a function as "own" in a registry for one test."""

    def entered(kind, function, facts=None):
        of_kind = registry(kind)
        of_kind.names()
        known = of_kind._entries.get("cross_entropy" if kind == "losses" else "sgd")
        facts = facts if facts is not None or known is None else known.facts
        monkeypatch.setattr(of_kind, "_entries", {**of_kind._entries, "own": Entry(kind, "own", function, facts)})

    return entered


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        ((torch.rand(4, 2), LABELS), "`own` should return Samples; found tuple"),
        (Samples(torch.rand(4, 2), torch.eye(2)[LABELS].long(), (0, 1)), r"`labels` should have one value"),
        (Samples(torch.rand(3, 2), LABELS, (0, 1)), r"`inputs` should have one row .* found shape \(3, 2\)"),
        (Samples(torch.rand(4, 2), LABELS, (0, 1), is_test=torch.zeros(4)), r"`is_test` should be boolean"),
        (Samples(torch.rand(4, 2), LABELS, (0, 1), fine_labels=LABELS[:3], fine_classes=(5, 6)), "`fine_labels`"),
        (Samples(np.ones((4, 2)), LABELS, (0, 1)), r"`inputs` should be a tensor; found ndarray"),
        (Samples(torch.rand(4, 2, requires_grad=True), LABELS, (0, 1)), r"`inputs` should need no gradient"),
    ],
)  # fmt: skip
def test_samples_that_do_not_fit_together_are_refused(enter, samples, text):
    enter("data", lambda generator: samples)
    with pytest.raises(DataError, match=text):
        prepare("own", {})


def values(logits, labels):
    return -logits.log_softmax(1).gather(1, labels[:, None])[:, 0]


def slopes(logits, labels):
    return logits.double().softmax(1) - nn.functional.one_hot(labels, logits.shape[1])


RIGHT = Loss(values, lambda z, y: by_norm(slopes(z, y)))


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (Loss(lambda z, y: values(z, y).mean(), RIGHT.gradient), r"shape \(9,\); found shape \(\)"),
        (Loss(values, lambda z, y: by_norm(2 * slopes(z, y))), "be the derivative of the sum of per_sample"),
        (Loss(values, slopes), "should return a LossGradient; found Tensor"),
        (Loss(values, lambda z, y: LossGradient(slopes(z, y), torch.ones(len(z)))), "directions of length 1"),
        (Loss(values, lambda z, y: by_norm(slopes(z, y)[:3])), r"found \(3, 3\) and \(3,\)"),
        (Loss(values, lambda z, y: 1 / 0), "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_loss_whose_gradient_is_not_that_of_its_values_is_refused(enter, own, text):
    enter("losses", lambda: own)
    with pytest.raises(ModelError, match=text):
        check_registered("own", own, 3, 3)


def test_a_right_loss_is_taken_and_those_of_elastic_are_not_tried(enter):
    enter("losses", lambda: RIGHT)
    check_registered("own", build_loss("own"), 3, 3)
    check_registered("cross_entropy", Loss(values, slopes), 3, 3)
    enter("losses", lambda: values)
    with pytest.raises(ModelError, match="`own` should be a Loss; found function"):
        build_loss("own")


def test_an_optimizer_that_is_none_is_refused(enter):
    weight = nn.Parameter(torch.ones(1))
    for returned, text in ((None, "NoneType"), (1 / 2, "float")):
        enter("optimizers", lambda parameters, value=returned: value)
        with pytest.raises(ModelError, match=rf"`own` should be a torch.optim.Optimizer; found {text}"):
            build_optimizer("own", {}, [weight])
    enter("optimizers", lambda parameters: torch.optim.SGD(parameters, rate=1.0))
    with pytest.raises(ModelError, match="`own` should be built; found TypeError"):
        build_optimizer("own", {}, [weight])
    enter("optimizers", lambda parameters: torch.optim.Optimizer(parameters, {}))
    with pytest.raises(ModelError, match="a learning rate in each group"):
        build_optimizer("own", {}, [weight])
    with pytest.raises(ElasticError, match=r"`ridge` of the optimizer `adagrad` should name one .* 'decay'"):
        optimizer(name="adagrad", ridge="decay")(lambda parameters, *, lr=0.1: None)


def test_a_step_without_a_closure_searches_nothing():
    class Plain(torch.optim.SGD):
        def step(self):
            """Take no closure."""

    assert not needs_objective(Plain([nn.Parameter(torch.ones(1))]))


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (nn.Linear(3, 3), "features of 'hidden' .* a stage 'penultimate'"),
        (nn.ReLU(inplace=True), "features of 'input'"),
    ],
)
def test_a_stage_that_overwrites_the_features_before_it_is_refused(enter, first, text):
    stages = {"hidden": first, "penultimate": nn.ReLU(inplace=True), "logits": nn.Linear(3, 2)}
    enter("models", lambda task: Stages(stages))
    with pytest.raises(ModelError, match=text):
        build_model("own", {}, Task((3,), 2))
    stages = {"penultimate": nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), "logits": nn.Linear(3, 2)}
    build_model("own", {}, Task((3,), 2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda x: 1.0, "found float"),
        (lambda x: torch.ones(1) * 1j, "complex64"),
        (lambda x: torch.ones(x), "one shape"),
    ],
)
def test_a_metric_of_no_real_tensor_is_named(enter, value, text):
    enter("metrics", value, registry("metrics").get("nc1").facts)
    monkey = registry("metrics")._entries
    monkey["own"] = Entry("metrics", "own", lambda reading: value(reading), monkey["nc1"].facts)
    with pytest.raises(OptionError, match=f"metric `own` .*{text}"):
        tabulate("collapse", ["a", "b"], {"a": {"reading": 2}, "b": {"reading": 3}})


def test_names_of_a_cube_are_unique_and_its_layers_are_those_of_the_model():
    def laid_out(*variables, labels=("h",)):
        return Layout(
            epochs=1, probed=(0,), layers=[("input", 0, 2), ("h", 1, 2)], classes=("a", "b"), splits=("train",),
            class_counts={"train": [1, 1]}, variables=variables,
            groups={"one": {"layer": labels}, "two": {"layer": labels}},
        )  # fmt: skip

    laid_out(Variable("one", "x", ("layer",)), Variable("two", "y", ("layer",)))
    earlier = laid_out(Variable("one", "x"), Variable("two", "x"))
    assert Layout.from_json(earlier.to_json()) == earlier, "a study that an earlier release wrote"
    with pytest.raises(StudyError, match="different names; found two/y, one/y; try"):
        check_names([Variable("one", "y")], [Variable("one", "x"), Variable("two", "x"), Variable("two", "y")])
    with pytest.raises(StudyError, match="found one/x, two/x; try another name for your own one"):
        layout_of(None, {}, [Variable("one", "x"), Variable("two", "x")])
    with pytest.raises(StudyError, match=r"labels of one/layer` should be layers of the model"):
        laid_out(Variable("one", "x"), labels=("other",))
    with pytest.raises(StudyError, match="without '/'"):
        Variable("one", "x/y")


def effect(**dims):
    return xr.DataArray(np.ones(tuple(dims.values())), dims=tuple(dims))


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (lambda: 3.0, r"`own` should return Evidence\(effect, region, quantity\); found float"),
        (lambda: Evidence(effect(layer=2), (0, 1), "x"), r"effect of `own` .*dim seed; found dims \('layer',\)"),
        (lambda: Evidence(effect(seed=2), (1, 0), "x"), r"region of `own` should be an open interval"),
        (lambda: {}["nc1"], "claim `own` should return evidence; found KeyError: 'nc1'"),
    ],
)
def test_a_claim_that_returns_no_evidence_is_named(returned, text):
    with pytest.raises(OptionError, match=text):
        evidence_of(Entry("claims", "own", lambda cube: returned()), xr.DataTree(), {})


def test_a_sentence_that_names_no_option_is_refused():
    with pytest.raises(ElasticError, match=r"sentence of the claim `own` should name options .*'factr'; try 'factor'"):
        claim(source="he2023law", sentence="falls by {factr:g}{in_layer}", name="own")(lambda cube, *, factor=2.0: None)


def test_a_figure_that_fails_on_a_cube_is_left_out_as_one_that_it_does_not_have(monkeypatch):
    monkeypatch.setattr(registry("figures"), "_entries", {})
    failing = figure(name="own")(lambda cube: cube["dead"])
    with pytest.raises(NotMeasured, match=r"should draw this cube; found KeyError: 'Could not find node at dead'"):
        failing(xr.DataTree())
    with pytest.raises(OptionError, match="should return a matplotlib Figure; found float"):
        figure(name="own")(lambda cube: math.pi)(xr.DataTree())
    assert isinstance(figure(name="own")(lambda cube: Figure())(xr.DataTree()), Figure)


class Retrained(Probe):
    """Trains the model to measure how far that moves it, and leaves it so."""

    def __init__(self, subject):
        super().__init__()
        self.model = subject.model

    def declare(self):
        return Declaration({}, [Variable("own", "moved", (), {"long_name": "Movement", "units": "1"})])

    def read(self, epoch):
        weight = next(self.model.parameters())
        assert weight.grad is None
        with torch.no_grad():
            weight.add_(torch.rand(weight.shape))
        self.model.train().requires_grad_(False)
        return {"moved": np.float64(torch.rand(()).item())}


def test_a_probe_of_the_user_leaves_the_model_as_it_was(enter, tmp_path):
    enter("probes", Retrained, ProbeFacts("own", ()))
    net, images, labels = nn.Linear(3, 2), torch.rand(8, 3), torch.arange(8) % 2
    net(images).sum().backward()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    with elastic.Recorder(tmp_path / "s", net.eval(), train=(images, labels), epochs=1, probes={"own": {}}) as recorder:
        recorder.record(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training
    assert net.bias.grad.tolist() == [8.0, 8.0]
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert 0 < float(elastic.open_study(tmp_path / "s").cube["own"]["moved"][0, 0]) < 1
