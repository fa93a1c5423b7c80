"""A probe keeps its memory budget, with every engine and on a large model too, or says that it cannot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from benchmarks.bench_engines import grown
from benchmarks.bench_engines import problem as benchmark
from support import engine_cases
from support.sampling import alternating

from elastic.errors import ModelError
from elastic.losses import LossGradient, build_loss
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.probes.engine_selection import choose_engine
from elastic.probes.evaluation import probed
from elastic.probes.memory.ledger import Ledger
from elastic.probes.update_response import update_responses

MIB = 2**20
ENGINES = ("structured", "autodiff")


def probing(model, stepped, observed, loss=engine_cases.LOSS, **options):
    """Return the peak of the bytes that torch allocates, inside of its operations too, while a model is probed."""
    classes = 10 if stepped[1].max() > 2 else 3
    labels = torch.arange(len(observed)) % classes
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)
    with profile:
        update_responses(model, loss, stepped, (observed, labels), classes=classes, **options)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = torch.tensor([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).cumsum(0)
    return int(live.max())


#: Stepped and observed samples, and a budget in MiB.
SIZES = {"mlp": (40, 60, 40), "cnn": (8, 16, 10)}


@pytest.mark.parametrize(("name", "engine"), alternating(SIZES, ENGINES))
def test_a_budget_is_kept_and_a_larger_one_is_used(name, engine):
    J, M, budget = SIZES[name]
    given = benchmark(name, J, M)
    took = probing(*given, engine=engine, memory_budget=budget * MIB)
    assert took <= 1.2 * budget * MIB
    assert probing(*given, engine=engine) > 1.5 * took


@pytest.mark.parametrize(("engine", "count"), [("structured", 3), ("autodiff", 2)])
def test_a_budget_is_kept_on_a_model_of_eleven_million_parameters(engine, count):
    model, stepped, observed = benchmark("resnet18", count, count)
    assert sum(p.numel() for p in model.parameters()) > 11e6
    assert probing(model, stepped, observed, engine=engine, memory_budget=128 * MIB) <= 1.2 * 128 * MIB


@pytest.mark.parametrize(("engine", "J", "M"), [("structured", 6, 30), ("autodiff", 3, 15)])
def test_a_budget_is_kept_by_finite_steps(engine, J, M):
    given = benchmark("cnn", J, M)
    assert probing(*given, engine=engine, lr=0.1, memory_budget=20 * MIB) <= 1.2 * 20 * MIB


@pytest.mark.parametrize("engine", ENGINES)
def test_a_budget_is_kept_where_a_loss_couples_its_samples(engine):
    # 800 samples: one table of all pairs is 5 MiB, and the gradient is made of several
    torch.manual_seed(0)
    model, x, y = mlp(Task((20,), 10), widths=[32, 16]).eval(), torch.randn(800, 20), torch.arange(800) % 10
    given = {"loss": build_loss("supervised_contrastive"), "engine": engine}
    assert probing(model, (x, y), x[:40], memory_budget=100 * MIB, **given) <= 1.2 * 100 * MIB
    with pytest.raises(ModelError, match="at least"):
        probing(model, (x, y), x[:40], memory_budget=30 * MIB, **given)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read as Linux tells it")
def test_the_process_grows_no_more_than_the_budget_says():
    assert grown("mlp", 40, 100, "autodiff", 64 * MIB) <= 1.2 * 64


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "lr"),
    [
        *((name, None) for name in ("mlp_gelu", "cnn", "cnn_plain", "residual", "attention", "sequence", "shared")),
        *((name, 0.1) for name in ("mlp_relu", "cnn", "tokens")),
    ],
)
def test_no_block_takes_more_than_is_planned(name, lr, engine):
    model, stepped, observed = engine_cases.problem(name)
    chosen = choose_engine(model, observed[:1], engine=engine, finite=lr is not None)
    lasting = Ledger()
    with lasting:
        stepping = chosen.at_work(model, observed[:1], lr)
    for c, m in ((1, 7), (5, 2), (4, 9)):
        ledger = Ledger()
        with torch.no_grad(), probed(stepping.model):
            gradient = LossGradient(torch.ones(c, engine_cases.CLASSES).double(), torch.full((c,), 1e-3).double())
            with ledger:
                steps = stepping.steps(stepped[0][:c], gradient)
                for _ in range(2):
                    stepping.moved(steps, observed[:m])
        assert lasting.live + max(ledger.timeline) <= chosen.cost.peak(c, m)


def test_a_budget_that_no_pair_keeps_is_refused_with_the_least_that_one_does():
    given = benchmark("mlp", 3, 4)
    with pytest.raises(
        ModelError, match=r"at least .* for one stepped and one observed sample; found 1 MiB"
    ) as refused:
        probing(*given, engine="autodiff", memory_budget=MIB)
    least = int(re.search(r"memory_budget: (\d+)MiB", str(refused.value))[1]) * MIB
    assert 0.5 * least < probing(*given, engine="autodiff", memory_budget=least) <= 1.2 * least
    with pytest.raises(ModelError, match="at least"):
        probing(*given, engine="autodiff", memory_budget=least - 2 * MIB)


def test_memory_does_not_grow_with_stepped_samples_times_parameters():
    torch.manual_seed(0)
    model = mlp(Task((20,), 10), widths=[1000, 1000, 1000]).eval()
    parameters = sum(p.numel() for p in model.parameters())
    took = [
        probing(model, (torch.randn(J, 20), torch.arange(J) % 10), torch.randn(16, 20), engine="structured")
        for J in (8, 40)
    ]
    assert took[1] - took[0] < 0.1 * 32 * parameters * 4


def test_memory_does_not_grow_with_observed_samples_times_features():
    # One wide layer: what is kept for each pair is two numbers, not the features.
    torch.manual_seed(0)
    model, stepped = mlp(Task((4,), 10), widths=[10_000]).eval(), (torch.randn(4, 4), torch.arange(4))
    took = [
        probing(model, stepped, torch.randn(M, 4), engine="structured", memory_budget=100 * MIB) for M in (100, 1000)
    ]
    assert took[1] - took[0] < 0.1 * 900 * 10_000 * 8
