"""A probe with a target precision draws more samples until its standard errors are small enough, or all are drawn."""

from __future__ import annotations

import pytest
import torch

from elastic.data.contract import Samples
from elastic.losses import build_loss
from elastic.metrics.elasticity import response, response_stderr
from elastic.models.contract import Stages, Task
from elastic.models.mlp import mlp
from elastic.probes.elasticity import ElasticityProbe, relative_error

SIZES = [(2, 4), (4, 8), (8, 16), (16, 32)]


def probe(precision):
    torch.manual_seed(0)
    model = mlp(Task((6,), 2), widths=[8, 8]).eval()
    samples = Samples(torch.randn(200, 6), torch.arange(200) % 2, (0, 1))
    draws = [(torch.arange(2 * a), torch.arange(100, 100 + 2 * b)) for a, b in SIZES]
    return ElasticityProbe(model, build_loss("cross_entropy"), samples, draws, precision)


def read(precision):
    return {layer: reading["update"] for layer, reading in probe(precision).read().items()}


def test_without_a_target_the_first_draw_is_read():
    assert len(read(None)["logits"].stepped) == 2 * SIZES[0][0]


def test_samples_are_added_until_every_standard_error_is_below_the_target():
    errors = []
    for a, b in SIZES:
        fixed = probe(None)
        at_size = ElasticityProbe(
            fixed.model, fixed.loss, fixed.samples, [(torch.arange(2 * a), torch.arange(100, 100 + 2 * b))]
        )
        errors.append(relative_error({layer: r["update"] for layer, r in at_size.read().items()}))
    enough = 2
    target = (errors[enough] + min(errors[:enough])) / 2
    assert errors[enough] < target < min(errors[:enough])
    assert len(read(target)["logits"].stepped) == 2 * SIZES[enough][0]


def test_an_unreachable_target_ends_with_the_largest_draw():
    assert len(read(1e-9)["logits"].stepped) == 2 * SIZES[-1][0]


def test_the_standard_error_is_that_of_repeated_draws():
    torch.manual_seed(1)
    model = mlp(Task((6,), 2), widths=[8, 8]).eval()
    population = Samples(torch.randn(4000, 6), torch.arange(4000) % 2, (0, 1))
    values, told = [], []
    for number in range(120):
        order = torch.randperm(4000, generator=torch.Generator().manual_seed(number))
        labels = population.labels[order]
        picked = [order[labels == k] for k in (0, 1)]
        draw = (torch.cat([p[:8] for p in picked]), torch.cat([p[8:32] for p in picked]))
        update = ElasticityProbe(model, build_loss("cross_entropy"), population, [draw]).read()["penultimate"]["update"]
        values.append(response(update))
        told.append(response_stderr(update))
    spread = torch.stack(values).std(0)
    assert torch.stack(told).square().mean(0).sqrt() == pytest.approx(spread.numpy(), rel=0.25)


def test_a_layer_that_never_moves_is_exact():
    model = Stages({"penultimate": torch.nn.Identity(), "logits": torch.nn.Linear(6, 2)})
    base = probe(None)
    fixed = ElasticityProbe(model, base.loss, base.samples, base.draws[:1])
    still = fixed.read()["penultimate"]["update"]
    assert (still.norms == 0).all()
    assert relative_error({"penultimate": still}) == 0
