from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import cases, oracles

from elastic.errors import DegenerateInput
from elastic.metrics.least_squares import read_least_squares

networks = st.builds(
    lambda counts, d, seed, bias, ridge, spread: cases.clustered(
        tuple(counts), (d,), seed=seed, bias=bias, ridge=ridge, spread=spread
    ),
    counts=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    d=st.sampled_from([1, 2, 4, 9, 60]),
    seed=st.integers(0, 2**16),
    bias=st.booleans(),
    ridge=st.sampled_from([0.0, 1e-4, 0.05, 2.0]),
    spread=st.sampled_from([0.0, 0.3, 2.0]),
)
quick = settings(max_examples=80, deadline=None)


def decompose(case):
    return read_least_squares(case.features, case.labels, case.classes, case.weights, case.bias, case.ridge)


@quick
@given(case=networks)
def test_the_loss_is_the_best_loss_plus_the_perpendicular_one(case):
    parts = decompose(case)
    total = case.ask(oracles.mse_loss)
    assert (parts.optimum + parts.perpendicular).item() == pytest.approx(total, rel=1e-10, abs=1e-10)


@quick
@given(case=networks)
def test_the_best_loss_is_that_of_variability_plus_that_of_the_means(case):
    parts = decompose(case)
    assert (parts.nc1 + parts.nc23).item() == pytest.approx(parts.optimum.item(), rel=1e-10, abs=1e-10)


@quick
@given(case=networks)
def test_the_parts_are_those_of_the_normal_equations(case):
    parts = decompose(case)
    for name, value in (
        ("mse_least_squares", parts.optimum),
        ("mse_perpendicular", parts.perpendicular),
        ("mse_nc1", parts.nc1),
        ("mse_nc23", parts.nc23),
    ):
        assert value.item() == pytest.approx(case.ask(getattr(oracles, name)), rel=1e-7, abs=1e-9), name
        assert value >= 0


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ridge", [0.0, 0.03])
def test_training_the_classifier_reaches_the_best_loss_and_no_less(bias, ridge):
    case = cases.clustered((6, 8, 10), (3,), bias=bias, ridge=ridge, seed=5)
    before = decompose(case)
    W = case.weights.clone().requires_grad_()
    b = case.bias.clone().requires_grad_() if bias else None
    free = [W, b] if bias else [W]
    solver = torch.optim.LBFGS(
        free, max_iter=500, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    Y = torch.eye(3).double()[case.labels]

    def loss():
        solver.zero_grad()
        errors = torch.nn.functional.linear(case.features, W, b) - Y
        value = errors.square().sum(1).mean() / 2 + ridge / 2 * sum(p.square().sum() for p in free)
        value.backward()
        return value

    solver.step(loss)
    trained = cases.Case(case.features, case.labels, W.detach(), b.detach() if bias else None, case.next_weights, ridge)
    assert loss().item() == pytest.approx(before.optimum.item(), rel=1e-9)
    after = decompose(trained)
    assert after.perpendicular < 1e-12
    assert after.optimum.item() == pytest.approx(before.optimum.item(), rel=1e-12)
    assert before.perpendicular > 1e-2


def test_variability_loses_nothing_at_exact_collapse_without_ridge():
    parts = decompose(cases.simplex_etf())
    collapsed = cases.exact_collapse((3, 4, 5), 6)
    free = read_least_squares(collapsed.features, collapsed.labels, 3, collapsed.weights, collapsed.bias, 0.0)
    assert free.nc1 < 1e-25
    assert free.optimum < 1e-25  # three points in six dimensions are fitted exactly
    assert parts.nc1 > 1e-3  # the penalty of the weights stays


def test_features_of_any_shape_and_precision_are_taken_as_vectors():
    case = cases.clustered((4, 4, 4), (3, 2, 2), dtype=torch.float32)
    flat = read_least_squares(case.vectors, case.labels, 3, case.weights, case.bias, 0.01)
    parts = decompose(case)
    assert parts.optimum.dtype == torch.float64
    assert parts == flat


def test_no_d_by_d_matrix_is_formed():
    case = cases.clustered((4, 4, 4), (150_000,), dtype=torch.float32)  # d×d would take 180 GB
    parts = decompose(case)
    assert (parts.nc1 + parts.nc23).item() == pytest.approx(parts.optimum.item(), rel=1e-10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.tensor([0, 0, 2, 2])}, r"`labels` should name every class of 0\.\.2; found \[0, 2\]"),
        ({"labels": torch.tensor([0, 1, 2, 3])}, r"`labels` should name every class"),
        ({"features": torch.tensor([[0.0], [1.0], [float("nan")], [2.0]])}, "`features` should be finite"),
        ({"weights": torch.ones(3, 2)}, r"`weights` should be of shape \[3, 1\]; found \[3, 2\]"),
        ({"weights": torch.ones(2, 1)}, r"`weights` should be of shape \[3, 1\]; found \[2, 1\]"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    given_values = {
        "features": torch.arange(4.0)[:, None],
        "labels": torch.tensor([0, 1, 2, 2]),
        "weights": torch.ones(3, 1),
    }
    given_values |= change
    with pytest.raises(DegenerateInput, match=message):
        read_least_squares(**given_values, classes=3, bias=None, ridge=0.0)
