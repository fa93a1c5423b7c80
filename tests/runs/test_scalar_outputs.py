"""One output for two classes, through training, probes, metrics, claims and the conclusion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import studies
from torch import nn

import elastic
from elastic.display.conclusion import conclusion
from elastic.errors import ElasticError
from elastic.losses import build_loss
from elastic.models.building import build_model
from elastic.models.contract import Task
from elastic.probes.update_response import update_responses

#: The torus, whose elasticity has a geodesic correlation, under a loss of one output.
TEXT = """\
name: scalar
title: One output
cites: [he2020local]
data: {name: torus, samples_per_class: 24, test_fraction: 0.5, normalize: none}
model: {name: mlp, widths: [12, 8], norm: layer}
loss: {name: binary_cross_entropy}
optimizer: {name: sgd, lr: 0.05}
training: {epochs: 1, batch_size: null}
probes:
  at: {name: log, count: 2}
  collapse: {per_class: null}
  elasticity: {stepped_per_class: 12, observed_per_class: 12}
  weights: {}
axes:
  seed: [0, 1]
  of_output: {path: loss.name, values: [binary_cross_entropy, scalar_mse]}
claims:
  - {name: similarity_follows_geodesic, min_r: 0.1}
  - {name: locality_above, threshold: 0.1, layer: logits}
  - {name: below, variable: nc4_mismatch, threshold: 1.0}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("scalar"), text=TEXT)


def test_every_run_is_done_and_every_claim_has_numbers(study):
    assert {run.state for run in study.runs()} == {"done"}
    for verdict in elastic.check(study).verdicts:
        assert {finding.seeds for finding in verdict.findings} == {2}, verdict.sentence


def test_one_number_leaves_the_network(study):
    nc1 = study["nc1"]
    assert nc1["width"].sel(layer="logits").item() == 1
    assert nc1.sel(layer="logits", split="train").notnull().all()
    assert study["nc3_duality"].sel(layer="penultimate", split="train").notnull().all()
    for name in ("classifier_cosine", "nc3_simplex_error", "centre_logit_norm"):
        assert name not in study.cube["collapse"]


def test_the_conclusion_and_the_figures_are_made_of_it(study):
    assert study.plot.neural_collapse().axes
    assert study.plot.response_matrices().axes
    assert "collapse" in conclusion(study.cube)


def test_the_accuracy_of_the_last_epoch_is_that_of_the_threshold(study):
    result = study["accuracy"].isel(epoch=-1).sel(split="train")
    assert ((result * 24).round(9) % 1 == 0).all()  # 12 samples of each class
    assert (study["nc4_mismatch"].sel(layer="penultimate", split="train") <= 1).all()


def plain(name, z, y):
    if name == "scalar_mse":
        return (z[:, 0] - y).square() / 2
    return nn.functional.binary_cross_entropy_with_logits(z[:, 0], y.to(z.dtype), reduction="none")


@pytest.mark.parametrize("name", ["binary_cross_entropy", "scalar_mse"])
def test_loss_gradient_and_decisions_are_those_of_torch(name):
    loss = build_loss(name)
    z = torch.tensor([[-30.0], [-0.4], [0.2], [0.7], [40.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 0, 1, 1])
    expected = plain(name, z, y)
    torch.testing.assert_close(loss.per_sample(z, y), expected)
    (slope,) = torch.autograd.grad(expected.sum(), z)
    gradient = loss.gradient(z.detach(), y)
    torch.testing.assert_close(gradient.direction * gradient.norm[:, None], slope, rtol=1e-9, atol=1e-12)
    threshold = 0.5 if name == "scalar_mse" else 0.0
    assert loss.decisions(z).tolist() == (z[:, 0] > threshold).long().tolist()


def test_a_fitted_sample_keeps_its_gradient():
    far = build_loss("binary_cross_entropy").gradient(torch.tensor([[200.0], [-200.0]]), torch.tensor([1, 0]))
    assert far.norm.tolist() == pytest.approx([np.exp(-200.0)] * 2, rel=1e-9)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "scalar_mse"])
def test_relative_similarity_is_the_kernel_ratio_of_he_and_su(name):
    """For a scalar output |Δ(m;a)|/|Δ(a;a)| is |K(m,a)|/K(a,a) of the tangent kernel, whatever the loss."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("mlp", {"widths": [7]}, Task((3,), classes=2, loss_outputs=1)).double().eval()
        x = torch.randn(6, 3, dtype=torch.float64)
    y = torch.arange(6) % 2
    update = update_responses(model, build_loss(name), (x[:2], y[:2]), (x[2:], y[2:]), classes=2)["logits"]
    rows = []
    for sample in x:
        model.zero_grad()
        model(sample[None]).sum().backward()
        rows.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
    J = torch.stack(rows)
    kernel = (J[:2] @ J.T).abs()
    expected = kernel[:, 2:] / kernel[:, :2].diagonal()[:, None]
    torch.testing.assert_close(update.norms / update.own_norms[:, None], expected)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data={name: digits, per_class: 10, classes: [1, 2, 3]}"], "two classes"),
        (["training.classifier=etf"], "one output is no simplex"),
    ],
)
def test_what_one_output_cannot_do_is_told_before_training(tmp_path, settings, words):
    with pytest.raises(ElasticError, match=words):
        studies.run(tmp_path, *settings, text=TEXT)
