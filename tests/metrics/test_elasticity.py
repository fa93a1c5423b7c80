"""What each metric of elasticity does under another unit of the loss, and another order of classes and samples."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.losses import Loss, build_loss
from elastic.metrics.contract import evaluate
from elastic.metrics.elasticity_per_sample import relative_similarity_per_sample
from elastic.metrics.geodesic import geodesic_correlation
from elastic.metrics.update import example_pairs
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.probes.update_response import update_responses
from elastic.registry import registry

#: The metric of a loss c·ℓ is c^degree times that of ℓ: a movement grows as the gradient does, a ratio does not. A
#: change per unit of loss shrinks: the step is c times as long, and takes c² as much off the loss.
DEGREES = {
    "response": 1,
    "response_stderr": 1,
    "response_stderr_clustered": 1,
    "response_lower": 1,
    "response_upper": 1,
    "self_response": 1,
    "mean_shift": 1,
    "within_sensitivity": 1,
    "response_product": 2,
    "self_response_squared": 2,
    "relative_similarity": 0,
    "kernel_similarity": 0,
    "mean_shift_alignment": 0,
    "locality": 0,
    "relative_similarity_stderr": 0,
    "relative_similarity_lower": 0,
    "relative_similarity_upper": 0,
    "relative_similarity_per_sample": 0,
    "locality_corrected": 0,
    "locality_stderr": 0,
    "locality_lower": 0,
    "locality_upper": 0,
    "locality_per_sample": 0,
    "effective_samples": 0,
    "probe_error": 0,
    "loss_response": 2,
    "loss_response_stderr": 2,
    "local_stability": 2,
    "uniform_stability": 2,
    "logit_response": 1,
    "logit_response_stderr": 1,
    "squeezed_probability": 1,
    "probe_engine": 0,
    "stepped_samples": 0,
    "observed_samples": 0,
    "within_sensitivity_relative": -1,
    "class_effect": 0,
    "intra_class_effect": 0,
    "inter_class_effect": 0,
    "separation_rate": 0,
    "relative_neighbour_accuracy": 0,
    "kernel_neighbour_accuracy": 0,
    "geodesic_correlation": 0,
    "fine_locality": 0,
    "fine_variance_share": 0,
    "relative_fine_clustering_accuracy": 0,
    "kernel_fine_clustering_accuracy": 0,
    "relative_fine_neighbour_accuracy": 0,
    "kernel_fine_neighbour_accuracy": 0,
    "feature_fine_clustering_accuracy": 0,
    "feature_fine_neighbour_accuracy": 0,
    "input_fine_clustering_accuracy": 0,
    "input_fine_neighbour_accuracy": 0,
}

#: Movements per unit of the loss's gradient, which grows with the loss as they do.
PER_GRADIENT = "feature per unit learning rate and loss gradient"

ENTRIES = {e.name: e for e in registry("metrics") if e.facts.group == "elasticity"}


@dataclass(frozen=True, eq=False)
class Question:
    """A network and the samples that are stepped and observed in it."""

    model: torch.nn.Module
    loss: Loss
    stepped: tuple[torch.Tensor, torch.Tensor]
    observed: tuple[torch.Tensor, torch.Tensor]
    classes: int

    def answer(self):
        """Return every metric of every layer."""
        values = update_responses(self.model, self.loss, self.stepped, self.observed, classes=self.classes)
        return {layer: evaluate("elasticity", {"update": update}) for layer, update in values.items()}


def question(seed, classes, per_class, loss):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = mlp(Task((4,), classes), widths=[6, 5], activation="tanh").double().eval()
        x = torch.randn(5 * classes + classes * per_class, 4, dtype=torch.float64)
    y, steps = torch.arange(len(x)) % classes, classes * per_class
    return Question(model, build_loss(loss), (x[:steps], y[:steps]), (x[steps:], y[steps:]), classes)


#: Every loss with every number of classes, and every number of classes with every number of samples of each.
QUESTIONS = [
    question(seed, classes, per_class, ("cross_entropy", "mse")[seed % 2])
    for seed, (classes, per_class) in enumerate(product((2, 3, 4), (1, 2, 3)))
]
questions = st.sampled_from(QUESTIONS)
quick = settings(max_examples=12, deadline=None)


@lru_cache
def answer_to(asked):
    """Return what every test here compares with."""
    return asked.answer()


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for layer, values in expected.items():
        for name, value in values.items():
            torch.testing.assert_close(
                found[layer][name], value, rtol=1e-8, atol=1e-12, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_every_metric_of_elasticity_has_a_degree():
    assert set(DEGREES) == set(ENTRIES)


@quick
@given(asked=questions, factor=st.sampled_from([1e-9, 0.25, 3.0, 1e6]))
def test_another_unit_of_the_loss(asked, factor):
    def per_sample(logits, labels):
        return factor * asked.loss.per_sample(logits, labels)

    def gradient(logits, labels):
        gradient = asked.loss.gradient(logits, labels)
        return replace(gradient, norm=gradient.norm * factor)

    result = replace(asked, loss=Loss(per_sample, gradient)).answer()
    in_old_units = {
        layer: {name: value / factor ** DEGREES[name] for name, value in values.items()}
        for layer, values in result.items()
    }
    assert_same(in_old_units, answer_to(asked))


@quick
@given(asked=questions, data=st.data())
def test_renumbered_classes_renumber_the_values(asked, data):
    order = torch.tensor(data.draw(st.permutations(range(asked.classes))))  # class order[k] becomes class k
    model = copy.deepcopy(asked.model)
    with torch.no_grad():
        model.stages["logits"].weight.copy_(asked.model.stages["logits"].weight[order])
        model.stages["logits"].bias.copy_(asked.model.stages["logits"].bias[order])
    (xs, ys), (xo, yo), place = asked.stepped, asked.observed, order.argsort()
    result = replace(asked, model=model, stepped=(xs, place[ys]), observed=(xo, place[yo])).answer()
    expected = {
        layer: {
            name: value[torch.meshgrid(*[order] * value.ndim, indexing="ij")] if value.ndim else value
            for name, value in values.items()
        }
        for layer, values in answer_to(asked).items()
    }
    assert_same(result, expected)


@quick
@given(asked=questions, seed=st.integers(0, 2**16))
def test_the_order_of_the_samples_means_nothing(asked, seed):
    generator = torch.Generator().manual_seed(seed)

    def shuffled(samples):
        order = torch.randperm(len(samples[1]), generator=generator)
        return samples[0][order], samples[1][order]

    assert_same(replace(asked, stepped=shuffled(asked.stepped), observed=shuffled(asked.observed)).answer(),
                answer_to(asked))  # fmt: skip


@pytest.mark.parametrize("asked", QUESTIONS)
def test_a_class_s_mean_moves_no_further_than_its_samples(asked):
    for values in answer_to(asked).values():
        assert (values["mean_shift"] <= values["response"] * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", [name for name, degree in DEGREES.items() if degree])
def test_what_has_a_degree_has_a_unit(name):
    assert ENTRIES[name].facts.units != "1"


@pytest.mark.parametrize("name", [name for name, degree in DEGREES.items() if not degree])
def test_what_has_none_is_a_pure_number(name):
    assert ENTRIES[name].facts.units in ("1", "samples", PER_GRADIENT)


def test_a_step_on_a_sample_that_is_fitted_exactly_moves_nothing_and_is_no_ratio():
    asked = question(0, 2, 1, "mse")
    logits = asked.model(asked.stepped[0]).detach()
    exact = Loss(asked.loss.per_sample, lambda z, y: asked.loss.gradient(
        torch.nn.functional.one_hot(y, 2).double() + 0 * logits, y))  # fmt: skip
    for values in replace(asked, loss=exact).answer().values():
        assert (values["response"] == 0).all()
        assert values["relative_similarity"].isnan().all()
        assert values["locality"].isnan()


def test_samples_that_do_not_move_are_left_out_of_the_mean_over_samples():
    update = example_pairs()
    own, norms = update.own_norms.clone(), update.norms.clone()
    own[1] = norms[1] = 0.0
    still = replace(update, own_norms=own, norms=norms)
    assert relative_similarity_per_sample(still).tolist() == [[0.5, 0.125], [0.125, 0.5]]
    own[0] = norms[0] = 0.0
    first, second = relative_similarity_per_sample(replace(update, own_norms=own, norms=norms))
    assert first.isnan().all()
    assert second.tolist() == [0.125, 0.5]


def test_similarity_that_falls_linearly_with_distance_correlates_to_minus_one_whatever_the_units():
    labels, generator = torch.zeros(40, dtype=torch.long), torch.Generator().manual_seed(0)
    distances = torch.rand(20, 40, 40, generator=generator, dtype=torch.float64)
    collected = []
    for near in distances:
        update = replace(
            example_pairs(), classes=1, stepped=labels, observed=labels, counted=~torch.eye(40, dtype=torch.bool),
            norms=8 * (5 - 3 * near), own_norms=torch.full((40,), 8.0, dtype=torch.float64),
        )  # fmt: skip
        collected += [geodesic_correlation(update, near * unit).item() for unit in (1.0, 1e-30, 1e30)]
    assert max(collected) == pytest.approx(-1)
    assert min(collected) == -1, "rounding makes no correlation beyond −1"
    still = replace(update, norms=torch.full((40, 40), 0.3 * 8).double() * (1 + 1e-15 * (near - 0.5)))
    assert geodesic_correlation(still, near).isnan().all(), "equal similarities differ by rounding alone"
