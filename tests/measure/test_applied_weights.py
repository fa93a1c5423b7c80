"""NC3 and the kernel's invariant read the weights that the last layer applies, whatever computes them, unchanged."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import elastic

pytestmark = pytest.mark.usefixtures("unsealed")

Y = torch.arange(30) % 3
X = torch.randn(30, 6, generator=torch.Generator().manual_seed(0)) + Y[:, None]


class ByMode(nn.Module):
    """Weights that are others in training mode."""

    def forward(self, weight):
        return weight * torch.arange(1, 9) if self.training else weight


def by_mode(linear):
    parametrize.register_parametrization(linear, "weight", ByMode())
    return linear


def by_hook(linear):
    linear.doubled = nn.Parameter(linear.weight.detach().clone())
    del linear._parameters["weight"]
    linear.weight = torch.ones(3, 8)
    linear.register_forward_pre_hook(lambda part, given: setattr(part, "weight", part.doubled * torch.arange(1, 9)))
    return linear


def pruned(linear):
    prune.random_unstructured(linear, "weight", 0.4)
    prune.random_unstructured(linear, "bias", 0.4)
    return linear


KINDS = {
    "weight norm": parametrizations.weight_norm,
    "weight norm by a hook": nn.utils.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "spectral norm by a hook": nn.utils.spectral_norm,
    "another one in training mode": by_mode,
    "a hook of one's own": by_hook,
    "pruning": pruned,
}


def trained(wrap):
    """Return a network in training mode, after a step whose weights no forward pass has read."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), wrap(nn.Linear(8, 8)), nn.Tanh(), wrap(nn.Linear(8, 3)))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(net(X), Y).backward()
            optimizer.step()
    return net


def applied(net):
    """Return the last weights [3, 8] and bias [3] as outputs of unit inputs, and the features [n, 8] before them."""
    net.eval()
    with torch.no_grad():
        bias = net[4](torch.zeros(1, 8)).double()
        return (net[4](torch.eye(8)).double() - bias).T, bias[0], net[:4](X).double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*(weight_norm|spectral_norm).* is deprecated:FutureWarning")
def test_weights_are_those_of_a_pass_in_evaluation_mode(kind, tmp_path):
    weight, bias, features = applied(trained(KINDS[kind]))
    means = torch.stack([features[k == Y].mean(0) for k in range(3)])
    nearest = torch.cdist(features, means).argmin(1)
    means = means - means.mean(0)
    duality = float((weight / weight.norm() - means / means.norm()).square().sum())
    mismatch = float(((features @ weight.T + bias).argmax(1) != nearest).double().mean())
    net = trained(KINDS[kind])
    before = copy.deepcopy(net.state_dict())
    once = elastic.measure_collapse(net, [(X, Y)], layers=["3"])
    probes = {"elasticity": None, "at": [0, 1], "weights": {}, "tangent_kernel": {"per_class": 2, "directions": 2}}
    with elastic.Recorder(tmp_path, net, layers=["1", "3"], train=(X, Y), loss="mse", probes=probes) as recorder:
        recorder.record(0)
    recorded = recorder.study.cube["collapse"].sel(split="train").isel(seed=0, epoch=0)
    for result in (once, recorded):
        assert float(result["nc3_duality"].sel(layer="3")) == pytest.approx(duality, rel=1e-5)
        assert float(result["nc4_mismatch"].sel(layer="3")) == pytest.approx(mismatch, abs=1e-9)
    kernel = recorder.study.cube["tangent_kernel"].isel(seed=0, epoch=0)
    assert float(kernel["kernel_invariant_weights"]) == pytest.approx(float(weight.square().sum()), rel=1e-5)
    after = net.state_dict()
    assert all(module.training for module in net.modules())
    assert [name for name, value in before.items() if not torch.equal(value, after[name])] == []
