"""The library without protocols: one's own arrays and models in, labelled datasets out."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import torch
import xarray as xr
from support import cases, oracles, studies
from support.sampling import pairwise
from torch import nn

from elastic import measure_collapse, measure_elasticity
from elastic.checkpoint import FILE
from elastic.data.preparation import prepare
from elastic.errors import DegenerateInput, ElasticError, ModelError, UnknownName
from elastic.losses import build_loss
from elastic.measure.update_measurement import same_rows
from elastic.models.cnn import cnn
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.registry import registry
from elastic.runs.setup import build_setup

ATTRIBUTES = {"long_name", "units", "source", "formula", "value_bounds"}


@pytest.fixture
def case():
    return cases.clustered((6, 7, 8), (5,), seed=3)


def features_of(case):
    return case.vectors.numpy(), case.labels.numpy()


def network(seed=0, *layers):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5), *layers, nn.Linear(6, 3)).double()


def samples(count, seed, labels=(0, 1, 2)):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, 4)), np.array(labels)[np.arange(count) % len(labels)]


def variables(group):
    """Return what arrays and a model suffice for: that there are fine classes is told in a protocol only."""
    entries = [e for e in registry("metrics") if e.facts.group == group]
    return {e.name: e for e in entries if not any(reading.startswith("fine_") for reading in e.parameters)}


# Collapse


def test_every_variable_agrees_with_its_slow_twin(case):
    h, y = features_of(case)
    measured = measure_collapse({"penultimate": h}, y, classifier=(case.weights, case.bias)).sel(layer="penultimate")
    assert set(measured.data_vars) == {n for n, e in variables("collapse").items() if not e.facts.layerless}
    for name, values in measured.data_vars.items():
        expected = case.ask(getattr(oracles, name))
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12, err_msg=name)
        assert set(values.attrs) >= ATTRIBUTES


def test_layers_keep_their_order_with_depth_and_width(case):
    h, y = features_of(case)
    layers = {"input": h, "b": h[:, :3], "a": h.reshape(-1, 5, 1, 1), "logits": h[:, :3]}
    measured = measure_collapse(layers, y)
    assert measured["layer"].values.tolist() == ["input", "b", "a", "logits"]
    assert measured["depth"].values.tolist() == [0, 1, 2, 3]
    assert measured["width"].values.tolist() == [5, 3, 5, 3]
    assert measured["nc1"].sel(layer="a") == pytest.approx(float(measured["nc1"].sel(layer="input")), rel=1e-12)
    assert measured["class_cosine"].dims == ("layer", "class", "other_class")
    assert measured.attrs == {"group": "collapse"}


def test_one_array_is_one_layer(case):
    h, y = features_of(case)
    one, named = measure_collapse(h, y), measure_collapse({"features": h}, y)
    xr.testing.assert_identical(one, named)
    assert (one.sizes["layer"], one["depth"].item()) == (1, 1)


@pytest.mark.parametrize("kind", [torch.tensor, np.ndarray.tolist, lambda h: torch.tensor(h, requires_grad=True)])
def test_tensors_and_lists_are_arrays_too(case, kind):
    h, y = features_of(case)
    xr.testing.assert_identical(
        measure_collapse(kind(h), kind(y) if kind is torch.tensor else y), measure_collapse(h, y)
    )


def test_labels_may_be_any_names(case):
    h, y = features_of(case)
    plain = measure_collapse(h, y)
    for names in (np.array(["cat", "dog", "eel"]), np.array([-7, 3, 1000])):
        measured = measure_collapse(h, names[y])
        assert measured["class"].values.tolist() == measured["other_class"].values.tolist() == names.tolist()
        for name in plain.data_vars:
            np.testing.assert_array_equal(measured[name], plain[name])


def test_without_a_classifier_its_variables_are_left_out(case):
    h, y = features_of(case)
    asked = {e.name: set(e.parameters) for e in variables("collapse").values()}
    readings = {"classifier_weights", "classifier_bias", "duality_weights", "decisions", "least_squares"}
    assert set(measure_collapse(h, y).data_vars) == {name for name, needs in asked.items() if not needs & readings}


def test_a_classifier_without_bias_decides_without(case):
    h, y = features_of(case)
    h = h + 3.0  # the bias has to matter
    W = case.weights.numpy()
    b = case.bias.numpy() - 3.0 * W.sum(1)
    bare, full = measure_collapse(h, y, classifier=W), measure_collapse(h, y, classifier=(W, b))
    assert bare["nc4_mismatch"].item() == oracles.nc4_mismatch(h, y, W, None)
    assert full["nc4_mismatch"].item() == oracles.nc4_mismatch(h, y, W, b)
    assert full["nc4_mismatch"].item() != bare["nc4_mismatch"].item()
    assert full["nc3_duality"].item() == bare["nc3_duality"].item()


def test_the_classifier_reads_the_last_layer_before_the_logits(case):
    h, y = features_of(case)
    W, b = case.weights.numpy(), case.bias.numpy()
    measured = measure_collapse({"first": h[:, :2], "second": h, "logits": h @ W.T + b}, y, classifier=W)
    duality = measured["nc3_duality"]
    assert duality.sel(layer="second") == pytest.approx(oracles.nc3_duality(h, y, W), rel=1e-9)
    assert duality.sel(layer=["first", "logits"]).isnull().all()
    # The logits tell the decisions better than a classifier that was given without its bias.
    assert float(measured["nc4_mismatch"].sel(layer="second")) == oracles.nc4_mismatch(h, y, W, b)
    assert measured["nc4_mismatch"].notnull().all()


def test_logits_of_more_classes_than_are_there_are_read_by_their_labels(case):
    h, y = features_of(case)
    names, decided = np.array([2, 5, 9]), (case.decisions.numpy() + (np.arange(len(y)) % 7 == 0)) % 3
    logits = np.eye(10)[names[decided]]
    measured = measure_collapse({"h": h, "logits": logits}, names[y])
    expected = np.mean(np.array(oracles.nearest_class_means(h, y)) != decided)
    assert float(measured["nc4_mismatch"].sel(layer="h")) == pytest.approx(expected)
    elsewhere = measure_collapse({"h": h, "logits": np.eye(10)[np.zeros(len(y), int)]}, names[y])
    assert float(elsewhere["nc4_mismatch"].sel(layer="h")) == 1.0


BAD_ARRAYS = {
    "no layer": (lambda h, y: ({}, y), "`features` should hold a layer"),
    "strings": (lambda h, y: (h.astype(str), y), "should be an array of numbers"),
    "ragged": (lambda h, y: ([[1.0], [2.0, 3.0]], [0, 1]), "should be an array of numbers"),
    "complex": (lambda h, y: (h + 1j, y), "should be real numbers of shape"),
    "a number": (lambda h, y: (3.0, [1]), "should be real numbers of shape"),
    "no features": (lambda h, y: (h[:, :0], y), "should be real numbers of shape"),
    "too few labels": (lambda h, y: (h, y[:-1]), "should have one row a label; found 21 for 20 labels"),
    "a layer too short": (lambda h, y: ({"a": h, "b": h[1:]}, y), re.escape("`features['b']` should have one row")),
    "one class": (lambda h, y: (h, 0 * y), "should be at least 2; found 1"),
    "no samples": (lambda h, y: (h[:0], y[:0]), "should be at least 2; found 0"),
    "not finite": (lambda h, y: (np.where(h == h.max(), np.nan, h), y), "should be finite"),
    "mixed labels": (lambda h, y: (h[:2], np.array([1, "a"], dtype=object)), "be all numbers or all strings"),
    "too few logits": (lambda h, y: ({"logits": h[:, :2]}, y), "should have a column for each of the 3 labels"),
    "other logits": (lambda h, y: ({"logits": h}, np.array([1, 2, 7])[y]), "labels that are positions"),
    "logits of names": (lambda h, y: ({"logits": h}, np.array(["a", "b", "c"])[y]), "labels that are positions"),
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_told_in_a_sentence(case, kind):
    make, message = BAD_ARRAYS[kind]
    with pytest.raises(DegenerateInput, match=message):
        measure_collapse(*make(*features_of(case)))


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (np.ones((3, 4)), r"`classifier` should be of shape \[3, 5\] for 3 classes; found \[3, 4\]"),
        (np.ones((2, 5)), "`classifier` should be of shape"),
        ((np.ones((3, 5)), np.ones(2)), r"`bias` should be of shape \[3\]"),
        ((np.ones((3, 5)), np.ones(1)), r"`bias` should be of shape \[3\]"),
    ],
)
def test_a_classifier_of_another_shape_is_refused(case, classifier, message):
    with pytest.raises(DegenerateInput, match=message):
        measure_collapse(*features_of(case), classifier=classifier)


# Elasticity


def slow(model, layer, loss, stepped, observed):
    """Return the slow twins' movements (moved [J, M, d], own [J, d]) in a layer of a sequence of modules."""

    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model.eval()

        def forward(self, inputs):
            return self.model(inputs)

        def taps(self, inputs):
            return {"logits": self.model(inputs), "1": self.model[:2](inputs)}

    (xs, ys), (xo, _) = ((torch.tensor(x), torch.tensor(y)) for x, y in (stepped, observed))
    twin, criterion = Twin(), build_loss(loss)
    read = {"logits": "logits", "penultimate": "1"}[criterion.layer]
    gradients = [oracles.share_gradient(twin, read, criterion.per_sample, xs, ys, a) for a in range(len(xs))]

    def movement(a, x):
        return oracles.first_order_movement(twin, layer, gradients[a], x)

    moved = np.array([[movement(a, x) for x in xo] for a in range(len(xs))])
    return moved, np.array([movement(a, x) for a, x in enumerate(xs)])


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "supervised_contrastive"])
@pytest.mark.parametrize("layer", ["1", "logits"])
def test_a_module_of_one_s_own_moves_as_its_slow_twin(loss, layer):
    model, stepped, observed = network(), samples(6, 1), samples(9, 2)
    measured = measure_elasticity(model, stepped, observed, layers=["1"], loss=loss, pairs=True).sel(layer=layer)
    moved, own = slow(model, layer, loss, stepped, observed)
    np.testing.assert_allclose(measured["pair_response"], np.linalg.norm(moved, axis=2), rtol=1e-9)
    np.testing.assert_allclose(measured["own_response"], np.linalg.norm(own, axis=1), rtol=1e-9)
    np.testing.assert_allclose(measured["pair_product"], np.einsum("jmd,jd->jm", moved, own), rtol=1e-8, atol=1e-14)
    labels = {"stepped": stepped[1].tolist(), "observed": observed[1].tolist()}
    known = {**labels, "moved": moved, "own": own, "same": lambda a, m: False, "classes": 3}
    for name in ("response", "relative_similarity", "kernel_similarity", "locality", "response_stderr_clustered"):
        oracle = getattr(oracles, name)
        expected = oracle(**{name: known[name] for name in inspect.signature(oracle).parameters})
        np.testing.assert_allclose(measured[name], expected, rtol=1e-8, err_msg=name)


