"""The account beside the real steps of torch.optim.SGD on a deep network, each followed as it is taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp

import elastic
from elastic.analysis.closure import closure

pytestmark = pytest.mark.usefixtures("unsealed")

COUNTS, EPOCHS, EVERY = (4, 6, 8), 16, 4
#: Submodules of the network: two of its hidden layers, and the output.
LAYERS = ("3", "5", "6")


def network():
    torch.manual_seed(1)
    hidden = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh()]
    return nn.Sequential(*hidden, nn.Linear(5, 3)).double()


def samples():
    generator = torch.Generator().manual_seed(0)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
    centres = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    return centres[labels] + 0.5 * torch.randn(len(labels), 4, generator=generator, dtype=torch.float64), labels


def grams(net, parameters, x, labels):
    """Return the Gram matrix of the centred class means of each layer."""
    collected = []
    for last in LAYERS:
        part = net[: int(last) + 1]
        h = functional_call(part, {name: p for name, p in parameters.items() if int(name[0]) <= int(last)}, (x,))
        means = torch.stack([h[labels == k].mean(0) for k in range(3)])
        centred = means - means.mean(0)
        collected.append(centred @ centred.T)
    return torch.stack(collected)


def state(net):
    return {name: p.detach().clone() for name, p in net.named_parameters()}


@pytest.mark.parametrize(
    ("options", "loss", "batch", "drop_last", "schedule"),
    [
        ({"lr": 0.02, "weight_decay": 0.1}, {"label_smoothing": 0.2}, 7, True, lambda epoch: 0.9**epoch),
        ({"lr": 0.02}, {"weight": torch.tensor([1.0, 2.0, 5.0]).double()}, None, False, lambda epoch: 1.0),
        (
            {"lr": 0.001, "momentum": 0.5, "nesterov": True},
            {"reduction": "sum"},
            9,
            False,
            lambda epoch: 1 / (1 + epoch),
        ),
    ],
    ids=["smoothing, decay, schedule, drop_last", "class weights", "sum, Nesterov"],
)
def test_it_sums_up_to_the_real_steps(tmp_path, options, loss, batch, drop_last, schedule):
    (x, labels), net, criterion = samples(), network(), nn.CrossEntropyLoss(**loss)
    optimizer, order = torch.optim.SGD(net.parameters(), **options), torch.Generator().manual_seed(2)
    size = batch or len(x)
    steps = len(x) // size if drop_last else -(-len(x) // size)
    rule = {"momentum": options.get("momentum", 0.0), "nesterov": options.get("nesterov", False)}
    rule |= {"weight_decay": options.get("weight_decay", 0.0), "steps_per_epoch": steps}
    probes = {"at": list(range(0, EPOCHS + 1, EVERY)), "collapse": None, "elasticity": None, "class_steps": rule}
    taken, start = torch.zeros(len(LAYERS), 3, 3, dtype=torch.float64), grams(net, state(net), x, labels)
    with elastic.Recorder(
        tmp_path, net, layers=list(LAYERS[:2]), train=(x, labels), probes=probes, loss=criterion, evaluate=False
    ) as recorder:
        recorder.record(0)
        for epoch in range(1, EPOCHS + 1):
            optimizer.param_groups[0]["lr"] = options["lr"] * schedule(epoch - 1)
            for chosen in torch.randperm(len(x), generator=order).split(size)[:steps]:
                optimizer.zero_grad()
                criterion(net(x[chosen]), labels[chosen]).backward()
                before = state(net)
                optimizer.step()
                step = {name: p - before[name] for name, p in state(net).items()}
                taken += jvp(lambda at: grams(net, at, x, labels), (before,), (step,))[1]
            recorder.record(epoch, lr=optimizer.param_groups[0]["lr"])
    estimates = closure(elastic.open_study(tmp_path).cube).isel(seed=0)
    happened = (grams(net, state(net), x, labels) - start).numpy()
    order_of_dims = ("layer", "class", "other_class")
    changed, account = (
        estimates[f"mean_gram_{name}"].sum("epoch").transpose(*order_of_dims).values for name in ("change", "account")
    )
    np.testing.assert_allclose(changed, happened, atol=1e-12)
    size = np.linalg.norm(happened, axis=(1, 2))
    assert (np.linalg.norm(taken.numpy() - happened, axis=(1, 2)) < 0.03 * size).all()
    assert (np.linalg.norm(account - taken.numpy(), axis=(1, 2)) < 0.08 * size).all()
