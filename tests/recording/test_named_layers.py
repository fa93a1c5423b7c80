"""Which layers are named decides which are measured, and nothing else about them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.recordings import CHEAP, network, recorder, samples
from torch import nn

import elastic
from elastic.models.taps import tap

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")


def square():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))


@pytest.mark.parametrize("make", [network, square])
@pytest.mark.parametrize("layers", [["1"], ["1", "4"]])
def test_a_hidden_layer_before_one_that_is_left_out_is_measured_as_with_it(tmp_path, make, layers):
    def collapse(name, layers):
        with recorder(tmp_path / name, make(), layers=layers, probes={**CHEAP, "weights": {}}) as recording:
            recording.record(0)
        return elastic.open_study(tmp_path / name).cube["collapse"].to_dataset().sel(layer="1")

    few, all_of_them = collapse("few", layers), collapse("all", ["1", "3"])
    for name in ("nc1", "nc3_duality"):
        assert np.isfinite(few[name]).all()
        np.testing.assert_array_equal(few[name], all_of_them[name], err_msg=name)


@pytest.mark.parametrize("make", [network, square])
def test_the_last_weights_are_those_of_the_last_linear_layer(make):
    net, example = make(), torch.as_tensor(samples()[0])
    assert tap(net, ["1", "3"], example).last_weights() is net[4]
    assert tap(net, ["1"], example).last_weights() is None
    assert tap(nn.Sequential(*net, nn.LogSoftmax(1)), ["1", "3"], example).last_weights() is net[4]