def test_every_variable_has_its_dims_and_attributes():
    measured = measure_elasticity(network(), samples(6, 1), samples(9, 2), layers=["0", "1"])
    entries = variables("elasticity")
    of_layers = {name for name, entry in entries.items() if not entry.facts.layerless} - {"geodesic_correlation"}
    of_losses = {"loss_response", "logit_response", "squeezed_probability", "local_stability", "uniform_stability"}
    assert set(measured.data_vars) == of_layers | of_losses | {"loss_response_stderr", "logit_response_stderr"}
    for name, values in measured.data_vars.items():
        assert values.dims == (("layer",) if name in of_layers else ()) + entries[name].facts.dims
        assert set(values.attrs) >= ATTRIBUTES
        assert values.dtype == np.float64
    assert measured["layer"].values.tolist() == ["0", "1", "logits"]
    assert measured["depth"].values.tolist() == [1, 2, 3]
    assert measured["width"].values.tolist() == [6, 6, 3]


@pytest.mark.parametrize(
    ("engine", "loss", "lr"),
    pairwise(["structured", "autodiff"], ["cross_entropy", "supervised_contrastive"], [None, 0.1]),
)
def test_the_output_keeps_its_name_and_the_name_changes_no_number(engine, loss, lr):
    model, stepped, observed = network(), samples(6, 1), samples(9, 2)
    options = {"engine": engine, "loss": loss, "update": "first_order" if lr is None else "finite", "lr": lr}
    named = measure_elasticity(model, stepped, observed, layers=["0", "1", "3"], pairs=True, **options)
    added = measure_elasticity(model, stepped, observed, layers=["0", "1"], pairs=True, **options)
    assert named["layer"].values.tolist() == ["0", "1", "3"]
    assert added["layer"].values.tolist() == ["0", "1", "logits"]
    assert named["role"].values.tolist() == added["role"].values.tolist() == ["hidden", "hidden", "output"]
    xr.testing.assert_identical(named.assign_coords(layer=added["layer"]), added)


