"""Samples from a Dataset or a DataLoader are those of the arrays that it gives; what does not repeat is refused."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest
import torch
import xarray as xr
from support import processes
from support.recordings import network, record, recorder, samples
from torch.utils.data import DataLoader, Dataset, TensorDataset

import elastic
from elastic.batches.gathering import gathered
from elastic.errors import DegenerateInput

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")


def tensors():
    x, y = samples()
    return torch.as_tensor(x), torch.as_tensor(y)


class Images(Dataset):
    """Samples one by one, with Python's own labels."""

    def __len__(self):
        return 24

    def __getitem__(self, place):
        x, y = samples()
        return x[place], int(y[place])


class Augmented(Images):
    def __getitem__(self, place):
        x, y = super().__getitem__(place)
        return x + np.float32(torch.randn(()).item()), y


FORMS = {
    "dataset": lambda: TensorDataset(*tensors()),
    "own": Images,
    "loader": lambda: DataLoader(TensorDataset(*tensors()), batch_size=7),
    "list": lambda: DataLoader(list(zip(*tensors(), strict=True)), batch_size=5),
    "samples": lambda: list(zip(*tensors(), strict=True)),
    "workers": lambda: DataLoader(Images(), batch_size=7, num_workers=1, timeout=processes.LIMIT),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_is_that_of_the_arrays(tmp_path, form):
    record(tmp_path / "arrays")
    record(tmp_path / "given", train=FORMS[form]())
    for group in ("training", "collapse"):
        result, expected = (elastic.open_study(tmp_path / name).cube[group] for name in ("given", "arrays"))
        xr.testing.assert_identical(result.to_dataset(), expected.to_dataset())


def test_reading_a_loader_draws_no_random_number(tmp_path):
    loader, model = DataLoader(Augmented(), batch_size=7), network()
    before = torch.get_rng_state()
    with pytest.raises(DegenerateInput):
        recorder(tmp_path, model, train=loader)
    assert torch.equal(torch.get_rng_state(), before)
    recorder(tmp_path, model, train=DataLoader(Images(), batch_size=7)).close()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("loader", "match"),
    [
        (lambda: DataLoader(TensorDataset(*tensors()), batch_size=7, shuffle=True), "`train` .*shuffle=False"),
        (lambda: DataLoader(Augmented(), batch_size=7), "`train` should give the same samples"),
        (lambda: DataLoader(TensorDataset(tensors()[0]), batch_size=7), "be \\(inputs, labels\\)"),
        (lambda: TensorDataset(torch.zeros(0, 5), torch.zeros(0)), "`train` should give samples"),
    ],
)
def test_what_cannot_be_fixed_samples_is_refused(tmp_path, loader, match):
    with pytest.raises(DegenerateInput, match=match):
        recorder(tmp_path, train=loader())
    assert not (tmp_path / "runs").exists()


def test_elasticity_takes_datasets_too():
    x, y = tensors()
    given = [TensorDataset(x[:4], y[:4]), DataLoader(TensorDataset(x[4:], y[4:]), batch_size=3)]
    measured = elastic.measure_elasticity(network(), *given, layers=["1"])
    xr.testing.assert_identical(
        measured, elastic.measure_elasticity(network(), (x[:4], y[:4]), (x[4:], y[4:]), layers=["1"])
    )


def test_a_pair_of_arrays_is_no_list_of_samples(tmp_path):
    """Two samples in a list are samples; what two arrays of two rows hold stays inputs and labels."""
    x, y = tensors()
    two = [(x[0], y[0]), (x[1], y[1])]
    for form in (two, tuple(two), (x[:2], y[:2]), [[x[0], x[1]], [0, 1]], [x[:2].tolist(), [0, 1]]):
        result = gathered("train", form)
        assert torch.equal(torch.as_tensor(np.stack(list(map(np.asarray, result.inputs)))), x[:2])
        assert list(map(int, result.labels)) == [0, 1]


@pytest.mark.parametrize("given", [[(0.5, 0), (0.2, 1), (0.1, 0)], [(np.ones((2, 5)), [0, 1])] * 3, [[1.0, 2.0]] * 3])
def test_a_list_that_may_mean_something_else_is_refused(given):
    with pytest.raises(DegenerateInput, match=r"`train` should be a pair; .* a Dataset or DataLoader"):
        gathered("train", given)


class Drawing(Images):
    """Draws random numbers for every sample, and returns the same ones."""

    def __getitem__(self, place):
        torch.rand(1), np.random.rand(), random.random()
        return super().__getitem__(place)


class DrawingMappings(Drawing):
    def __getitem__(self, place):
        x, y = super().__getitem__(place)
        return {"input": x, "labels": y}


@pytest.mark.parametrize("dataset", [Drawing(), DrawingMappings(), Augmented()])
@pytest.mark.parametrize("loaded", [False, True])
def test_reading_samples_leaves_every_random_generator(dataset, loaded):
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    refused = pytest.raises(DegenerateInput) if isinstance(dataset, Augmented) else contextlib.nullcontext()
    with refused:
        gathered("train", DataLoader(dataset, batch_size=5) if loaded else dataset)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


@pytest.mark.parametrize("convert", [np.asarray, list, lambda values: values.tolist()])
def test_a_forward_receives_tensors_of_arrays_and_lists(convert):
    x, y = samples()
    result = gathered("train", (convert(x), convert(y)), whole=True).batch
    assert all(isinstance(part, torch.Tensor) for part in result)
    np.testing.assert_allclose(result[0], x)
    np.testing.assert_array_equal(result[1], y)
