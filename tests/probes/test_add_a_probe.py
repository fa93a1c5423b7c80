"""A probe is added in one file: a protocol can name it, a run and a Recorder measure it, and the cube has its group."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from torch import nn

import elastic
from elastic import listing
from elastic.data.contract import Samples
from elastic.errors import ProtocolError
from elastic.losses import build_loss
from elastic.models.taps import Tapped
from elastic.probes.contract import Subject, build_probes
from elastic.protocol import json_schema, load_protocol
from elastic.registry import registry

PROBE = '''
"""Quantiles of the features of every layer."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.probes.contract import MetricProbe, Subject, probe
from elastic.probes.features import flat_taps

QUANTILES = {"lower": 0.25, "median": 0.5, "upper": 0.75}


@metric(group="activity", source="he2023law", formula="q(|h|)", units="feature unit", dims=("quantile",))
def feature_quantile(features: Tensor) -> Tensor:
    """Quantiles of the sizes of all features, q(|h|)."""
    levels = torch.tensor(list(QUANTILES.values()), dtype=torch.float64)
    return torch.quantile(features.double().abs().flatten(), levels)


@metric(group="activity", source="he2023law", formula="mean [h = 0]", bounds=(0.0, 1.0))
def silent_share(features: Tensor) -> Tensor:
    """Share of features that are zero, mean [h = 0]."""
    return (features == 0).double().mean()


class Activity(MetricProbe):
    group = "activity"

    def __init__(self, subject: Subject, count: int) -> None:
        super().__init__(subject.model.layers)
        self.model, self.inputs = subject.model, subject.samples["train"].inputs[:count]

    def reading_names(self):
        return dict.fromkeys(self.layers, {"features"}), ()

    def labels(self):
        return {"layer": self.layers, "quantile": list(QUANTILES)}

    def readings(self, epoch):
        with torch.no_grad():
            taps = flat_taps(self.model, self.inputs)
        return {layer: {"features": taps[layer]} for layer in self.layers}, {}


@probe(group="activity", dims=("layer", "quantile"), long_names={"quantile": "share of features that are smaller"})
def activity(subject: Subject, *, count: Annotated[int, Field(ge=1)] = 16) -> Activity:
    """How strongly the features of each layer are active."""
    return Activity(subject, count)