@pytest.mark.parametrize("layers", ["auto", ["1", "[3]"], ["module.1", "3"], "[13]"])
def test_layers_may_be_chosen_by_pattern_or_by_type(layers):
    model, stepped, observed = network(), samples(6, 1), samples(9, 2)
    expected = measure_elasticity(model, stepped, observed, layers=["1", "3"])
    xr.testing.assert_identical(measure_elasticity(model, stepped, observed, layers=layers), expected)
    wrapped = nn.DataParallel(model)
    xr.testing.assert_identical(measure_elasticity(wrapped, stepped, observed, layers=layers), expected)


@pytest.mark.parametrize("engine", ["structured", "autodiff"])
def test_compiled_submodules_move_as_they_are_written(engine):
    model, stepped, observed = network(), samples(6, 1), samples(9, 2)
    expected = measure_elasticity(model, stepped, observed, layers=["1", "3"], engine=engine)
    inner = nn.Sequential(torch.compile(model[:2], backend="eager"), model[3])
    measured = measure_elasticity(inner, stepped, observed, layers=["0._orig_mod.1", "1"], engine=engine)
    xr.testing.assert_equal(measured.assign_coords(layer=expected["layer"]), expected)
    model.compile(backend="eager")
    xr.testing.assert_identical(
        measure_elasticity(model, stepped, observed, layers=["1", "3"], engine=engine), expected
    )


