"""The update-response probe against its slow twin, in every layer, loss and way of stepping."""

from __future__ import annotations

import copy
from itertools import product

import numpy as np
import pytest
import torch
from support import elasticity_cases
from torch import nn

from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.models.contract import Stages, Task
from elastic.models.mlp import mlp
from elastic.models.taps import Tapped
from elastic.probes import aggregation
from elastic.probes.engine_selection import choose_engine
from elastic.probes.memory.plan import Plan
from elastic.probes.update_response import update_responses

CASES = elasticity_cases.CASES

each_engine = pytest.mark.parametrize("engine", ["autodiff", "structured"])


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@each_engine
@pytest.mark.parametrize("name", CASES)
def test_first_order_movements_are_the_twin_s_in_every_layer(name, engine):
    case = CASES[name]
    responses = case.responses(engine=engine)
    assert list(responses) == list(case.model.layers)
    for layer, response in responses.items():
        moved, own = case.moved(layer)
        np.testing.assert_allclose(response.norms, np.linalg.norm(moved, axis=2), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(response.own_norms, np.linalg.norm(own, axis=1), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(response.products, np.einsum("jmd,jd->jm", moved, own), rtol=1e-8, atol=1e-12)


@each_engine
@pytest.mark.parametrize(
    "name",
    ["hidden", "logits_squared", "batch_norm", "convolution", "contrastive_batch_norm", "contrastive_convolution"],
)
@pytest.mark.parametrize("lr", [1e-1, 1e-3])
def test_finite_movements_are_those_of_copy_step_subtract(name, lr, engine):
    case = CASES[name]
    for layer, response in case.responses(lr=lr, engine=engine).items():
        moved, own = case.moved(layer, lr)
        np.testing.assert_allclose(response.norms, np.linalg.norm(moved, axis=2), rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(response.own_norms, np.linalg.norm(own, axis=1), rtol=1e-7, atol=1e-10)


def test_finite_movements_tend_to_first_order_ones_as_the_step_vanishes():
    case = CASES["penultimate_gelu"]
    limit = case.responses()["logits"].norms
    errors = [relative_error(case.responses(lr=lr)["logits"].norms, limit) for lr in (1e-2, 1e-3, 1e-4)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2]


@each_engine
@pytest.mark.parametrize("name", ["shared_samples", "convolution", "contrastive", "contrastive_convolution"])
def test_a_small_memory_budget_changes_nothing_but_the_blocks(name, engine):
    case = CASES[name]
    budget = 3 * 2**13 if "contrastive" in name else 2**14
    whole, cut = case.responses(engine=engine), case.responses(engine=engine, memory_budget=budget)
    fields = ("norms", "products", "own_norms", "shift_norms", "shift_along_mean", "within_rates", "loss_rates")
    for layer in whole:
        for field in fields:
            torch.testing.assert_close(getattr(cut[layer], field), getattr(whole[layer], field), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("name", "budget"), [("hidden", 2**14), ("contrastive", 3 * 2**13)])
def test_a_small_memory_budget_does_cut_the_work_of_autodiff_into_blocks(monkeypatch, name, budget):
    from elastic.probes import update_response

    seen = []
    read = update_response.read
    monkeypatch.setattr(
        update_response, "read", lambda blocks, *rest: read([seen.append(b) or b for b in blocks], *rest)
    )
    CASES[name].responses(engine="autodiff", memory_budget=budget)
    assert len({b.stepped.start for b in seen}) > 1
    assert len({b.observed.start for b in seen}) > 1


@each_engine
@pytest.mark.parametrize("lr", [None, 0.1])
def test_a_step_along_a_loss_of_features_leaves_the_classifier_where_it_is(engine, lr):
    # Δz(m) = W Δh(m), whatever h: an orthonormal W keeps the norms, and its bias says nothing
    torch.manual_seed(0)
    model = mlp(Task((4,), 4), widths=[5, 4]).double()
    nn.init.orthogonal_(model.get_parameter("stages.logits.weight"))
    x, y = torch.randn(12, 4, dtype=torch.float64), torch.arange(12) % 3
    given = build_loss("supervised_contrastive"), (x[:6], y[:6]), (x[6:], y[6:])
    values = update_responses(model, *given, classes=3, lr=lr, engine=engine)
    assert (values["penultimate"].norms > 0).any()
    torch.testing.assert_close(values["logits"].norms, values["penultimate"].norms)
    torch.testing.assert_close(values["logits"].products, values["penultimate"].products)


@each_engine
def test_a_batch_without_two_samples_of_a_class_has_nothing_to_contrast(engine):
    torch.manual_seed(0)
    model = mlp(Task((4,), 3), widths=[5, 4])
    x, y = torch.randn(9, 4), torch.arange(9) % 3
    given = build_loss("supervised_contrastive"), (x[:3], y[:3]), (x[3:], y[3:])
    for response in update_responses(model, *given, classes=3, engine=engine).values():
        assert (response.norms == 0).all()


def test_an_engine_that_was_chosen_for_another_layer_is_refused():
    case = CASES["contrastive"]
    chosen = choose_engine(case.model, case.observed[:1], engine="structured")
    with pytest.raises(ModelError, match="which the loss is of"):
        case.responses(engine=chosen)


def test_a_loss_of_features_needs_a_layer_before_the_logits():
    model = Tapped(nn.Linear(4, 3), [])
    x, y = torch.randn(6, 4), torch.arange(6) % 3
    with pytest.raises(ModelError, match="a layer before the logits"):
        update_responses(model, build_loss("supervised_contrastive"), (x, y), (x, y), classes=3)


def test_linear_softmax_moves_as_its_closed_form_says():
    # Δz(x') = -(p - e_y)(x·x' + 1) for a single linear layer with bias
    torch.manual_seed(0)
    model = Stages({"penultimate": nn.Identity(), "logits": nn.Linear(4, 3)}).double()
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 3
    values = update_responses(model, build_loss("cross_entropy"), (x[:3], y[:3]), (x[3:], y[3:]), classes=3)
    p = model(x[:3]).softmax(1) - nn.functional.one_hot(y[:3], 3)
    expected = p.norm(dim=1)[:, None] * (x[:3] @ x[3:].T + 1).abs()
    torch.testing.assert_close(values["logits"].norms, expected, rtol=1e-12, atol=0)
    assert (values["penultimate"].norms == 0).all()


def test_the_first_layer_of_a_deep_linear_net_moves_as_its_closed_form_says():
    torch.manual_seed(0)
    model = mlp(Task((4,), 3), widths=[5, 6], activation="identity", bias=False).double()
    W2, W3 = (model.get_parameter(name) for name in ("stages.penultimate.0.weight", "stages.logits.weight"))
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 3
    values = update_responses(model, build_loss("cross_entropy"), (x[:3], y[:3]), (x[3:], y[3:]), classes=3)
    delta = (model(x[:3]).softmax(1) - nn.functional.one_hot(y[:3], 3)) @ W3 @ W2
    expected = delta.norm(dim=1)[:, None] * (x[:3] @ x[3:].T).abs()
    torch.testing.assert_close(values["hidden_1"].norms, expected, rtol=1e-12, atol=0)


@each_engine
@pytest.mark.parametrize("factor", [400.0, 1500.0])
def test_float32_stays_exact_where_fitted_samples_have_vanishing_gradients(factor, engine):
    torch.manual_seed(0)
    model = mlp(Task((20,), 5), widths=[64, 64])
    x = torch.randn(30, 20)
    with torch.no_grad():
        model.stages["logits"].weight *= factor
        y = model(x).argmax(dim=1)  # every sample is right, by a wide margin
    loss, exact = build_loss("cross_entropy"), copy.deepcopy(model).double()
    norms = loss.gradient(exact(x.double()), y).norm
    assert norms.min() < (1e-6 if factor == 400.0 else 1e-30)
    values = update_responses(model, loss, (x[:10], y[:10]), (x[10:], y[10:]), classes=5, engine=engine)
    doubled = (x[:10].double(), y[:10]), (x[10:].double(), y[10:])
    truth = update_responses(exact, loss, *doubled, classes=5, engine="autodiff")
    for layer in values:
        each = torch.linalg.vector_norm(values[layer].norms - truth[layer].norms, dim=1)
        assert (each / torch.linalg.vector_norm(truth[layer].norms, dim=1)).max() < 1e-3, layer


def test_a_float32_copy_step_subtract_loop_measures_rounding_where_the_probe_does_not():
    torch.manual_seed(0)
    model = mlp(Task((20,), 5), widths=[64, 64, 64])
    x, y, lr = torch.randn(12, 20), torch.arange(12) % 5, 1e-8
    case = elasticity_cases.Case(model, x[:2], x[2:], y[:2], y[2:], 5, "logits")
    exact = update_responses(copy.deepcopy(model).double(), build_loss("cross_entropy"),
                             (x[:2].double(), y[:2]), (x[2:].double(), y[2:]), classes=5)["logits"].norms  # fmt: skip
    naive = np.linalg.norm(case.moved("logits", lr)[0], axis=2)
    assert relative_error(naive, exact.numpy()) > 0.05
    for engine in ("autodiff", "structured"):
        assert relative_error(case.responses(lr=lr, engine=engine)["logits"].norms, exact) < 1e-4
        assert relative_error(case.responses(engine=engine)["logits"].norms, exact) < 1e-5


def test_a_probe_leaves_the_model_its_modes_and_the_generators_as_they_were():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2))
    model[1].eval()
    stages = Stages({"penultimate": model[:4], "logits": model[4]}).train()
    stages.stages["penultimate"][1].eval()
    before = copy.deepcopy(stages.state_dict())
    modes = [m.training for m in stages.modules()]
    state = torch.get_rng_state()
    x, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    for lr, engine in product((None, 0.1), ("autodiff", "structured")):
        steps, others = (x[:2], y[:2]), (x[2:], y[2:])
        update_responses(stages, build_loss("cross_entropy"), steps, others, classes=2, lr=lr, engine=engine)
    assert [m.training for m in stages.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in stages.state_dict().items())
    assert all(p.grad is None for p in stages.parameters())


class Untraceable(torch.autograd.Function):
    """Has a backward but no forward-mode derivative."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def test_a_model_without_forward_derivative_is_named_as_the_reason():
    class Doubled(nn.Module):
        def forward(self, x):
            return Untraceable.apply(x)

    model = Stages({"penultimate": nn.Sequential(nn.Linear(3, 3), Doubled()), "logits": nn.Linear(3, 2)})
    x, y = torch.randn(4, 3), torch.arange(4) % 2
    with pytest.raises(ModelError, match="differentiable forwards"):
        update_responses(model, build_loss("cross_entropy"), (x[:2], y[:2]), (x[2:], y[2:]), classes=2)


def test_within_sensitivity_is_the_derivative_of_the_class_variance_along_the_step():
    case, lr = CASES["penultimate_gelu"], 1e-6
    result = case.responses()["penultimate"]

    def variances(step):
        model = copy.deepcopy(case.model)
        for p, g in zip(model.parameters(), gradients, strict=True):
            p.data -= step * g
        h = model.taps(case.observed)["penultimate"].detach()
        groups = [h[case.observed_labels == k] for k in range(case.classes)]
        return torch.stack([(g - g.mean(0)).square().sum(1).mean() for g in groups])

    for a in range(len(case.stepped)):
        loss = build_loss(case.loss).per_sample(case.model(case.stepped[a][None]), case.stepped_labels[a][None])[0]
        gradients = torch.autograd.grad(loss, list(case.model.parameters()))
        derivative = (variances(lr) - variances(-lr)) / (2 * lr)
        torch.testing.assert_close(result.within_rates[a], derivative, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(result.within_variances[a], variances(0.0), rtol=1e-12, atol=0)
        torch.testing.assert_close(result.loss_rates[a], sum(g.square().sum() for g in gradients), rtol=1e-10, atol=0)


def test_a_frozen_layer_is_not_stepped():
    # Only the classifier learns: Δz(m) = -(p - e_y)(h_a·h_m + 1), and no layer below it moves
    torch.manual_seed(0)
    model = mlp(Task((4,), 3), widths=[5, 6]).double()
    for layer in model.layers[:-1]:
        model.stages[layer].requires_grad_(False)
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 3
    values = update_responses(model, build_loss("cross_entropy"), (x[:3], y[:3]), (x[3:], y[3:]), classes=3)
    h = model.taps(x)["penultimate"].detach()
    p = (model(x[:3]).softmax(1) - nn.functional.one_hot(y[:3], 3)).detach()
    torch.testing.assert_close(values["logits"].norms, p.norm(dim=1)[:, None] * (h[:3] @ h[3:].T + 1).abs())
    assert (values["hidden_1"].norms == 0).all()
    assert (values["penultimate"].norms == 0).all()


def test_a_model_that_is_frozen_as_a_whole_is_refused():
    model = mlp(Task((4,), 3), widths=[5]).requires_grad_(False)
    x, y = torch.randn(8, 4), torch.arange(8) % 3
    with pytest.raises(ModelError, match="parameters that a step moves"):
        update_responses(model, build_loss("cross_entropy"), (x[:3], y[:3]), (x[3:], y[3:]), classes=3)


def test_finite_steps_of_autodiff_take_tokens():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(9, 4)

        def forward(self, x):
            return torch.tanh(self.embedding(x).mean(1))

    torch.manual_seed(0)
    model = Stages({"penultimate": Tokens(), "logits": nn.Linear(4, 2)}).double()
    x, y = torch.randint(0, 9, (6, 3)), torch.arange(6) % 2
    pairs = [
        update_responses(model, build_loss("mse"), (x[:2], y[:2]), (x[2:], y[2:]), classes=2, lr=0.1, engine=engine)
        for engine in ("autodiff", "structured")
    ]
    for layer in model.layers:
        torch.testing.assert_close(pairs[0][layer].norms, pairs[1][layer].norms, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("left_out", [(), ((0, 0), (3, 2))])
def test_residuals_that_are_kept_between_blocks_change_no_number(left_out, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    model = mlp(Task((3,), 3), widths=[4]).eval()
    x, y = torch.randn(12, 3, generator=generator), torch.tensor([0, 1, 2] * 4)
    same = torch.zeros(5, 7, dtype=torch.bool)
    for pair in left_out:
        same[pair] = True
    monkeypatch.setattr(Plan, "of", lambda cost, stepped, observed, budget: Plan(2, observed, 1, observed))
    collected = []
    for kept in (2**20, 0):
        monkeypatch.setattr(aggregation, "KEPT", kept)
        loss = build_loss("cross_entropy")
        collected.append(update_responses(model, loss, (x[:5], y[:5]), (x[5:], y[5:]), classes=3, same=same))
    for one, other in zip(*(each.values() for each in collected), strict=True):
        for name, value in vars(one).items():
            assert value == getattr(other, name) if isinstance(value, int) else torch.equal(value, getattr(other, name))
