"""Elastic's own training, written as a loop of plain PyTorch with a Recorder, gives the numbers of ``elastic run``."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from support import studies
from torch import nn
from torch.nn import functional

import elastic
from elastic.data.preparation import prepare

pytestmark = pytest.mark.usefixtures("unsealed")

CLASSES, BATCH = 3, 16


def network(seed):
    """Return the network of `studies.SMALL` without elastic's models: 64-10-8-3, batch norm, drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = [
            ("hidden_1", nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10), nn.ReLU())),
            ("penultimate", nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU())),
            ("logits", nn.Linear(8, CLASSES)),
        ]
    return nn.Sequential(OrderedDict(parts))


def batches(count, order):
    """Return the batches of an epoch; a single sample that is left over joins the batch before it."""
    cut = list(torch.randperm(count, generator=order).split(BATCH))
    if len(cut[-1]) == 1:
        cut[-2:] = [torch.cat(cut[-2:])]
    return cut


#: Classes that are kept aside in one of the studies below, and the options of their probe.
ASIDE, UNSEEN = [1, 7], {"stepped_per_class": 2, "observed_per_class": 3, "episodes": 2}


def train_and_record(folder, seed, loss, aside=None, epochs=2, weight_decay=1e-3):
    data = prepare("digits", {}, classes=[3, 5, 8], unseen=aside, per_class=20, test_fraction=0.3)
    x, y = data.train.inputs, data.train.labels
    net, order = network(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=weight_decay)
    with elastic.Recorder(
        folder,
        net,
        layers=["hidden_1", "penultimate", "logits"],
        loss=loss,
        train=(x.numpy(), y.numpy()),
        test=(data.test.inputs, data.test.labels),
        epochs=epochs,
        probes={
            "at": {"name": "log", "count": 4},
            "collapse": {"per_class": 20},
            "elasticity": {"stepped_per_class": 2, "observed_per_class": 4},
            **({} if aside is None else {"unseen": UNSEEN}),
        },
        unseen=None if aside is None else (data.unseen.inputs, data.unseen.labels + CLASSES),
        coordinates={"seed": seed},
        weight_decay=weight_decay,
    ) as recorder:
        recorder.record(0)
        for epoch in range(1, epochs + 1):
            rate = 0.1 if epoch <= epochs // 2 else 0.1 * 0.1
            optimizer.param_groups[0]["lr"] = rate
            for batch in batches(len(x), order):
                optimizer.zero_grad()
                outputs = net(x[batch])
                if loss == "mse":
                    value = (outputs - functional.one_hot(y[batch], CLASSES)).square().sum(dim=1).mean() / 2
                else:
                    value = functional.cross_entropy(outputs, y[batch])
                value.backward()
                optimizer.step()
            recorder.record(epoch, lr=rate)
    return net


#: Epochs and seeds of the whole study, and of a smaller one with unseen classes.
WHOLE, FEW = (6, [0, 1]), (2, [1])


@pytest.mark.parametrize(("loss", "aside", "size"), [("cross_entropy", None, WHOLE), ("mse", ASIDE, FEW)])
def test_a_hand_made_loop_gives_the_numbers_of_elastic_run_bit_by_bit(tmp_path, finished_study, loss, aside, size):
    epochs, seeds = size
    data, end = (f"data.unseen={ASIDE}", f"probes.unseen={UNSEEN}"), (f"training.epochs={epochs}", f"axes.seed={seeds}")
    further = ("loss=mse", *data, *end)
    study = finished_study if aside is None else studies.run(tmp_path, *further)
    for seed in seeds:
        train_and_record(tmp_path / "own", seed, loss, aside, epochs)
    own, run = elastic.open_study(tmp_path / "own").cube, study.cube
    assert set(own.children) == set(run.children)
    for group in ("collapse", "elasticity", *(() if aside is None else ("unseen",))):
        assert set(own[group].data_vars) == set(run[group].data_vars)
        for name, values in run[group].data_vars.items():
            assert own[group][name].dims == values.dims, name
            np.testing.assert_array_equal(own[group][name].values, values.values, err_msg=f"{group}/{name}")
            assert own[group][name].attrs == values.attrs
        for name in ("epoch", "layer", "depth", "width", "role"):
            np.testing.assert_array_equal(own[group][name].values, run[group][name].values, err_msg=name)
    np.testing.assert_array_equal(own["collapse"]["samples"].values, run["collapse"]["samples"].values)
    for name in ("loss", "accuracy"):
        np.testing.assert_array_equal(own["training"][name].values, run["training"][name].values, err_msg=name)
    np.testing.assert_array_equal(own["training"]["lr"].values, run["training"]["lr"].values)


def test_recording_leaves_the_training_as_it_is(tmp_path, monkeypatch):
    recorded = train_and_record(tmp_path / "own", 0, "cross_entropy")
    monkeypatch.setattr(elastic.Recorder, "record", lambda *_, **__: None)
    plain = train_and_record(tmp_path / "plain", 0, "cross_entropy")
    for name, value in plain.state_dict().items():
        assert torch.equal(value, recorded.state_dict()[name]), name