def test_roles_tell_input_and_output_from_hidden_layers(case):
    h, y = features_of(case)
    assert measure_collapse({"input": h, "b": h, "logits": h[:, :3]}, y)["role"].values.tolist() == [
        "input", "hidden", "output",
    ]  # fmt: skip
    assert measure_collapse(h, y)["role"].values.tolist() == ["hidden"]


@pytest.mark.parametrize(("build", "shape"), [(mlp, (4,)), (cnn, (1, 4, 4))], ids=["mlp", "cnn"])
def test_built_in_models_need_no_names_of_layers(build, shape):
    sizes = {"widths": [6, 5]} if build is mlp else {"channels": [2, 3]}
    model = build(Task(shape, 3), **sizes)  # here, not at import: the weights come from the test's seed
    x, y = torch.randn(12, *shape, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    measured = measure_elasticity(model, (x[:6], y[:6]), (x[6:], y[6:]))
    assert measured["layer"].values.tolist() == list(model.layers)
    assert measured["relative_similarity"].notnull().all()


def test_a_class_whose_samples_move_nothing_has_no_relative_similarity():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
        model[2].weight.copy_(torch.tensor([[1.0, 0.5], [-1.0, 0.5]]))
    x = np.array([[-1.0, -1.0], [1.0, 2.0], [-2.0, -1.0], [2.0, 1.0]], dtype=np.float32)
    measured = measure_elasticity(model, (x[:2], [0, 1]), (x[2:], [0, 1]), layers=["1"])  # class 0 is dead to all units
    assert measured["self_response"].sel(layer="1").values.tolist()[0] == 0
    assert measured["relative_similarity"].sel(layer="1", stepped_class=0).isnull().all()
    assert measured["relative_similarity"].sel(layer="1", stepped_class=1).notnull().all()


def test_a_sample_in_both_sets_is_no_pair_with_itself():
    model, (x, y) = network(), samples(9, 1)
    measured = measure_elasticity(model, (x[:3], y[:3]), (x, y), layers=["1"], pairs=True)
    pairs = measured["pair_response"]
    expected = np.zeros((3, 9), bool)
    expected[range(3), range(3)] = True
    assert (pairs.isnull() == expected).all()
    others = measure_elasticity(model, (x[:3], y[:3]), (x[3:], y[3:]), layers=["1"])
    own = pairs.groupby("observed_label").mean(skipna=True).sel(layer="logits", observed_label=0).values[0]
    assert measured["response"].sel(layer="logits")[0, 0] == pytest.approx(own, rel=1e-9)
    np.testing.assert_allclose(others["response"][:, 0, 0], pairs.isel(stepped=0, observed=[3, 6]).mean("observed"))


def test_pairs_carry_the_labels_of_their_samples():
    measured = measure_elasticity(network(), samples(4, 1), samples(6, 2), layers=["1"], pairs=True)
    pairs = measured["pair_response"]
    assert pairs.dims == ("layer", "stepped", "observed")
    assert pairs["stepped_label"].values.tolist() == [0, 1, 2, 0]
    assert pairs["observed_label"].values.tolist() == [0, 1, 2, 0, 1, 2]
    means = pairs.groupby("stepped_label").mean().groupby("observed_label").mean()
    np.testing.assert_allclose(measured["response"], means.transpose("layer", ...), rtol=1e-9)
    assert "pair_response" not in measure_elasticity(network(), samples(4, 1), samples(6, 2), layers=["1"])


def test_classes_are_the_labels_that_occur():
    model, stepped, observed = network(), samples(4, 1, labels=(2, 0)), samples(6, 2, labels=(2, 0))
    measured = measure_elasticity(model, stepped, observed, layers=["1"])
    assert measured["stepped_class"].values.tolist() == measured["observed_class"].values.tolist() == [0, 2]
    assert measured["response"].notnull().all()
    moved, _ = slow(model, "logits", "cross_entropy", stepped, observed)
    expected = np.linalg.norm(moved, axis=2)[np.ix_(stepped[1] == 2, observed[1] == 0)].mean()
    assert float(measured["response"].sel(layer="logits", stepped_class=2, observed_class=0)) == pytest.approx(expected)


def test_a_class_that_is_only_observed_has_no_response_of_its_own():
    measured = measure_elasticity(network(), samples(4, 1, labels=(0, 1)), samples(6, 2), layers=["1"])
    assert measured["response"].sel(stepped_class=2).isnull().all()
    assert measured["response"].sel(stepped_class=0).notnull().all()


def test_finite_steps_tend_to_the_first_order_and_are_per_unit_of_rate():
    arguments = (network(), samples(6, 1), samples(9, 2))
    limit = measure_elasticity(*arguments, layers=["1"])["response"]
    apart = [
        float(abs(measure_elasticity(*arguments, layers=["1"], update="finite", lr=lr)["response"] - limit).max())
        for lr in (1e-1, 1e-2, 1e-3)
    ]
    assert apart[0] > 5 * apart[1] > 25 * apart[2]


def test_a_loss_may_be_given_itself():
    arguments = (network(), samples(6, 1), samples(9, 2))
    named = measure_elasticity(*arguments, layers=["1"], loss="mse")
    xr.testing.assert_identical(measure_elasticity(*arguments, layers=["1"], loss=build_loss("mse")), named)


def test_a_small_memory_budget_changes_nothing():
    arguments = (network(), samples(6, 1), samples(9, 2))
    whole = measure_elasticity(*arguments, layers=["1"])
    xr.testing.assert_allclose(measure_elasticity(*arguments, layers=["1"], memory_budget=12288), whole, rtol=1e-10)


@pytest.mark.parametrize("measure", ["collapse", "arrays", "elasticity"])
def test_modes_of_the_caller_change_nothing(measure, case):
    model, (x, y) = network().float(), samples(6, 1)
    h, labels = features_of(case)

    def measured():
        if measure == "arrays":
            return measure_collapse({"h": h, "logits": h[:, :3]}, labels, classifier=(case.weights, case.bias))
        if measure == "collapse":
            return measure_collapse(model, (x, y), layers=["1"])
        return measure_elasticity(model, (x, y), (x, y), layers=["1"])

    expected = measured()
    with torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"):
        assert measured().identical(expected)


def test_the_model_is_left_as_it_was():
    model = network(0, nn.BatchNorm1d(6)).train()
    model[3].eval()
    before, modes = {k: v.clone() for k, v in model.state_dict().items()}, [m.training for m in model.modules()]
    state = torch.get_rng_state()
    measure_elasticity(model, samples(6, 1), samples(9, 2), layers=["1"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


STEPPED, OBSERVED = samples(6, 1), samples(9, 2)
X, Y = STEPPED
BAD_QUESTIONS = {
    "engine": ({"engine": "fast"}, ElasticError, "`engine` should be"),
    "update": ({"update": "second_order"}, ElasticError, "`update` should be"),
    "rate of first order": ({"lr": 0.1}, ElasticError, "`lr` should be left out"),
    "no rate": ({"update": "finite"}, ElasticError, "positive learning rate"),
    "rate zero": ({"update": "finite", "lr": 0.0}, ElasticError, "positive learning rate"),
    "rate infinite": ({"update": "finite", "lr": float("inf")}, ElasticError, "positive learning rate"),
    "rate nan": ({"update": "finite", "lr": float("nan")}, ElasticError, "positive learning rate"),
    "rate text": ({"update": "finite", "lr": "0.1"}, ElasticError, "positive learning rate"),
    "unknown loss": ({"loss": "crossentropy"}, UnknownName, "try 'cross_entropy'"),
    "no loss": ({"loss": 3}, ElasticError, "`loss` should be a name"),
    "the class of a loss": ({"loss": nn.CrossEntropyLoss}, ElasticError, "found the class CrossEntropyLoss; try"),
    "no layers": ({"layers": None}, ModelError, "`layers` should name submodules"),
    "unknown layer": ({"layers": ["9"]}, ModelError, "found '9'"),
    "no module": ({"model": lambda x: x}, ModelError, "be an nn.Module with parameters"),
    "no parameters": ({"model": nn.ReLU()}, ModelError, "be an nn.Module with parameters"),
    "no pair": ({"stepped": X}, DegenerateInput, r"try stepped=\(inputs, labels\)"),
    "no samples": ({"stepped": (X[:0], Y[:0])}, DegenerateInput, "found 0 inputs, 0 labels"),
    "other lengths": ({"observed": (X, Y[:3])}, DegenerateInput, "found 6 inputs, 3 labels"),
    "not finite": ({"stepped": (X * np.nan, Y)}, DegenerateInput, "`stepped` should be finite"),
    "names": ({"stepped": (X, ["a"] * 6)}, DegenerateInput, r"`stepped\[1\]` should be positions"),
    "halves": ({"stepped": (X, Y + 0.5)}, DegenerateInput, r"`stepped\[1\]` should be positions"),
    "beyond the logits": ({"stepped": (X, Y + 1)}, DegenerateInput, r"positions of the 3 logits; found 0 … 3"),
    "below zero": ({"observed": (X, Y - 1)}, DegenerateInput, r"positions of the 3 logits; found -1 … 2"),
    "other width": ({"stepped": (X[:, :3], Y)}, ModelError, "`model` should run on the stepped inputs"),
    "other observed": ({"observed": (X[:, :3], Y)}, ModelError, "`model` should run on the observed inputs"),
    "one output": ({"model": nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), "layers": []}, ElasticError, "logits"),
}


@pytest.mark.parametrize("kind", BAD_QUESTIONS)
def test_questions_that_do_not_fit_are_told_in_a_sentence(kind):
    changed, error, message = BAD_QUESTIONS[kind]
    asked = {"model": network(), "stepped": STEPPED, "observed": OBSERVED, "layers": ["1"]} | changed
    with pytest.raises(error, match=message):
        measure_elasticity(asked.pop("model"), asked.pop("stepped"), asked.pop("observed"), **asked)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64])
