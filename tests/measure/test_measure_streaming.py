"""Collapse of a model from a loader: the numbers of the arrays, in memory for a batch, of the same samples twice."""

from __future__ import annotations

import collections
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from support import processes
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from elastic import measure_collapse
from elastic.batches.table import Table
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.models.auto_layers import auto_layers
from elastic.models.batch_forward import BatchForward
from elastic.models.contract import Stages, Task
from elastic.models.forward_trace import trace
from elastic.models.mlp import mlp

NAMES = ["1", "3"]


def network(dtype=torch.float64, outputs=3):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, outputs)]
    return nn.Sequential(*layers).to(dtype)


def samples(count=50, labels=(0, 1, 2), seed=1, dtype=torch.float64):
    """Return clustered inputs with an offset, and labels that come class by class: most batches lack a class."""
    generator = np.random.default_rng(seed)
    codes = np.sort(np.arange(count) % len(labels))
    x = generator.normal(size=(count, 4)) + 2 * np.eye(4)[codes] + 5
    return torch.tensor(x, dtype=dtype), np.array(labels)[codes]


def by_arrays(net, x, y, *, names=NAMES, classifier=None):
    """Return the collapse of features held in memory, taken by plain calls."""
    features, h = {}, x
    net.eval()
    with torch.no_grad():
        for name, layer in net.named_children():
            h = layer(h)
            if name in names:
                features[name] = h
    last = net[-1]
    return measure_collapse(
        {**features, "logits": h}, y, classifier=(last.weight, last.bias) if classifier is None else classifier
    )


def assert_same(found, expected, tolerance=1e-12):
    assert set(found.data_vars) == set(expected.data_vars)
    assert {"nc1", "nc3_duality", "nc4_mismatch", "ncc_accuracy", "classifier_cosine"} <= set(found.data_vars)
    xr.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    assert found.attrs == {**expected.attrs, "features": "all of a layer, flattened"}
    for name, values in found.data_vars.items():
        assert values.attrs == expected[name].attrs


class Pairs(Dataset):
    """Samples (input, label), of which some are drawn anew whenever they are asked for."""

    def __init__(self, x, y, noise=0.0):
        self.x, self.y, self.noise = x, y, noise

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        if i >= len(self.x):
            raise IndexError
        return self.x[i] + self.noise * torch.randn(4), int(self.y[i])


class Stream(IterableDataset):
    def __init__(self, x, y):
        self.pairs = Pairs(x, y)

    def __iter__(self):
        return (self.pairs[i] for i in range(len(self.pairs)))


class Again:
    """An iterable of batches that is neither a DataLoader nor a sequence."""

    def __init__(self, make):
        self.make, self.passes = make, 0

    def __iter__(self):
        self.passes += 1
        return iter(self.make())


def cut(x, y, size=7):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


# The same numbers as of arrays


@pytest.mark.parametrize("size", [1, 7, 50, 64])
@pytest.mark.parametrize("labels", [(0, 1, 2), (9, -7, 3), ("dog", "cat", "elephant"), (0.5, 2.0, -1.0)])
def test_a_stream_has_the_numbers_of_arrays(size, labels):
    net, (x, y) = network(), samples(labels=labels)
    measured = measure_collapse(net, cut(x, y, size), layers=NAMES)
    expected = by_arrays(net, x, y)
    assert measured["layer"].values.tolist() == ["1", "3", "logits"]
    assert measured["class"].dtype == expected["class"].dtype
    assert_same(measured, expected)


