"""A probe with a target precision draws more samples until its standard errors are small enough, or all are drawn."""

from __future__ import annotations

import math

import pytest
import torch

from elastic.data.contract import Samples
from elastic.losses import build_loss
from elastic.metrics.elasticity import locality, response
from elastic.metrics.elasticity_errors import response_lower, response_stderr, response_stderr_clustered, response_upper
from elastic.metrics.locality_errors import locality_corrected, locality_lower, locality_stderr, locality_upper
from elastic.metrics.update import UpdateResponse
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


def test_the_clustered_standard_error_is_that_of_repeated_draws():
    torch.manual_seed(1)
    model = mlp(Task((6,), 2), widths=[8, 8]).eval()
    population = Samples(torch.randn(4000, 6), torch.arange(4000) % 2, (0, 1))
    values, collected = [], []
    for number in range(30):
        order = torch.randperm(4000, generator=torch.Generator().manual_seed(number))
        labels = population.labels[order]
        picked = [order[labels == k] for k in (0, 1)]
        draw = (torch.cat([p[:8] for p in picked]), torch.cat([p[8:32] for p in picked]))
        update = ElasticityProbe(model, build_loss("cross_entropy"), population, [draw]).read()["penultimate"]["update"]
        values.append(response(update))
        collected.append(response_stderr_clustered(update))
    spread = torch.stack(values).std(0)
    assert torch.stack(collected).square().mean(0).sqrt() == pytest.approx(spread.numpy(), rel=0.25)


def test_a_layer_that_never_moves_is_exact():
    model = Stages({"penultimate": torch.nn.Identity(), "logits": torch.nn.Linear(6, 2)})
    base = probe(None)
    fixed = ElasticityProbe(model, base.loss, base.samples, base.draws[:1])
    still = fixed.read()["penultimate"]["update"]
    assert (still.norms == 0).all()
    assert relative_error({"penultimate": still}) == 0


def heavy_tailed(draw, stepped=8, observed=32, classes=10, spread=1.8, alike=1.0):
    """Return movements of a draw of samples, each larger by a lognormal factor of its stepped and observed sample."""
    generator = torch.Generator().manual_seed(draw)
    rows, columns = (torch.arange(classes).repeat_interleave(count) for count in (stepped, observed))
    factor = (spread * torch.randn(len(rows), generator=generator, dtype=torch.float64)).exp()
    other = (0.3 * torch.randn(len(columns), generator=generator, dtype=torch.float64)).exp()
    # Samples that move far move other classes as far as their own.
    between = 1 + (2 * (rows[:, None] == columns[None, :])) * factor[:, None] ** (alike - 1)
    norms, nothing = factor[:, None] * other * between, torch.zeros(len(rows), classes).double()
    return UpdateResponse(
        classes, rows, columns, torch.ones_like(norms).bool(), norms, norms, factor, *[nothing] * 4, factor
    )


def truth_of(spread=1.8):
    """Return responses to a class's own samples and to others, as of infinitely many."""
    mean = math.exp(spread**2 / 2 + 0.3**2 / 2)
    return mean * (1 + 2 * torch.eye(10, dtype=torch.float64))


def test_two_standard_errors_cover_where_one_sample_carries_most_of_its_class():
    draws, truth = [heavy_tailed(draw) for draw in range(40)], truth_of()
    covered = {
        stderr.__name__: torch.stack([(response(u) - truth).abs() <= 2 * stderr(u) for u in draws]).double().mean()
        for stderr in (response_stderr, response_stderr_clustered)
    }
    assert covered["response_stderr_clustered"] < 0.7
    assert covered["response_stderr"] > 0.9
    inside = torch.stack([(response_lower(u) <= truth) & (truth <= response_upper(u)) for u in draws])
    assert inside.double().mean() > 0.91


def test_light_tails_are_covered_as_often_as_told():
    draws, truth = [heavy_tailed(draw, spread=0.2) for draw in range(40)], truth_of(0.2)
    inside = torch.stack([(response_lower(u) <= truth) & (truth <= response_upper(u)) for u in draws])
    assert 0.92 < inside.double().mean() < 0.98


def test_the_bias_of_locality_is_told_and_its_interval_covers_it():
    many = locality(heavy_tailed(0, stepped=4000, observed=8, spread=1.2, alike=0.7))
    draws = [heavy_tailed(draw, spread=1.2, alike=0.7) for draw in range(60)]
    plain, corrected = (torch.stack([metric(u) for u in draws]).mean() for metric in (locality, locality_corrected))
    assert plain > 1.05 * many
    assert (corrected - many).abs() < 0.7 * (plain - many)
    assert torch.stack([(locality(u) - many).abs() <= 2 * locality_stderr(u) for u in draws]).double().mean() > 0.88
    assert (
        torch.stack([(locality_lower(u) <= many) & (many <= locality_upper(u)) for u in draws]).double().mean() > 0.88
    )
