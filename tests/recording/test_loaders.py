"""Samples from a Dataset or a DataLoader are those of the arrays that it gives; what does not repeat is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from support import processes
from support.recordings import network, record, recorder, samples
from torch.utils.data import DataLoader, Dataset, TensorDataset

import elastic
from elastic.errors import DegenerateInput

pytestmark = pytest.mark.usefixtures("unsealed")


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
    "workers": lambda: DataLoader(Images(), batch_size=7, num_workers=1, timeout=processes.LIMIT),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_is_that_of_the_arrays(tmp_path, form):
    record(tmp_path / "arrays")
    record(tmp_path / "given", train=FORMS[form]())
    for group in ("training", "collapse"):
        found, expected = (elastic.open_study(tmp_path / name).cube[group] for name in ("given", "arrays"))
        xr.testing.assert_identical(found.to_dataset(), expected.to_dataset())


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
    found = elastic.measure_elasticity(network(), *given, layers=["1"])
    xr.testing.assert_identical(
        found, elastic.measure_elasticity(network(), (x[:4], y[:4]), (x[4:], y[4:]), layers=["1"])
    )