def test_same_rows_are_those_of_equal_bytes(dtype):
    first = torch.tensor([[[1, 2]], [[3, 4]]]).to(dtype)
    second = torch.tensor([[[3, 4]], [[1, 3]], [[1, 2]], [[3, 4]]]).to(dtype)
    assert same_rows(first, second).tolist() == [[False, False, True, False], [True, False, False, True]]


# The library and a run measure alike


@pytest.fixture
def last_epoch(finished_study):
    """Return the cube at the last epoch of the first run, its network, and the bench it was built on."""
    cell = finished_study.protocol.cells[0]
    bench = build_setup(cell.settings, torch.device("cpu"))
    state = torch.load(finished_study.run_folder(cell.digest) / FILE, weights_only=True)["state"]
    assert state["epoch"] == 6
    bench.trainer.model.load_state_dict(state["model"])
    cube = finished_study.cube
    at = {"seed": cell.settings.seed, "epoch": 6}
    return {group: cube[group].dataset.sel(at) for group in ("collapse", "elasticity")}, bench


@pytest.mark.parametrize("split", ["train", "test"])
def test_collapse_of_one_s_own_features_is_that_of_the_run(last_epoch, split):
    cube, bench = last_epoch
    data, model = bench.probes["collapse"].reader.samples[split], bench.trainer.model.eval()
    with torch.no_grad():
        features = {"input": data.inputs, **model.taps(data.inputs)}
    linear = model.next_weights()["penultimate"]
    names = np.array(data.classes)[data.labels.numpy()]
    measured = measure_collapse(features, names, classifier=(linear.weight.detach(), linear.bias.detach()))
    of_run = cube["collapse"].sel(split=split)
    assert measured["class"].values.tolist() == of_run["class"].values.tolist() == [3, 5, 8]
    compared = set(measured.data_vars)
    if split == "test":  # a run decides test samples by the train means, which are not at hand here
        compared -= {"nc4_mismatch", "ncc_accuracy"}
    for name in compared:
        expected = of_run[name]
        if name.startswith("nc3_duality"):  # the run knows the inner weights too
            expected = expected.where(expected["layer"] == "penultimate")
        np.testing.assert_allclose(measured[name].values, expected.transpose(*measured[name].dims).values, rtol=1e-5,
                                   atol=1e-12, err_msg=name)  # fmt: skip
    np.testing.assert_array_equal(measured["width"], of_run["width"])
    np.testing.assert_array_equal(measured["depth"], of_run["depth"])


