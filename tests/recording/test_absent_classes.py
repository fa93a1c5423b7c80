"""Classes without samples: of the test split, of the train split, of both."""

from __future__ import annotations

import numpy as np
import pytest
from support.recordings import CHEAP, PROBES, network, recorder, samples
from torch import nn

import elastic
from elastic.errors import DegenerateInput

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")


def without(absent):
    x, y = samples()
    return x[y != absent], y[y != absent]


def test_a_split_without_samples_of_a_class_is_not_measured_and_the_others_are(tmp_path, caplog):
    with recorder(tmp_path, test=without(2), probes=PROBES) as recording:
        recording.record(0)
    cube = elastic.open_study(tmp_path).cube
    nc1 = cube["collapse"]["nc1"].isel(seed=0, epoch=0)
    assert np.isfinite(nc1.sel(split="train")).all()
    assert np.isnan(nc1.sel(split="test")).all()
    assert cube["collapse"]["samples"].sel(split="test").values.tolist() == [6, 6, 0]
    assert np.isfinite(cube["training"]["loss"]).all()
    assert "no samples of [2]" in caplog.text


def test_no_split_that_is_reported_may_have_them_all(tmp_path):
    probes = {**CHEAP, "collapse": {"splits": ["test"], "per_class": 6}}
    with recorder(tmp_path, test=without(2), probes=probes) as recording:
        recording.record(0)
    assert np.isnan(elastic.open_study(tmp_path).cube["collapse"]["nc1"]).all()


@pytest.mark.parametrize("probe", ["collapse", "weights"])
def test_an_output_without_train_samples_is_told_before_the_training(tmp_path, probe):
    probes = {"at": [0], "collapse": None, "elasticity": None, probe: {}}
    with pytest.raises(DegenerateInput, match=r"`train` should hold samples of every class.*none of \[2\]"):
        recorder(tmp_path, train=without(2), probes=probes)
    assert not list(tmp_path.iterdir())


def test_more_outputs_than_labels_serve_the_probe_of_elasticity(tmp_path):
    model = nn.Sequential(*network(), nn.Linear(3, 7))
    probes = {**PROBES, "collapse": None}
    with recorder(tmp_path, model, probes=probes) as recording:
        recording.record(0)
    effect = elastic.open_study(tmp_path).cube["elasticity"]["intra_class_effect"]
    assert np.isfinite(effect).any()
