"""The tangent kernel of a network: of few features exactly as plain backward passes give it, of many by directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.models.taps import Tapped
from elastic.probes.contract import Subject, build_probes


def subject(width=6, **options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3)).double()
    x = torch.randn(30, 4, dtype=torch.float64)
    samples = Samples(x, torch.arange(30) % 3, (0, 1, 2))
    return Subject(Tapped(net, ["0", "2"]), build_loss("cross_entropy"), {"train": samples}, **options)


def probe_of(of, **options):
    (probe,) = build_probes(of, {"tangent_kernel": options}).values()
    return probe


def kernel_by_backward_passes(net, module, x):
    """Σ_i ⟨∇h_i(x), ∇h_i(x′)⟩, one backward pass a feature and sample."""
    rows = []
    for sample in x:
        features = module(sample[None])[0]
        grads = [
            torch.autograd.grad(f, list(net.parameters()), retain_graph=True, allow_unused=True, materialize_grads=True)
            for f in features
        ]
        rows.append(torch.stack([torch.cat([g.flatten() for g in grad]) for grad in grads]))
    jacobians = torch.stack(rows)
    return torch.einsum("nip,mip->nm", jacobians, jacobians).detach().numpy()


@pytest.mark.parametrize("budget", [2**30, 40 * 300])
def test_it_is_exact_for_few_features_however_blocks_are_cut(budget):
    of = subject(memory_budget=budget)
    probe = probe_of(of, per_class=4)
    table, net = probe.read(0), of.model.module
    labels = probe.samples.labels.numpy()
    same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    for place, module in enumerate((net[0], net[:3], net)):
        kernel = kernel_by_backward_passes(net, module, probe.samples.inputs)
        assert table["kernel_same_sample"][place] == pytest.approx(kernel.diagonal().mean())
        assert table["kernel_same_class"][place] == pytest.approx(kernel[same].mean())
        assert table["kernel_other_class"][place] == pytest.approx(kernel[labels[:, None] != labels].mean())
    assert (table["kernel_same_class_stderr"] == 0).all()


def test_random_directions_come_within_their_error():
    wide = subject(width=60)
    exact, estimated = (probe_of(wide, per_class=4, directions=d).read(0) for d in (60, 20))
    for name in ("kernel_same_class", "kernel_other_class"):
        error = estimated[f"{name}_stderr"]
        assert error[1] > 0
        assert error[2] == 0, "the outputs are three"
        assert abs(estimated[name][1] - exact[name][1]) < 4 * error[1]
        np.testing.assert_allclose(estimated[name][2], exact[name][2])


def test_a_budget_for_no_gradient_is_refused_before_anything_is_read():
    with pytest.raises(ModelError, match=r"`memory_budget` should be at least"):
        probe_of(subject(memory_budget=1000)).rehearse()
