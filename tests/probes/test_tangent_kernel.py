"""The tangent kernel of a network: of few features exactly as plain backward passes give it, of many by directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.metrics.tangent_kernel import TangentKernel, kernel_nc1
from elastic.models.taps import tap
from elastic.probes.contract import Subject, build_probes
from elastic.theory import kernel_eigenvalues, kernel_invariant

#: Layers of the network below of which the last is what its last linear module takes.
READ_AS_THEY_ARE = ("0", "3")


def subject(width=6, layers=("0", "2"), **options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3)).double()
    labels = torch.arange(30) % 3
    x = 0.3 * torch.randn(30, 4, dtype=torch.float64) + torch.randn(3, 4, dtype=torch.float64)[labels]
    samples = Samples(x, labels, (0, 1, 2))
    return Subject(tap(net, layers, x[:2]), build_loss("cross_entropy"), {"train": samples}, **options)


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


@pytest.mark.parametrize("size", [0.1, 0.7, 3e-5, 7e4])
def test_nc1_of_a_constant_kernel_is_not_a_number_whatever_its_rounding(size):
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2])
    constant = torch.full((1, len(labels), len(labels)), size, dtype=torch.float64)
    assert kernel_nc1(TangentKernel(constant, labels, 3, exact=True)).isnan()


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


def blocked_inputs(kernel, labels):
    """Return inputs [n, n] whose inner products are a kernel of three values."""
    same = labels[:, None] == labels
    gram = torch.where(same, kernel[1], kernel[2]).double().fill_diagonal_(kernel[0])
    return torch.linalg.cholesky(gram)


def test_the_invariant_of_a_network_with_a_class_blocked_kernel_is_conserved():
    """Of h = Bx the kernel is ⟨x, x′⟩ for every feature and 0 between them: the theorem's assumptions, exactly."""
    kernel, labels = (0.9, 0.4, 0.1), torch.arange(12) % 3
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(12, 4, bias=False), nn.Linear(4, 3, bias=False)).double()
    x, y = blocked_inputs(kernel, labels), nn.functional.one_hot(labels, 3).double()
    of = Subject(tap(net, ["0"], x), build_loss("mse"), {"train": Samples(x, labels, (0, 1, 2))})
    probe = probe_of(of, per_class=4)
    tables = [probe.read(0)]
    for step in range(400):
        net.zero_grad()
        ((net(x) - y) ** 2).sum().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 1e-3 * p.grad
        if step % 200 == 199:
            tables.append(probe.read(step))
    names = ("trace", "norm", "weights", "between")
    trace, norm, weights, between = (np.array([t[f"kernel_invariant_{name}"] for t in tables]) for name in names)
    np.testing.assert_allclose(trace, trace[0], atol=0.01)
    np.testing.assert_allclose(norm, norm[0], atol=0.01)
    assert abs(weights[-1] - weights[0]) > 0.3, "its terms moved"
    assert abs(between[-1] - between[0]) > 0.3
    assert (tables[0]["kernel_block_residual"][0] < 1e-12).all()
    exact = kernel_invariant(net[0](x).detach(), labels, net[1].weight.detach(), kernel)
    assert trace[-1] == pytest.approx(np.trace(exact))
    assert norm[-1] == pytest.approx(np.linalg.norm(exact))


def test_the_invariant_is_of_all_train_samples_and_of_one_feature_of_the_kernel():
    of = subject(layers=READ_AS_THEY_ARE)
    table, net = probe_of(of, per_class=4).read(0), of.model.module
    train = of.samples["train"]
    features, weights = net[:4](train.inputs).detach().numpy(), net[4].weight.detach().numpy()
    of_layer = [table[f"kernel_{name}"][1] / 6 for name in ("same_sample", "same_class", "other_class")]
    exact = kernel_invariant(features, train.labels, weights, of_layer)
    assert table["kernel_invariant_trace"] == pytest.approx(np.trace(exact))
    assert table["kernel_invariant_norm"] == pytest.approx(np.linalg.norm(exact))
    single, of_class, of_all = kernel_eigenvalues(of_layer, 10, 3)
    means = np.stack([features[train.labels.numpy() == k].mean(0) for k in range(3)])
    wanted = {
        "weights": (weights**2).sum(),
        "mean": 30 * (means.mean(0) ** 2).sum() / of_all,
        "between": 10 * ((means - means.mean(0)) ** 2).sum() / of_class,
        "within": ((features - means[train.labels.numpy()]) ** 2).sum() / single,
    }
    for name, value in wanted.items():
        assert table[f"kernel_invariant_{name}"] == pytest.approx(value), name


def named(probe):
    return {variable.name for variable in probe.declare().variables}


def test_without_a_linear_last_layer_the_invariant_is_left_out_with_a_note():
    probe = probe_of(subject(), per_class=2)
    assert not any("invariant" in name for name in named(probe))
    assert "no linear layer takes the penultimate features" in probe.notes[0]
    small = probe_of(subject(layers=READ_AS_THEY_ARE, memory_budget=2000), per_class=2)
    assert "more than the memory budget" in small.notes[0]


def test_of_unequal_classes_the_invariant_is_not_a_number():
    of = subject(layers=READ_AS_THEY_ARE)
    unequal = of.samples["train"].take(torch.arange(29))
    probe = probe_of(Subject(of.model, of.loss, {"train": unequal}), per_class=2)
    assert "classes have 9 to 10 train samples" in probe.notes[0]
    table = probe.read(0)
    assert np.isnan(table["kernel_invariant_trace"])
    assert np.isfinite(table["kernel_block_residual"]).all()
    assert np.isfinite(table["kernel_invariant_weights"])