def test_classes_of_unequal_sizes_and_many_of_them_that_appear_late():
    net, generator = network(outputs=40), np.random.default_rng(0)
    y = np.concatenate([np.arange(40)[::-1], generator.integers(0, 40, 200) // 3])
    x = torch.tensor(generator.normal(size=(240, 4)) + y[:, None] / 10)
    assert_same(measure_collapse(net, cut(x, y, 9), layers=NAMES), by_arrays(net, x, y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_short_types_are_read_in_float64(dtype):
    net, (x, y) = network(dtype), samples(dtype=dtype)
    measured = measure_collapse(net, cut(x, y, 25), layers=NAMES)
    # Kernels may round another way in other batches: the arrays are cut as the loader cuts them.
    with torch.no_grad():
        net.eval()
        parts = [(net[:2](part), net[:4](part), net(part)) for part, _ in cut(x, y, 25)]
    one, three, logits = (torch.cat(part) for part in zip(*parts, strict=True))
    last = net[-1]
    expected = measure_collapse({"1": one, "3": three, "logits": logits}, y, classifier=(last.weight, last.bias))
    assert_same(measured, expected)


LOADERS = {
    "DataLoader": lambda x, y: DataLoader(TensorDataset(x, torch.tensor(y)), batch_size=8),
    "DataLoader with workers": lambda x, y: DataLoader(
        Pairs(x, y), batch_size=8, num_workers=1, timeout=processes.LIMIT
    ),
    "batches by a sampler": lambda x, y: DataLoader(Pairs(x, y), batch_size=8, sampler=range(len(x))),
    "an iterable data set": lambda x, y: DataLoader(Stream(x, y), batch_size=8),
    "a bare iterable data set": Stream,
    "a data set": Pairs,
    "a tensor data set": lambda x, y: TensorDataset(x, torch.tensor(y)),
    "an iterable": lambda x, y: Again(lambda: cut(x, y)),
    "lists of lists": lambda x, y: [(a.tolist(), b.tolist()) for a, b in cut(x, y)],
    "arrays": lambda x, y: [(a.numpy(), b) for a, b in cut(x, y)],
    "an empty batch": lambda x, y: [*cut(x, y), (x[:0], y[:0])],
    "two batches": lambda x, y: ((x[:20], torch.tensor(y[:20])), (x[20:], torch.tensor(y[20:]))),
    "two lists": lambda x, y: [[x[:20], torch.tensor(y[:20])], [x[20:], torch.tensor(y[20:])]],
    "samples in a list": lambda x, y: [(a, int(b)) for a, b in zip(x, y, strict=True)],
    "mappings in a list": lambda x, y: [{"input": a, "labels": int(b)} for a, b in zip(x, y, strict=True)],
    "a pair": lambda x, y: (x, y),
    "a pair of lists": lambda x, y: [x.tolist(), y.tolist()],
    "a pair of arrays": lambda x, y: (x.numpy(), y[:, None]),
    "a mapping in memory": lambda x, y: {"input": x, "labels": y},
    "a pair with a mapping": lambda x, y: ({"input": x}, torch.tensor(y)),
    "mappings": lambda x, y: [{"labels": torch.tensor(b), "input": a} for a, b in cut(x, y)],
    "encodings": lambda x, y: [collections.UserDict(input=a, labels=b) for a, b in cut(x, y)],
    "named tuples": lambda x, y: [collections.namedtuple("Batch", "x y")(a, b) for a, b in cut(x, y)],
}


@pytest.mark.parametrize("kind", LOADERS)
def test_any_loader_gives_the_same_numbers(kind):
    net, (x, y) = network(), samples()
    measured = measure_collapse(net, LOADERS[kind](x, y), layers=NAMES, batch_size=9)
    assert_same(measured, by_arrays(net, x, y))


def test_the_loader_is_passed_over_twice():
    net, (x, y) = network(), samples()
    loader = Again(lambda: cut(x, y))
    measure_collapse(net, loader, layers=NAMES)
    assert loader.passes == 2


# Models, layers and outputs


class Output:
    def __init__(self, logits):
        self.loss, self.logits = None, logits


class Tokens(nn.Module):
    """A classifier of token sequences with a mask, which returns an object."""

    def __init__(self, kind=Output):
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(11, 6), nn.Linear(6, 5), nn.Linear(5, 3)
        self.kind = kind

    def forward(self, input_ids, attention_mask=None, scale=1.0, labels=None):
        assert labels is None
        assert not input_ids.is_floating_point()
        h = self.mix(self.embed(input_ids)).tanh() * scale
        weights = attention_mask[..., None].to(h)
        return self.kind(self.head((h * weights).sum(1) / weights.sum(1)))


def tokens(count=30):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 3
    ids = torch.randint(0, 11, (count, 4), generator=generator) // (y[:, None] + 1)
    return {"input_ids": ids, "attention_mask": torch.ones(count, 4, dtype=torch.long), "labels": y}


def rows(data, start, size=8):
    return {key: value[start : start + size] for key, value in data.items()}


def of_tokens(net, data, names):
    features = {}
    handles = [net.get_submodule(n).register_forward_hook(lambda m, a, o, n=n: features.update({n: o})) for n in names]
    with torch.no_grad():
        output = net(data["input_ids"], data["attention_mask"])
    for handle in handles:
        handle.remove()
    return measure_collapse(features | {"logits": getattr(output, "logits", output)}, data["labels"])


@pytest.mark.parametrize("kind", [Output, lambda z: {"loss": 0, "logits": z}, lambda z: z])
def test_mappings_are_keyword_arguments_and_logits_of_objects_are_taken(kind):
    torch.manual_seed(0)
    net, data = Tokens(kind).double(), tokens()
    net.kind = (lambda z: z) if kind is not Output else Output
    expected = of_tokens(net, data, ["embed", "mix"])
    net.kind = kind
    batches = [collections.UserDict(rows(data, start)) for start in range(0, 30, 8)]
    measured = measure_collapse(net, batches, layers=["embed", "mix"])
    xr.testing.assert_allclose(measured, expected, rtol=1e-12, atol=1e-12)
    assert "nc4_mismatch" in measured


def test_forward_calls_the_model_with_the_batch_as_it_is():
    torch.manual_seed(0)
    net, data = Tokens().double(), tokens()
    plain = measure_collapse(net, data, layers=["mix"])
    triples = [tuple(rows(data, s)[k] for k in ("input_ids", "labels")) for s in range(0, 30, 8)]

    def forward(model, batch):
        ids, labels = batch
        assert labels.shape == ids.shape[:1]
        return model(ids, torch.ones_like(ids))

    xr.testing.assert_allclose(measure_collapse(net, triples, layers=["mix"], forward=forward), plain, rtol=1e-12)
    encodings = [collections.UserDict(rows(data, s)) for s in range(0, 30, 8)]
    measured = measure_collapse(
        net, encodings, layers=["mix"], forward=lambda m, b: m(b["input_ids"], b.data["attention_mask"])
    )
    xr.testing.assert_allclose(measured, plain, rtol=1e-12)


@pytest.mark.parametrize("layers", ["auto", "m*", ["embed", "[mh]*"]])
def test_layers_of_a_mapping_are_chosen_as_of_arrays(layers):
    torch.manual_seed(0)
    net, data = Tokens().double(), tokens()
    measured = measure_collapse(net, data, layers=layers)
    assert measured["layer"].values.tolist()[-1] in ("head", "logits")
    assert "mix" in measured["layer"].values
    assert measured["role"].values.tolist()[-1] == "output"


def test_a_view_of_a_model_has_the_layers_of_the_model():
    for net in (network(), nn.Sequential(network(), nn.ReLU(), nn.Linear(3, 2).double())):
        x, _ = samples()
        view = BatchForward(net, lambda module, inputs: module(inputs))
        assert not view.eval().training
        assert not net.training
        assert auto_layers(trace(view, x)) == auto_layers(trace(net, x))
        view.batch = Table(x, len(x))
        result, expected = trace(view, torch.arange(len(x))), trace(net, x)
        assert auto_layers(result) == auto_layers(expected)
        assert [call.function for call in result.calls] == [call.function for call in expected.calls]


def test_inputs_are_a_layer_where_they_are_asked_for():
    net, (x, y) = network(), samples()
    measured = measure_collapse(net, cut(x, y), layers=["input", *NAMES])
    assert measured["layer"].values.tolist() == ["input", "1", "3", "logits"]
    assert measured["depth"].values.tolist() == [0, 1, 2, 3]
    xr.testing.assert_allclose(measured.sel(layer=["input"])["nc1"], measure_collapse({"input": x}, y)["nc1"])
    data = tokens()
    measured = measure_collapse(Tokens(), data, layers=["input", "mix"])
    numbers = np.concatenate(
        [np.asarray(part).reshape(len(part), -1) for part in (data["input_ids"], data["attention_mask"])], axis=1
    )
    xr.testing.assert_allclose(
        measured["nc1"].sel(layer="input"),
        measure_collapse({"input": numbers}, data["labels"])["nc1"].sel(layer="input"),
    )


def test_the_output_may_have_the_name_of_a_submodule():
    net, (x, y) = network(), samples()
    measured = measure_collapse(net, cut(x, y), layers=[*NAMES, "5"])
    assert measured["layer"].values.tolist() == [*NAMES, "5"]
    assert measured["role"].values.tolist() == ["hidden", "hidden", "output"]
    assert float(measured["nc3_duality"].sel(layer="3")) >= 0


def test_a_built_in_model_has_its_own_layers():
    net = mlp(Task((4,), classes=3), widths=[6, 5]).double()
    x, y = samples()
    measured = measure_collapse(net, cut(x, y))
    net.eval()
    with torch.no_grad():
        features = net.taps(x)
    linear = net.next_weights()["penultimate"]
    assert_same(measured, measure_collapse(features, y, classifier=(linear.weight, linear.bias)))
    with pytest.raises(ModelError, match="be left out for a built-in model"):
        measure_collapse(net, cut(x, y), layers=["logits"])


def test_a_given_classifier_replaces_the_models_own():
    net, (x, y) = network(), samples()
    W = torch.randn(3, 5).double()
    assert_same(measure_collapse(net, cut(x, y), layers=NAMES, classifier=W), by_arrays(net, x, y, classifier=W))


def test_the_bias_of_a_classifier_without_one_is_zero():
    net, (x, y) = network(), samples()
    net[-1].bias = None
    classifier = net[-1].weight, torch.zeros(3).double()
    assert_same(measure_collapse(net, cut(x, y), layers=NAMES), by_arrays(net, x, y, classifier=classifier))


def test_of_more_outputs_than_classes_the_labels_are_the_positions():
    net, (x, y) = network(outputs=10), samples(labels=(2, 5, 9))
    W, b = net[-1].weight[[2, 5, 9]], net[-1].bias[[2, 5, 9]]
    assert_same(measure_collapse(net, cut(x, y), layers=NAMES), by_arrays(net, x, y, classifier=(W, b)))


@pytest.mark.parametrize(
    ("outputs", "labels", "found"),
    [(1, (0, 1), "of shape [n, 1] for 2 classes"), (10, ("a", "b"), "of shape [n, 10] for 2 classes, whose labels")],
)
def test_outputs_that_are_no_classes_decide_nothing_and_that_is_told(outputs, labels, found):
    net, (x, y) = network(outputs=outputs), samples(labels=labels)
    ds = measure_collapse(net, cut(x, y), layers=NAMES)
    assert "nc4_mismatch" not in ds
    assert "ncc_accuracy" in ds
    assert found in ds.attrs["decisions"]


def test_a_linear_module_that_does_not_give_the_output_is_no_classifier():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    assert "nc3_duality" not in measure_collapse(net, samples(), layers=["1"])
    assert "nc3_duality" in measure_collapse(net, samples(), layers=["3"])


# A model is read and left as it was


class Restless(nn.Module):
    """Writes into its inputs, buffers and attributes, and draws random numbers, when it runs."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.head = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)
        self.register_buffer("runs", torch.zeros(()))
        self.cache, self.calls = [], 0

    def forward(self, x):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.calls += 1
        self.runs += 1
        self.cache.append(x.detach())
        torch.rand(3), random.random(), np.random.rand()
        x.add_(1)
        return self.head(self.norm(self.linear(x)))


@pytest.mark.parametrize("form", ["pair", "mapping"])
def test_model_generators_and_samples_are_as_before(form):
    torch.manual_seed(3)
    net = Restless().train()
    net.head.eval()
    x, y = samples(dtype=torch.float32)
    batches = [(a, b) if form == "pair" else {"x": a, "labels": b} for a, b in cut(x, y)]
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(batches, batch_size=None, generator=generator)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist(), generator.get_state()
    inputs, modes = x.clone(), [m.training for m in net.modules()]
    measured = measure_collapse(net, loader, layers=["linear", "norm"])
    assert "nc3_duality" in measured
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert states[2] == np.random.get_state()[1].tolist()
    assert torch.equal(states[3], generator.get_state())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [m.training for m in net.modules()] == modes == [True, True, True, False]
    assert (net.calls, net.cache) == (0, [])
    assert torch.equal(x, inputs)
    assert not any(m._forward_hooks for m in net.modules())


class Counting(nn.Sequential):
    """Gives features that depend on how often it has run."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x):
        self.runs += 1
        return super().forward(x * self.runs)


def test_no_batch_depends_on_the_batches_before():
    net, (x, y) = network(), samples()
    assert_same(measure_collapse(Counting(*net), cut(x, y), layers=NAMES), by_arrays(net, x, y))


class InPlace(Stages):
    def taps(self, inputs):
        return super().taps(inputs.mul_(2))


def test_a_built_in_model_that_writes_into_its_inputs_leaves_the_samples_as_they_are():
    net = InPlace({"penultimate": nn.Linear(4, 5), "logits": nn.Linear(5, 3)}).double()
    x, y = samples()
    before = x.clone()
    measure_collapse(net, cut(x, y))
    assert torch.equal(x, before)


class Shared(nn.Module):
    """Takes an array beside the samples, and writes into it."""

    def __init__(self):
        super().__init__()
        self.linear, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x, shift):
        return self.head(self.linear(x + shift.mul_(2).sum()))


def test_what_batches_hold_beside_samples_stays_as_it_is():
    x, y = samples()
    shift = torch.ones(2, 4).double()
    measured = measure_collapse(
        Shared().double(), [{"x": a, "shift": shift, "labels": b} for a, b in cut(x, y)], layers="*"
    )
    assert measured["layer"].values.tolist() == ["linear", "head"]
    assert torch.equal(shift, torch.ones(2, 4).double())


class Scaled(nn.Module):
    """Its first parameter is not the one that reads the inputs."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x) * self.scale


def test_inputs_take_the_type_of_the_parameter_that_reads_them():
    x, y = samples()
    net = Scaled()
    measured = measure_collapse(net, (x, y), layers=["linear"])
    xr.testing.assert_identical(measured, measure_collapse(net, (x.float(), y), layers=["linear"]))


def test_a_model_is_left_as_it_was_when_the_measurement_fails():
    net, (x, y) = network(), samples()
    net.train()
    state = torch.get_rng_state()
    with pytest.raises(DegenerateInput):
        measure_collapse(net, DataLoader(Pairs(x, y, noise=1.0), batch_size=8), layers=NAMES)
    assert net.training
    assert torch.equal(state, torch.get_rng_state())


def test_inputs_are_read_in_the_models_type():
    net, (x, y) = network(torch.float32), samples()
    measured = measure_collapse(net, cut(x, y), layers=NAMES)
    single = measure_collapse(net, cut(x.float(), y), layers=NAMES)
    xr.testing.assert_identical(measured, single)


def test_a_model_without_parameters_is_read():
    x, y = samples()
    measured = measure_collapse(nn.Sequential(nn.Flatten(), nn.Tanh()), cut(x, y), layers=["0"])
    xr.testing.assert_allclose(measured["nc1"][0], measure_collapse({"0": x}, y)["nc1"][0])


# Passes that differ


def shuffled(x, y, **options):
    return DataLoader(TensorDataset(x, torch.tensor(y)), batch_size=8, **options)


class Shuffling:
    """Gives the same samples in another order each time, and none of it can be seen from outside."""

    def __init__(self, x, y):
        self.x, self.y, self.generator = x, y, np.random.default_rng(0)

    def __iter__(self):
        order = self.generator.permutation(len(self.x))
        return iter(cut(self.x[order], self.y[order]))


class Fading:
    """Gives one batch less in every pass."""

    def __init__(self, x, y, change=-1):
        self.batches, self.change, self.passes = cut(x, y), change, 0

    def __iter__(self):
        self.passes += 1
        extra = [self.batches[0]] * (self.passes - 1) if self.change > 0 else []
        return iter([*self.batches, *extra][: len(self.batches) + self.change * (self.passes - 1)])


class Relabelled(Fading):
    """Gives other labels in the second pass, or other inputs by one unit in the last place."""

    def __init__(self, x, y, part):
        super().__init__(x, y, 0)
        self.part = part

    def __iter__(self):
        batches = list(super().__iter__())
        if self.passes > 1:
            x, y = batches[3]
            batches[3] = (torch.nextafter(x, x + 1), y) if self.part == "inputs" else (x, (y + 1) % 3)
        return iter(batches)


DIFFERING = {
    "shuffle": (lambda x, y: shuffled(x, y, shuffle=True), "found a RandomSampler"),
    "a sampler": (lambda x, y: shuffled(x, y, sampler=RandomSampler(range(50))), "found a RandomSampler"),
    "a weighted sampler": (
        lambda x, y: shuffled(x, y, sampler=torch.utils.data.WeightedRandomSampler([1.0] * 50, 50)),
        "found a WeightedRandomSampler",
    ),
    "batches that are drawn": (
        lambda x, y: DataLoader(
            Pairs(x, y), batch_sampler=torch.utils.data.BatchSampler(RandomSampler(range(50)), 8, False)
        ),
        "found a RandomSampler",
    ),
    "an own shuffle": (Shuffling, "found another batch 1 in pass 2"),
    "augmentation": (lambda x, y: DataLoader(Pairs(x, y, noise=0.01), batch_size=8), "found another batch 1 in pass 2"),
    "an augmented data set": (lambda x, y: Pairs(x, y, noise=0.01), "found another batch 1 in pass 2"),
    "augmentation by workers": (
        lambda x, y: DataLoader(Pairs(x, y, noise=0.01), batch_size=8, num_workers=1, timeout=processes.LIMIT),
        "found another batch 1 in pass 2",
    ),
    "fewer batches": (Fading, "found 7 batches in pass 2 after 8"),
    "more batches": (lambda x, y: Fading(x, y, 1), "found another batch 9 in pass 2"),
    "other inputs": (lambda x, y: Relabelled(x, y, "inputs"), "found another batch 4 in pass 2"),
    "other labels": (lambda x, y: Relabelled(x, y, "labels"), "found another batch 4 in pass 2"),
}


@pytest.mark.parametrize("kind", DIFFERING)
@pytest.mark.parametrize("form", ["pairs", "mappings"])
def test_passes_that_differ_are_refused_with_a_word_on_fixed_samples(kind, form):
    make, result = DIFFERING[kind]
    loader = make(*samples())
    if form == "mappings" and not isinstance(loader, DataLoader | Dataset):
        loader = Again(lambda loader=loader: [{"input": x, "labels": y} for x, y in loader])
    with pytest.raises(DegenerateInput, match=re.escape(result)) as error:
        measure_collapse(network(), loader, layers=NAMES)
    assert "give the same samples in the same order in every pass" in str(error.value)
    assert "shuffle=False" in str(error.value)
    assert "(inputs, labels)" in str(error.value)


@pytest.mark.parametrize("make", [iter, lambda batches: (b for b in batches), lambda batches: map(tuple, batches)])
def test_what_gives_its_batches_once_is_refused_before_any_is_read(make):
    batches = make(cut(*samples()))
    with pytest.raises(DegenerateInput, match=r"`loader` should be gone through twice; found a .*, which gives its"):
        measure_collapse(network(), batches, layers=NAMES)
    assert len(list(batches)) == 8


def test_an_iterable_that_is_empty_the_second_time_is_refused():
    once = iter(cut(*samples()))
    with pytest.raises(DegenerateInput, match="found 0 batches in pass 2 after 8"):
        measure_collapse(network(), Again(lambda: once), layers=NAMES)


# What cannot be read is told


def refused(loader, match, kind=ElasticError, net=None, layers=NAMES, **options):
    with pytest.raises(kind, match=match):
        measure_collapse(net or network(), loader, layers=layers, **options)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda x, y: [x[:9], x[9:]], r"be \(inputs, labels\), or mappings with \"labels\"; found a Tensor"),
        (lambda x, y: (x, np.eye(3)[y]), r"have one label a sample, of shape \[n\]; found shape \[50, 3\]"),
        (lambda x, y: [(x, y, y)], "found a tuple of 3"),
        (lambda x, y: [{"x": x, "label": y}], "found a mapping of 'x', 'label'"),
        (lambda x, y: x, "be a DataLoader, a list of batches, a Dataset, or a pair; found a Tensor"),
        (lambda x, y: None, "found a NoneType"),
        (lambda x, y: 3, "found a int"),
        (lambda x, y: [], "give samples; found none"),
        (lambda x, y: Again(list), "give samples; found none"),
        (lambda x, y: DataLoader(Pairs(x, y), batch_size=None), "give batches, with one label for each sample"),
        (lambda x, y: (x, y[:-1]), "have one label for each input; found 50 inputs for 49 labels"),
        (lambda x, y: [(x, y[:-1]), (x, y)], "have one label for each input; found 50 inputs for 49 labels"),
        (lambda x, y: [((x, x), y)], r"be one array for 50 labels, or a mapping; found a tuple of 2 tensors"),
        (lambda x, y: [(x, np.eye(3)[y])], r"be one label a sample"),
        (lambda x, y: [(x, np.where(y == 1, np.nan, y))], "be known for every sample"),
        (lambda x, y: cut(x, np.zeros(50, int)), "name at least 2 classes; found 1"),
        (lambda x, y: [(x, y), (x, y.astype(str))], "be all numbers or all strings"),
    ],
)
def test_loaders_of_something_else_are_told(make, match):
    refused(make(*samples()), match, DegenerateInput)


def test_arguments_of_models_are_none_of_arrays():
    x, y = samples()
    for options in ({"layers": ["a"]}, {"forward": lambda model, batch: None}):
        with pytest.raises(DegenerateInput, match="be left out for arrays"):
            measure_collapse(x, y, **options)
    refused((x, y), "`batch_size` should be a positive integer", batch_size=0)
    refused((x, y), "`rank_tolerance` should be", rank_tolerance=2.0)


def test_features_that_are_not_finite_are_told_as_of_arrays():
    net, (x, y) = network(), samples()
    x[30] = float("nan")
    refused(cut(x, y), "features of layer '1' should be finite; found NaN or infinity", DegenerateInput, net)


def test_a_model_that_does_not_run_on_the_batches_is_told():
    x, y = samples()
    text = "`model` should run on the batches of `loader`; found RuntimeError: mat1 .*; try "
    refused(cut(x[:, :3], y), f"{text}forward=lambda model, batch", ModelError)
    forward = lambda model, batch: model(batch[0])  # noqa: E731
    refused(cut(x[:, :3], y), f"{text}the `forward` that fits the batches", ModelError, forward=forward)
    refused([{"inputs": x, "labels": y}], "unexpected keyword argument 'inputs'", ModelError)
    refused(cut(x, y), "`layers` should name submodules of the model", ModelError, layers=["nothing"])
    refused(cut(x, y), "`layers` should name submodules of the model; found nothing", ModelError, layers=None)
    refused([(x, y)], "be read with tensors", ModelError, net=mlp(Task((4,), classes=3), widths=[6]), layers=None,
            forward=lambda model, batch: model(batch[0]))  # fmt: skip


class Noisy(nn.Sequential):
    def forward(self, x):
        return super().forward(x + torch.randn_like(x))


def test_features_of_chance_and_of_the_batch_are_told():
    x, y = samples()
    refused(cut(x, y), "be deterministic in evaluation mode", ModelError, net=Noisy(*network()))
    coupled = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 3)).double()
    refused(cut(x, y), "give each sample features of its own", ModelError, net=coupled, layers=["1"])


def test_layers_of_another_width_in_another_batch_are_told():
    net = nn.Sequential(nn.Embedding(9, 4), nn.AdaptiveAvgPool2d((1, 4)), nn.Flatten(), nn.Linear(4, 2)).double()
    batches = [(torch.randint(0, 9, (6, length)), [0, 1] * 3) for length in (5, 7)]
    refused(batches, r"features of layer '0' should be as many in every batch; found 28 features after 20",
            DegenerateInput, net, layers=["0"])  # fmt: skip
    assert measure_collapse(net, batches, layers=["2"]).sizes["layer"] == 2


# Memory


def test_features_of_any_number_of_samples_need_memory_for_a_batch():
    script = Path(__file__).parents[1] / "benchmarks" / "bench_streaming.py"
    command = [sys.executable, str(script), "--gigabytes", "0.1", "--width", "1400"]
    done = processes.run(command, check=True)
    virtual, added = (float(result) for result in re.findall(r"([\d.]+) MB", done.stdout))
    assert virtual >= 100
    assert added < 40
