"""Layers that are chosen by themselves, and an output with a name of its own, move as real steps move them."""

from __future__ import annotations

import pytest
import torch
from support.layered_models import Functional, FunctionalBlock, Parts, Recurrent, ResNet, Text, ViT, chain
from support.real_steps import double_precision, movements
from torch import nn

from elastic import measure_elasticity

IMAGES, TOKENS, VECTORS = (3, 8, 8), 7, (4,)
MODELS = {
    "chain": (lambda: chain(4, 6, 5, 3, act=nn.Tanh), VECTORS),
    "residual": (lambda: ResNet((1, 1, 1, 1)), IMAGES),
    "attention": (lambda: ViT(depth=2), IMAGES),
    "torch's encoder": (lambda: Text(depth=1), TOKENS),
    "recurrent": (Recurrent, TOKENS),
    "functions": (Functional, VECTORS),
    "blocks": (lambda: Parts(nn.Sequential(FunctionalBlock(), FunctionalBlock()), nn.Linear(4, 3)), VECTORS),
    "a view of the last": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.Flatten()), VECTORS),
}


def samples(shape, count, seed):
    generator = torch.Generator().manual_seed(seed)
    if isinstance(shape, int):
        return torch.randint(0, 20, (count, shape), generator=generator)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", MODELS)
def test_auto_layers_move_as_real_steps_move_them(name):
    build, shape = MODELS[name]

    def make():
        torch.manual_seed(3)
        return build().double()

    stepped, observed = samples(shape, 2, 0), samples(shape, 3, 1)
    labels = torch.tensor([0, 2])
    with double_precision():
        net = make()
    measured = measure_elasticity(net, (stepped, labels), (observed, torch.arange(3)), layers="auto", pairs=True)
    names = measured["layer"].values.tolist()
    assert names[-1] != "logits"
    assert len(names) > 1
    assert measured["role"].values.tolist() == [*["hidden"] * (len(names) - 1), "output"]
    truth = movements(make, (stepped, labels), observed, names[:-1])
    assert truth.excuses == []
    decided = 0
    for layer, of in zip(names, [*names[:-1], "logits"], strict=True):
        response = torch.as_tensor(measured["pair_response"].sel(layer=layer).values)
        expected, sure = truth.moved[of].norm(dim=2), truth.decided[of]
        error = (response - expected)[sure].abs()
        assert bool((error <= 1e-6 * expected[sure] + 1e-9 * truth.scale[of][:, None].expand_as(sure)[sure]).all())
        decided += int(sure.sum())
    assert decided >= len(names) * 3
