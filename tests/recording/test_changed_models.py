"""A model that changes between two records: what it no longer has is NaN, and all else is recorded."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from support.recordings import PROBES, network, recorder, samples
from torch import nn

import elastic
from elastic.errors import AllFrozen, StudyError
from elastic.probes.groups.unseen import UnseenProbe
from elastic.probes.verification import EngineMismatch

pytestmark = pytest.mark.usefixtures("unsealed")


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
    result = [one.message for one in caplog.records if "not measured" in one.message]
    assert len(result) == 2  # one of each probe, at the first epoch only
    cube = elastic.open_study(tmp_path).cube
    lost = set()
    for group in ("collapse", "elasticity", "weights", "training"):
        before, after = (cube[group].isel(epoch=place, drop=True) for place in (0, 1))
        for name in before.data_vars:
            if not after[name].isnull().equals(before[name].isnull()):
                assert after[name].isnull().all()
                assert f"`{group}/{name}`" in "".join(result)
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


def unseen():
    inputs, labels = samples(seed=3)
    return inputs, labels + 3


#: Of classes that are never trained on, from few samples.
FEW = {"shots": [1], "episodes": 2}


def test_a_frozen_model_has_no_elasticity_and_is_recorded_all_the_same(tmp_path, caplog):
    model, probes = network(), {**PROBES, "at": [0, 1, 2, 3, 4], "unseen": FEW}
    options = {"model": model, "probes": probes, "unseen": unseen(), "epochs": 4}
    with recorder(tmp_path, **options) as recording:
        recording.record(0)
        model.requires_grad_(False)
        with caplog.at_level(logging.WARNING):
            recording.record(1)
            recording.record(2)
        model.requires_grad_(True)
        recording.record(3)
    assert ["elasticity is not measured" in one.message for one in caplog.records].count(True) == 1
    with recorder(tmp_path, **options) as resumed:
        resumed.record(4)
    cube = elastic.open_study(tmp_path).cube
    response = cube["elasticity"]["response"].transpose("epoch", ...).values.reshape(5, -1)
    assert np.isnan(response).all(axis=1).tolist() == [False, True, True, False, False]
    assert cube["elasticity"]["probe_engine"].isel(seed=0, epoch=[0, 3, 4]).to_series().nunique() == 1
    for group, name in (("collapse", "nc1"), ("collapse", "nc3_duality"), ("unseen", "unseen_nc1")):
        result = cube[group][name]
        assert result.isel(epoch=2).drop_vars("epoch").identical(result.isel(epoch=0).drop_vars("epoch"))
    assert cube["unseen"]["response_unseen"].isel(epoch=1).isnull().all()


def test_a_model_that_is_frozen_from_the_start_is_refused(tmp_path):
    with pytest.raises(AllFrozen):
        recorder(tmp_path, network().requires_grad_(False), probes=PROBES)


def test_responses_of_unseen_classes_that_no_engine_finds_are_nan(tmp_path, monkeypatch):
    class Wrong:
        def read(self, epoch, *, first):
            raise EngineMismatch("`probes`", "agree with real steps", "none that does", "no responses")

    with recorder(tmp_path, probes={**PROBES, "elasticity": None, "unseen": FEW}, unseen=unseen()) as recording:
        recording.record(0)
        monkeypatch.setattr(UnseenProbe, "_elasticity", lambda self: Wrong())
        recording.record(1)
    study = elastic.open_study(tmp_path).cube["unseen"].isel(epoch=1)
    assert study["response_unseen"].isnull().all()
    assert study["unseen_nc1"].notnull().any()