'''

PROTOCOL = """\
name: active
title: How active are the layers?
data: {name: digits, per_class: 10, classes: [0, 1, 2]}
model: {name: mlp, widths: [8, 6]}
optimizer: {name: sgd, lr: 0.05}
training: {epochs: 2}
probes:
  collapse: null
  elasticity: null
  activity: {count: 12}
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Import the file: its probe and metrics are registered as long as the test lasts."""
    kinds = [registry(kind) for kind in ("probes", "metrics")]
    before = [dict(kind._entries) for kind in kinds if kind.names()]
    (tmp_path / "my_probe.py").write_text(PROBE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("my_probe")
    for kind, entries in zip(kinds, before, strict=True):
        kind._entries.clear()
        kind._entries.update(entries)
    sys.modules.pop("my_probe", None)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "active.yaml"
    file.write_text(PROTOCOL)
    return file


@pytest.fixture
def subject():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    samples = Samples(torch.randn(20, 5), torch.arange(20) % 3, (0, 1, 2))
    return Subject(Tapped(net, ["1"]), build_loss("cross_entropy"), {"train": samples})


def test_a_protocol_names_it_and_its_options(module, path):
    protocol = load_protocol(path)
    assert protocol.probes.asked == {"activity": {"count": 12}}
    assert load_protocol(path, settings=["probes.activity={}"]).probes.asked == {"activity": {"count": 16}}
    assert load_protocol(path, settings=["probes.activity.count=3"]).probes.asked == {"activity": {"count": 3}}
    path.write_text(PROTOCOL.replace("count", "cuont"))
    with pytest.raises(ProtocolError, match=r"active\.yaml:10:14: `probes\.activity\.cuont` .*; try 'count'"):
        load_protocol(path)


@pytest.mark.parametrize("name", ["activity", "quantile", "silent_share"])
def test_no_axis_may_have_the_name_of_its_group_its_dims_or_its_metrics(module, path, name):
    axis = f"axes: {{{name}: {{path: optimizer.lr, values: [0.1, 0.2]}}}}\n"
    path.write_text(PROTOCOL + axis)
    with pytest.raises(ProtocolError, match=rf"active\.yaml:11:8: `axes\.{name}` should have another name"):
        load_protocol(path)


def test_claims_select_by_its_dim_and_name_its_metrics(module, path):
    claim = "{name: below, variable: feature_quantile, threshold: 5, where: {quantile: upper}}"
    path.write_text(PROTOCOL + f"claims: [{claim}]\n")
    (read,) = load_protocol(path).claims
    assert read.options["where"] == {"quantile": "upper"}


def test_the_schema_and_the_listings_know_it(module):
    schema = json_schema()["$defs"]["Probes"]["properties"]["activity"]
    assert schema["properties"]["count"]["minimum"] == 1
    assert listing.names(["probes"])["probes"]["activity"] == "How strongly the features of each layer are active."


def test_it_is_made_and_read_like_every_probe(module, subject):
    (probe,) = build_probes(subject, {"activity": {}}).values()
    table = probe.read(0)
    with torch.no_grad():
        hidden = subject.model.taps(subject.samples["train"].inputs[:16])["1"].numpy()
    assert table["silent_share"][0] == pytest.approx((hidden == 0).mean())
    expected = np.quantile(np.abs(hidden.astype(np.float64)), [0.25, 0.5, 0.75])
    np.testing.assert_allclose(table["feature_quantile"][0], expected)


def test_a_run_measures_it_into_a_group_of_its_own(module, path, tmp_path):
    study = elastic.run(path, out=tmp_path / "results")
    group = study.cube["activity"].dataset
    assert {name: result.dims for name, result in group.data_vars.items() if name != "status"} == {
        "feature_quantile": ("seed", "epoch", "layer", "quantile"),
        "silent_share": ("seed", "epoch", "layer"),
    }
    assert group["quantile"].values.tolist() == ["lower", "median", "upper"]
    assert group["quantile"].attrs["long_name"] == "share of features that are smaller"
    assert group["layer"].values.tolist() == ["hidden_1", "penultimate", "logits"]
    assert group["feature_quantile"].attrs["formula"] == "q(|h|)"
    assert group["epoch"].values.tolist() == [0, 1, 2]
    assert group["feature_quantile"].notnull().all()
    assert (group["feature_quantile"].diff("quantile") >= 0).all()
    assert "collapse" not in study.cube
    assert "elasticity" not in study.cube


def test_a_recorder_measures_it_beside_a_training_loop_of_ones_own(module, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    x, y = torch.randn(20, 5), torch.arange(20) % 3
    asked = {"at": [0, 1], "collapse": None, "elasticity": None, "activity": {"count": 8}, "weights": {}}
    with elastic.Recorder(
        tmp_path / "mine", net, layers=["1"], loss="cross_entropy", train=(x, y), test=(x, y), epochs=1, probes=asked
    ) as recorder:
        recorder.record(0)
        with torch.no_grad():
            hidden = net[1](net[0](x[:8]))
        recorder.record(1)
    cube = elastic.open_study(tmp_path / "mine").cube
    result = cube["activity"].dataset.sel(layer="1", epoch=0).squeeze()
    np.testing.assert_allclose(result["silent_share"], (hidden == 0).double().mean())
    assert result["quantile"].values.tolist() == ["lower", "median", "upper"]
    assert cube["weights"].dataset["weight_spectral_norm"].notnull().all()
    assert "collapse" not in cube


def test_once_removed_it_is_nowhere(path):
    assert "activity" not in registry("probes").names()
    with pytest.raises(ProtocolError, match=r"active\.yaml:10:3: `probes\.activity` should be a key of `probes`"):
        load_protocol(path)
