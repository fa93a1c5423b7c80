"""Models, losses, engines, metrics and the Recorder on a GPU give the numbers of the processor."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr
from support import engine_cases, recordings
from support.model_cases import MODELS, build, samples_of

import elastic
from elastic.losses import build_loss
from elastic.models.products import products, tf32_in_measurements
from elastic.registry import registry
from elastic.runs.setup import on_device
from elastic.training import Randomness, Trainer, build_objective, evaluate

pytestmark = pytest.mark.device

#: Relative to the largest number of an array, by type: rounding of a step or a probe of these small networks.
BOUNDS = {torch.float64: 1e-9, torch.float32: 2e-4}

LOSSES = [name for name in registry("losses").names() if name != "supervised_contrastive"]


def trainer(model, loss, samples, device):
    """Return a trainer of a model that is built on the processor, as a run builds one."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    objective = build_objective(model, build_loss(loss), {"weights": 1e-3})
    splits = {"train": samples, "test": samples}
    return Trainer(objective, optimizer, lambda _: 1.0, splits, 2, 5, Randomness(0, torch.device(device)))


def assert_close(found, expected, bound):
    """Compare tensors of two devices by the largest number of the expected one."""
    found, expected = found.detach().cpu().double(), expected.detach().double()
    assert found.shape == expected.shape
    scale = expected.abs().max().clamp(min=1e-30)
    assert ((found - expected).abs().max() / scale).item() <= bound


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_trained_and_evaluated_as_on_the_processor(device, name):
    here, there = (trained(name, "cross_entropy", place) for place in ("cpu", device))
    for expected, result in zip(here[0].parameters(), there[0].parameters(), strict=True):
        assert result.device.type == device
        assert_close(result, expected, 1e-8)
    np.testing.assert_allclose(there[1], here[1], rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_in_float32_is_that_of_the_processor_in_float64(device, name):
    gradients = {}
    for place, dtype in (("cpu", torch.float64), (device, torch.float32)):
        # In evaluation mode: batch norm over the five samples of a batch magnifies rounding without bound.
        model = build(name).to(place, dtype)
        samples = on_device(samples_of(name), torch.device(place), dtype)
        with products(tf32=False):
            build_objective(model, build_loss("cross_entropy")).batch(samples.inputs, samples.labels).backward()
        gradients[dtype] = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for expected, result in zip(*gradients.values(), strict=True):
        assert_close(result, expected, 1e-3)


@pytest.mark.parametrize("name", [*LOSSES, "supervised_contrastive"])
def test_a_loss_is_trained_on_as_on_the_processor(device, name):
    here, there = (trained("mlp", name, place) for place in ("cpu", device))
    for expected, result in zip(here[0].parameters(), there[0].parameters(), strict=True):
        assert_close(result, expected, 1e-9)
    np.testing.assert_allclose(there[1], here[1], rtol=1e-9)


def trained(name, loss, place):
    """Return a float64 model after an epoch and its loss and accuracy."""
    model = build(name).to(place)
    samples = on_device(samples_of(name), torch.device(place), torch.float64)
    training = trainer(model, loss, samples, place)
    training.train_epoch()
    return model, evaluate(model, training.loss, samples)


@pytest.mark.parametrize("lr", [None, 0.05], ids=["first_order", "finite"])
@pytest.mark.parametrize("engine", ["structured", "autodiff"])
@pytest.mark.parametrize("name", engine_cases.MODELS)
def test_an_engine_gives_the_movements_of_the_processor(device, name, engine, lr):
    expected = engine_cases.probe(engine, *engine_cases.problem(name), lr=lr)
    model, stepped, observed = engine_cases.problem(name)
    given = copy.deepcopy(model).to(device), tuple(part.to(device) for part in stepped), observed.to(device)
    assert engine_cases.worst(moved(engine_cases.probe(engine, *given, lr=lr)), expected) < 1e-8
    model, stepped, observed = engine_cases.float32(model, stepped, observed)
    given = model.to(device), tuple(part.to(device) for part in stepped), observed.to(device)
    assert engine_cases.worst(moved(engine_cases.probe(engine, *given, lr=lr)), expected) < 2e-3


def moved(found):
    return [{layer: part.cpu() for layer, part in one.items()} for one in found]


@cache
def features():
    """Return features of two layers and labels of three classes, with a clear structure."""
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    centres = draw.normal(size=(3, 16))
    return {name: centres[labels] + draw.normal(size=(90, 16)) / 4 for name in ("hidden", "last")}, labels


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_collapse_of_features_on_the_device_is_that_of_arrays(device, dtype):
    arrays, labels = features()
    weights = np.random.default_rng(1).normal(size=(3, 16))
    tensors = {name: torch.tensor(array, dtype=dtype) for name, array in arrays.items()}
    expected = elastic.measure_collapse(tensors, labels, classifier=weights)
    there = {name: tensor.to(device) for name, tensor in tensors.items()}
    classifier = torch.tensor(weights).to(device)
    measured = elastic.measure_collapse(there, torch.tensor(labels).to(device), classifier=classifier)
    xr.testing.assert_allclose(measured, expected, rtol=BOUNDS[dtype])


@pytest.mark.parametrize("update", [{"update": "first_order"}, {"update": "finite", "lr": 0.01}], ids=str)
def test_elasticity_and_collapse_of_a_module_on_the_device_are_those_of_the_processor(device, update):
    torch.manual_seed(0)
    net = recordings.network().double()
    x, y = recordings.samples()
    observed, labels = recordings.samples(30, seed=1)
    here = elastic.measure_elasticity(net, (x, y), (observed, labels), layers=["1", "3"], pairs=True, **update)
    collapse = elastic.measure_collapse(net, (torch.as_tensor(x), torch.as_tensor(y)), layers=["1", "3"])
    net = net.to(device)
    there = elastic.measure_elasticity(net, (x, y), (observed, labels), layers=["1", "3"], pairs=True, **update)
    xr.testing.assert_allclose(there, here, rtol=1e-7)
    measured = elastic.measure_collapse(net, (torch.as_tensor(x), torch.as_tensor(y)), layers=["1", "3"])
    xr.testing.assert_allclose(measured, collapse, rtol=1e-9)


def test_a_recorder_of_a_model_on_the_device_records_what_it_records_on_the_processor(device, tmp_path):
    recorded = {}
    for place in ("cpu", device):
        model = recordings.network().to(place)
        probes = recordings.PROBES | {"weights": {}}
        with recordings.recorder(tmp_path / place / "study", model, probes=probes) as recording:
            for epoch in range(4):
                recording.record(epoch, lr=0.1)
        recorded[place] = elastic.open_study(tmp_path / place / "study").cube.load()
    for group in recorded["cpu"].groups[1:]:
        here, there = (recorded[place][group].to_dataset() for place in ("cpu", device))
        for name in here.data_vars:
            if here[name].dtype.kind == "f":
                np.testing.assert_allclose(there[name], here[name], rtol=2e-3, atol=2e-4, err_msg=f"{group}/{name}")


def test_probes_are_not_rounded_to_tf32_unless_asked(device):
    given = engine_cases.float32(*engine_cases.problem("cnn_plain"))
    model, stepped, observed = given[0].to(device), tuple(part.to(device) for part in given[1]), given[2].to(device)
    plain = engine_cases.probe("structured", model, stepped, observed)
    before = torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    try:
        torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "tf32"
        rounded = engine_cases.probe("structured", model, stepped, observed)
        with tf32_in_measurements(True):
            asked = engine_cases.probe("structured", model, stepped, observed)
    finally:
        torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision = before
    assert engine_cases.worst(rounded, plain) < 1e-6
    error = engine_cases.worst(asked, plain)
    print(f"TF32 in a probe moves movements by {error:.1e}")
    assert error < 0.1
