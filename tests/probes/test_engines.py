"""How an engine is chosen, and what every engine yields beside the movements."""

from __future__ import annotations

import pytest
import torch
from support.engine_cases import CLASSES, LOSS, J, M, blocks, problem

from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.models.taps import tap
from elastic.probes import elasticity, engine_selection
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.engine_selection import choose_engine, prefers_autodiff
from elastic.probes.evaluation import probed
from elastic.probes.memory.ledger import Ledger

ENGINES = ("structured", "autodiff")


def elasticity_probe(**options):
    torch.manual_seed(0)
    samples = Samples(torch.randn(60, 5), torch.arange(60) % CLASSES, tuple(range(CLASSES)))
    draws = [(torch.arange(n), torch.arange(30, 30 + n)) for n in (6, 12, 24)]
    return ElasticityProbe(mlp(Task((5,), CLASSES), widths=[6, 6]), LOSS, samples, draws, **options)


def test_a_probe_chooses_its_engine_once(monkeypatch):
    chosen, choose = [], elasticity.choose_engine
    monkeypatch.setattr(elasticity, "choose_engine", lambda *a, **k: chosen.append(choose(*a, **k)) or chosen[-1])
    probe = elasticity_probe()
    first = probe.read()
    for layer, reading in probe.read().items():
        assert torch.equal(reading["update"].norms, first[layer]["update"].norms)
    assert chosen == [probe.chosen_engine()]


def test_more_samples_are_drawn_only_as_far_as_the_memory_budget_allows():
    assert len(elasticity_probe(precision=1e-9).read()["logits"]["update"].stepped) == 24
    with pytest.raises(ModelError, match="memory_budget"):
        elasticity_probe(precision=1e-9, memory_budget=100).read()
    result = 0
    for budget in range(2**12, 2**16, 2**11):
        try:
            result = len(elasticity_probe(precision=1e-9, memory_budget=budget).read()["logits"]["update"].stepped)
        except ModelError:
            assert result == 0
        if result:
            break
    assert result == 6


@pytest.mark.parametrize("lr", [None, 0.1])
@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_tell_the_gradient_and_the_features_that_they_are_of(engine, lr):
    model, stepped, observed = problem("cnn")
    with torch.no_grad():
        expected, taps = LOSS.gradient(model(stepped[0]), stepped[1]), model.taps(observed)
    seen = torch.zeros(J, M, dtype=torch.int64)
    for block in blocks(engine, model, stepped, observed, lr, memory_budget=2**18):
        torch.testing.assert_close(block.gradient.direction, expected.direction[block.stepped])
        torch.testing.assert_close(block.gradient.norm, expected.norm[block.stepped])
        for layer, features in taps.items():
            torch.testing.assert_close(block.features[layer], features.flatten(1)[block.observed])
        seen[block.stepped, block.observed] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_ledger_sees_what_the_profiler_sees(engine):
    model, stepped, observed = problem("attention")
    ledger = Ledger()
    with ledger:
        for block in blocks(engine, model, stepped, observed):
            del block
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)
    with profile:
        for block in blocks(engine, model, stepped, observed):
            del block
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = torch.tensor([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).cumsum(0)
    assert 0.8 * int(live.max()) < max(ledger.timeline) <= 1.05 * int(live.max())


@pytest.mark.parametrize("engine", ["structured", "autodiff"])
@pytest.mark.parametrize("names", [["1", "2"], ["1"]])
def test_only_a_loss_of_features_before_the_output_couples_the_samples(engine, names):
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    example = torch.zeros(1, 4)
    model = tap(net, names, example)
    assert not choose_engine(model, example, engine=engine).couples
    assert not choose_engine(model, example, engine=engine, layer=model.layer_of("logits")).couples
    assert choose_engine(model, example, engine=engine, layer=model.layer_of("penultimate")).couples


def test_autodiff_is_preferred_for_convolutions_on_a_gpu_alone():
    convolutional, plain = problem("cnn")[0], problem("mlp_relu")[0]
    assert prefers_autodiff(convolutional, torch.device("cuda", 0))
    assert not prefers_autodiff(convolutional, torch.device("cpu"))
    assert not prefers_autodiff(plain, torch.device("cuda", 0))
    assert not prefers_autodiff(convolutional, torch.device("cuda", 0), finite=True)


def test_auto_takes_the_preferred_engine_within_the_memory_budget_and_says_why(monkeypatch):
    model, _, observed = problem("cnn")
    assert str(choose_engine(model, observed[:1], engine="auto")) == "structured"
    preferred = engine_selection.prefers_autodiff
    monkeypatch.setattr(
        engine_selection, "prefers_autodiff", lambda m, _, **given: preferred(m, torch.device("cuda"), **given)
    )
    assert str(choose_engine(model, observed[:1], engine="auto")) == (
        "autodiff (the faster engine for convolutions on a GPU)"
    )
    assert choose_engine(model, observed[:1], engine="structured").name == "structured"
    assert choose_engine(model, observed[:1], engine="auto", finite=True).name == "structured"
    assert choose_engine(model, observed[:1], engine="auto", memory_budget=2**10).name == "structured"


def test_a_run_that_began_on_the_structured_engine_stays_on_it(monkeypatch):
    monkeypatch.setattr(engine_selection, "prefers_autodiff", lambda *_, **__: True)
    probe = elasticity_probe()
    assert probe.chosen_engine().name == "autodiff"
    probe.stay_structured()
    assert str(probe.chosen_engine()) == "structured"
    assert probe.chosen_engine().may_fall_back


def test_a_ledger_counts_what_an_operation_returns_in_tuples_and_lists():
    x, ledger = torch.ones(4, 5, dtype=torch.float64), Ledger()
    with ledger:
        ordered = torch.sort(x)  # values and places
        doubled = torch._foreach_mul([x, x], 2.0)
    assert ledger.live == sum(tensor.nbytes for tensor in (*ordered, *doubled)) == 640


@pytest.mark.parametrize(
    ("name", "engine", "lr"),
    [("cnn", "structured", None), ("cnn_plain", "structured", 0.1), ("mlp_relu", "autodiff", None)],
)
def test_a_trial_with_two_observed_samples_is_one_that_begins_anew(name, engine, lr, monkeypatch):
    model, _, observed = problem(name)
    example, taken = observed[:1], []
    stepping = engine_selection.ENGINES[engine](model, example, lr, model.output)
    step = stepping.steps
    monkeypatch.setattr(stepping, "steps", lambda *given: taken.append(given) or step(*given))
    with torch.no_grad(), probed(model):
        features = stepping.features(example)[stepping.layer].double()
        courses = list(engine_selection.courses(stepping, example, features))
        (given,) = taken  # one step for both
        for course, count in zip(courses, (1, 2), strict=True):
            inputs, ledger = example.expand(count, *example.shape[1:]).clone(), Ledger()
            with ledger:
                steps = step(*given)
                own = stepping.own(steps, example, 1)
                for _ in range(2):
                    moved = None
                    moved = stepping.moved(steps, inputs)
            assert max(course.timeline) == max(ledger.timeline)
            assert course.made == ledger.made
            del steps, own, moved
