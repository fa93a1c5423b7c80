"""A small network on handwritten digits and its training in plain PyTorch, for tests of trainers of other packages."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import elastic

CLASSES, TRAIN, BATCH = 3, 60, 10

PROBES = {
    "at": [0, 1, 3],
    "collapse": {"per_class": 10},
    "elasticity": {"stepped_per_class": 1, "observed_per_class": 2},
}


@cache
def digits():
    """Return images [n, 64] and labels of three digits: those to train on, and others."""
    x, y = load_digits(n_class=CLASSES, return_X_y=True)
    x, y = torch.tensor(x[:90] / 16, dtype=torch.float32), torch.tensor(y[:90])
    return (x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:])


class Net(nn.Module):
    """Two hidden layers with all that has modes: dropout, batch norm, and batch norm that is frozen by its user."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.hidden = nn.Sequential(nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.1))
        self.second = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.last = nn.Linear(8, CLASSES)

    def forward(self, inputs):
        return self.last(self.second(self.hidden(inputs)))

    def freeze(self):
        """Put the second batch norm into evaluation mode, as a user does within training."""
        self.second[1].eval()


LAYERS = ("hidden", "second")


def arguments(prefix="", **options):
    """Return the arguments of a Recorder of the network, which another module may hold."""
    train, test = digits()
    given = {"layers": [prefix + name for name in LAYERS], "train": train, "test": test, "probes": PROBES}
    return {**given, **options}


def batches(epoch):
    """Return the batches of an epoch, which is numbered from 1, in an order of its own."""
    order = torch.randperm(TRAIN, generator=torch.Generator().manual_seed(epoch))
    return order.split(BATCH)


def begin(net, epoch):
    """Prepare an epoch, numbered from 1: its modes, and the dropout that it draws, also where it is resumed."""
    net.train()
    net.freeze()
    torch.manual_seed(100 + epoch)


def train(net, optimizer, epoch, *, accumulate=1, autocast=False, steps=None):
    """Train for an epoch, or some of its steps."""
    (x, y), _ = digits()
    begin(net, epoch)
    parts = batches(epoch)
    for number, batch in enumerate(parts[:steps], start=1):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = functional.cross_entropy(net(x[batch]), y[batch]) / accumulate
        loss.backward()
        if number % accumulate == 0 or number == len(parts):
            optimizer.step()
            optimizer.zero_grad()


def optimizer_of(net):
    return torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def loop(folder, epochs=3, *, last=None, rate=lambda epoch: 0.1, options=None, **how):
    """Record a plain loop, the oracle of all trainers; return the network.

    Parameters
    ----------
    epochs
        Epochs to train; a fraction at the end is one of steps.
    last
        The last epoch of the schedule, if it is another one.
    rate
        Learning rate by epoch.
    options
        Further arguments of the Recorder.
    how
        As `train` takes it.
    """
    net, whole = Net(), int(np.ceil(epochs))
    optimizer = optimizer_of(net)
    with elastic.Recorder(folder, net, epochs=last or whole, **arguments(**(options or {}))) as recorder:
        recorder.record(0)
        for epoch in range(1, whole + 1):
            steps = None if epoch <= epochs else round((epochs - epoch + 1) * len(batches(epoch)))
            optimizer.param_groups[0]["lr"] = rate(epoch)
            train(net, optimizer, epoch, steps=steps, **how)
            recorder.record(min(epoch, epochs), lr=rate(epoch), probe=epoch >= epochs or None)
    return net


def assert_equal_records(folder, expected, *, but=()):
    """Compare two studies, whose layers may be named within other modules, but for some scalars of training."""
    result, expected = (elastic.open_study(place).cube for place in (folder, expected))
    assert set(result.children) == set(expected.children)
    for group in expected.children:
        here, there = result[group].to_dataset(), expected[group].to_dataset()
        assert set(here.data_vars) - set(but) == set(there.data_vars) - set(but), group
        np.testing.assert_array_equal(here["epoch"], there["epoch"])
        for name in set(there.data_vars) - set(but):
            np.testing.assert_array_equal(here[name], there[name], err_msg=f"{group}/{name}")


def assert_equal_weights(found, expected):
    """Compare two networks, of which one may stand within another module."""
    theirs = {name.removeprefix("model."): value for name, value in found.state_dict().items()}
    assert theirs.keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(theirs[name], value), name