def test_elasticity_of_one_s_own_model_is_that_of_the_run(last_epoch):
    cube, bench = last_epoch
    probe = bench.probes["elasticity"].reader
    stepped, observed = (probe.samples.take(draw) for draw in probe.draws[0])
    measured = measure_elasticity(
        bench.trainer.model, (stepped.inputs, stepped.labels), (observed.inputs, observed.labels)
    )
    assert measured["layer"].values.tolist() == cube["elasticity"]["layer"].values.tolist()
    assert float(measured["probe_error"].max()) < 1e-5  # of other pairs than the run's
    for name in measured.data_vars.keys() - {"probe_error"}:
        expected = cube["elasticity"][name].transpose(*measured[name].dims)
        np.testing.assert_allclose(measured[name].values, expected.values, rtol=1e-4, atol=1e-12, err_msg=name)


def test_the_protocol_s_data_are_at_hand_for_one_s_own_loop(finished_study):
    data = finished_study.protocol.data
    prepared = prepare(data.name, data.options, per_class=data.per_class, classes=data.classes,
                       test_fraction=data.test_fraction, seed=data.seed)  # fmt: skip
    assert finished_study.cube.attrs["data_digest"] == prepared.digest
    assert studies.SMALL in finished_study.cube.attrs["protocol"]
