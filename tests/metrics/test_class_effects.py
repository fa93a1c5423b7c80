"""The effects of a step on the logits: of dynamics whose strengths are known, and of linear classifiers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from support import elasticity_cases
from torch import nn

import elastic
from elastic.analysis import separability
from elastic.metrics.class_effects import (
    class_effect,
    inter_class_effect,
    intra_class_effect,
    pair_effects,
    separation_rate,
)
from elastic.metrics.update import UpdateResponse, example_update


def locally_elastic(E, directions, stepped, observed, counted=None):
    """Return the reading of movements Δ(m;a) = E_kl v(a): of class l = y(a) and k = y(m), v the descent direction."""
    effects = E[stepped][:, observed]
    own, v2 = E.diagonal()[stepped], directions.square().sum(1)
    K, nothing = len(E), torch.zeros(len(stepped), len(E)).double()
    counted = torch.ones_like(effects, dtype=torch.bool) if counted is None else counted
    return UpdateResponse(
        K, stepped, observed, counted, effects.abs() * v2.sqrt()[:, None], (effects * own[:, None]) * v2[:, None],
        own.abs() * v2.sqrt(), nothing, nothing, nothing, nothing, own * v2,
    )  # fmt: skip


def strengths(alpha, beta, classes):
    return beta + (alpha - beta) * torch.eye(classes).double()


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.5), (1.0, -0.3), (0.7, 0.7), (-1.0, 0.2)])
def test_known_strengths_are_found_whatever_the_directions_and_the_numbers_of_samples(alpha, beta):
    generator = torch.Generator().manual_seed(0)
    stepped, observed = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 2, 2, 2])
    for size in (1e-30, 1.0, 1e6):  # a fitted sample's gradient tells the same as one that is not
        v = size * torch.randn(4, 5, generator=generator, dtype=torch.float64)
        update = locally_elastic(strengths(alpha, beta, 3), v, stepped, observed)
        assert intra_class_effect(update).item() == pytest.approx(alpha, rel=1e-12)
        assert inter_class_effect(update).item() == pytest.approx(beta, rel=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.5), (1.0, -0.3), (1.0, -0.9), (-1.0, 0.2)])
def test_the_separation_rate_is_that_of_the_analysis(alpha, beta):
    stepped, observed = torch.arange(3), torch.arange(6) % 3
    update = locally_elastic(strengths(alpha, beta, 3), torch.ones(3, 2).double(), stepped, observed)
    expected = separability.separation_rate(xr.DataArray(alpha), xr.DataArray(beta), 3)
    assert separation_rate(update).item() == pytest.approx(expected.item(), rel=1e-12)


def test_strengths_that_differ_between_classes_are_found_one_by_one():
    E = torch.tensor([[2.0, 0.1, -0.2], [0.3, 1.5, 0.0], [-0.4, 0.5, 3.0]]).double()
    stepped, observed = torch.tensor([0, 1, 2, 2]), torch.arange(6) % 3
    update = locally_elastic(E, torch.rand(4, 2).double() + 1, stepped, observed)
    torch.testing.assert_close(class_effect(update), E)


def linear(seed, size, *, bias=True):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=bias))
        x = torch.randn(24, 4)
    with torch.no_grad():
        net[1].weight.mul_(size)
    return net, x, torch.arange(24) % 3


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("size", [1.0, 400.0], ids=["early", "fitted"])
@pytest.mark.parametrize("bias", [True, False])
def test_of_a_linear_classifier_it_is_the_mean_inner_product_of_inputs(loss, size, bias):
    net, x, y = linear(0, size, bias=bias)
    stepped, observed = slice(0, 9), slice(9, 24)
    ds = elastic.measure_elasticity(
        net, (x[stepped], y[stepped]), (x[observed], y[observed]), loss=loss, layers=["1"], engine="autodiff"
    ).sel(layer="1")
    kernel = (x[stepped].double() @ x[observed].double().T + bias).numpy()
    expected = np.array(
        [[kernel[np.ix_(y[stepped] == j, y[observed] == k)].mean() for k in range(3)] for j in range(3)]
    )
    np.testing.assert_allclose(ds.class_effect, expected, rtol=1e-4, atol=1e-4)
    apart = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(ds.intra_class_effect, np.trace(expected) / 3, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ds.inter_class_effect, expected[apart].mean(), rtol=1e-4, atol=1e-4)


def test_an_effect_is_no_greater_than_the_jacobians_of_the_logits():
    case = elasticity_cases.dense("logits")

    def jacobian_norm(x):
        logits = case.model(x[None])[0]
        rows = [torch.autograd.grad(z, list(case.model.parameters()), retain_graph=True) for z in logits]
        return torch.linalg.matrix_norm(torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]), 2)

    limits = torch.outer(*(torch.stack([jacobian_norm(x) for x in part]) for part in (case.stepped, case.observed)))
    effects = pair_effects(case.responses()["logits"])
    assert (effects.abs() <= limits * (1 + 1e-9)).all()
    assert (effects.abs() > 0.1 * limits).any()  # it is no empty bound


def test_samples_that_are_fitted_exactly_are_left_out():
    update = example_update()
    twice = {name: torch.cat([getattr(update, name)] * 2) for name in (
        "stepped", "counted", "norms", "products", "own_norms", "shift_norms", "shift_along_mean", "within_rates",
        "within_variances",
    )}  # fmt: skip
    twice["products"][1] = 0
    fitted = replace(update, **twice, loss_rates=torch.tensor([5.0, 0.0]).double())
    assert torch.equal(class_effect(fitted)[0], class_effect(update)[0])
    assert pair_effects(fitted)[1].isnan().all()


def test_a_sample_that_was_stepped_on_does_not_count_for_its_class():
    E, v = strengths(3.0, 0.0, 2), torch.ones(2, 1).double()
    update = locally_elastic(E, v, torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([[False, True]] * 2))
    assert class_effect(update)[0, 0].isnan()
    assert class_effect(update)[1, 1] == 3.0
    assert intra_class_effect(update).item() == 3.0
