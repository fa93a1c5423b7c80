"""A model that changes between two records: what it no longer has is NaN, and all else is recorded."""

from __future__ import annotations

import logging

import pytest
import torch
from support.recordings import PROBES, network, recorder
from torch import nn

import elastic
from elastic.errors import StudyError


class Product(nn.Module):
    """A linear map without a linear module, as adapters replace one."""

    def __init__(self, replaced):
        super().__init__()
        self.weight, self.bias = replaced.weight, replaced.bias

    def forward(self, x):
        return x @ self.weight.T + self.bias


def test_a_replaced_linear_module_makes_variables_of_its_weights_nan_and_no_others(tmp_path, caplog):
    model = network()
    with recorder(tmp_path, model, probes={**PROBES, "at": [0, 1, 2], "weights": {}}) as recording:
        recording.record(0)
        for place in (0, 2, 4):
            model[place] = Product(model[place])
        with caplog.at_level(logging.WARNING):
            recording.record(1)
            recording.record(2)
    told = [one.message for one in caplog.records if "not measured" in one.message]
    assert len(told) == 2  # one of each probe, at the first epoch only
    cube = elastic.open_study(tmp_path).cube
    lost = set()
    for group in ("collapse", "elasticity", "weights", "training"):
        before, after = (cube[group].isel(epoch=place, drop=True) for place in (0, 1))
        for name in before.data_vars:
            if not after[name].isnull().equals(before[name].isnull()):
                assert after[name].isnull().all()
                assert f"`{group}/{name}`" in "".join(told)
                lost.add(name)
            elif before[name].dtype.kind == "f" and name != "probe_error":
                assert torch.allclose(*(torch.tensor(one[name].values) for one in (before, after)), 1e-4, 1e-6, True)
    assert {"nc3_duality", "nc2_classifier_etf_error", "weight_stable_rank"} <= lost
    assert not lost & {"nc1", "nc4", "response", "loss"}


def test_a_variable_that_a_probe_declares_and_does_not_return_is_an_error(tmp_path, monkeypatch):
    with recorder(tmp_path) as recording:
        recording.record(0)
        probe = recording.probes["collapse"]
        read = probe.read
        monkeypatch.setattr(probe, "read", lambda epoch: {k: v for k, v in read(epoch).items() if k != "nc1"})
        with pytest.raises(StudyError, match="`collapse/nc1` should be in the record of the epoch"):
            recording.record(1)
