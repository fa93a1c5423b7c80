"""Real steps give what is known in closed form, and say where there is nothing to know."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from elastic import measure_elasticity
from elastic.models.taps import tap
from elastic.probes.pair import ROUNDINGS, Pair, PairMovement
from elastic.probes.reference import reference_movement

A = torch.tensor([[1.0, 2.0, -1.0]])
M = torch.tensor([[0.5, 1.0, 3.0]])


def pair(seed, layer="logits", size=None, a=A, m=M):
    return Pair(a, m, layer, torch.tensor(seed, dtype=torch.float64), size)


@pytest.mark.parametrize("size", [None, 0.0, 1e-3, 0.5, 1e-14])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_classifier_moves_by_the_inner_product_of_the_inputs(size, dtype):
    net = nn.Sequential(nn.Linear(3, 2)).to(dtype)
    movement = reference_movement(tap(net, [], A.to(dtype)), pair([0.6, -0.8], size=size, a=A.to(dtype), m=M.to(dtype)))
    assert movement.precision == "float64"
    assert not movement.undecided
    parameters = torch.cat([p.detach().flatten() for p in net.parameters()])
    largest = (net(torch.cat([A, M]).to(dtype)).norm() / parameters.norm()).detach()
    assert movement.rounding["logits"] == pytest.approx(ROUNDINGS * torch.finfo(dtype).eps * float(largest), rel=1e-5)
    direction = -torch.tensor([0.6, -0.8], dtype=torch.float64)
    inner = {"own": (A @ A.T + 1).double(), "moved": (A @ M.T + 1).double()}
    torch.testing.assert_close(movement.movement.own["logits"], inner["own"][0, 0] * direction, rtol=1e-6, atol=0)
    torch.testing.assert_close(movement.movement.moved["logits"], inner["moved"][0, 0] * direction, rtol=1e-6, atol=0)


@pytest.mark.parametrize("size", [None, 1e-10])
def test_a_step_whose_difference_is_lost_far_from_zero_is_taken_further(size):
    """Next to 10⁸ numbers of double precision are 1.5·10⁻⁸ apart: as much as the shortest step moves the logits."""

    class Far(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1e8

    movement = reference_movement(tap(nn.Sequential(Far(3, 2)), [], A), pair([0.6, -0.8], size=size))
    assert not movement.undecided
    expected = -float(A @ M.T + 1) * torch.tensor([0.6, -0.8], dtype=torch.float64)
    torch.testing.assert_close(movement.movement.moved["logits"], expected, rtol=2e-4, atol=0)


def test_the_first_layer_of_a_deep_linear_network_moves_by_the_weights_above():
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False))
    movement = reference_movement(tap(net, ["0"], A), pair([0.6, -0.8]))
    direction = -(net[1].weight.T @ torch.tensor([0.6, -0.8])).detach().double()
    torch.testing.assert_close(movement.movement.moved["0"], float(A @ M.T) * direction, rtol=1e-6, atol=0)


def test_nearby_parameters_are_those_of_a_seed_and_differ_by_their_rounding():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    own, *near = (reference_movement(tap(net, ["0"], A), pair([0.6, -0.8]), nearby) for nearby in (None, 1, 1, 2))
    first, again, other = (each.movement.moved["0"] for each in near)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 1e-8 < (first - own.movement.moved["0"]).norm() / first.norm() < 1e-4


def test_a_kink_at_the_parameters_is_undecided_and_spares_the_other_layers():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()  # the units stand on their kink, and a step moves them off it
        net[0].bias[0] = 1.0
    movement = reference_movement(tap(net, ["0", "1"], A), pair([0.6, -0.8], layer="0"))
    assert movement.undecided == {"1", "logits"}
    assert movement.movement.own.keys() == {"0"}


def test_a_kink_that_a_smaller_step_does_not_reach_is_decided():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]))
        net[0].bias.copy_(torch.tensor([-1.0 + 1e-7, 0.0]))  # the first unit of A is 1e-7 above its kink
    movement = reference_movement(tap(net, ["0", "1"], A), pair([0.6, -0.8]))
    assert not movement.undecided


class Single(nn.Module):
    """Computes in single precision whatever it is given, or refuses anything else."""

    def __init__(self, strict):
        super().__init__()
        self.linear, self.strict = nn.Linear(3, 2), strict

    def forward(self, x):
        if self.strict and self.linear.weight.dtype != torch.float32:
            raise TypeError("float32 only")
        h = nn.functional.linear(x.float(), self.linear.weight.float(), self.linear.bias.float())
        return torch.tanh(h)


@pytest.mark.parametrize("strict", [False, True])
def test_a_model_that_does_not_compute_in_float64_is_stepped_further(strict):
    net = Single(strict)
    movement = reference_movement(tap(net, [], A), pair([0.6, -0.8]))
    z = net(torch.cat([A, M])).detach().double()
    slope = 1 - z**2  # of tanh, at both samples
    for value, row, x in ((movement.movement.own, 0, A), (movement.movement.moved, 1, M)):
        expected = -slope[row] * slope[0] * torch.tensor([0.6, -0.8]).double() * float(A @ x.T + 1)
        torch.testing.assert_close(value["logits"], expected, rtol=2e-4, atol=1e-5)
    assert movement.precision == "float32"
    assert net.linear.weight.dtype == torch.float32


class Narrow(nn.Module):
    """Casts its hidden features to single precision, whatever it is given."""

    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(3, 4), nn.Parameter(torch.randn(2, 4))

    def forward(self, x):
        return self.enter(x).tanh().float() @ self.head.T.float()


class Narrowed(Narrow):
    """The same, with logits that are of the precision of the weights again."""

    def forward(self, x):
        h = self.enter(x).tanh().to(torch.float32)
        return -(h[:, None] - self.head).square().sum(2)


@pytest.mark.parametrize("kind", [Narrow, Narrowed])
def test_a_step_that_is_lost_in_a_cast_is_taken_further(kind):
    net = kind()
    movement = reference_movement(tap(net, ["enter"], A), pair([0.6, -0.8]))
    assert movement.precision == "float32"
    x, y = torch.cat([A, M]), torch.tensor([0, 1])
    checked = measure_elasticity(net, (x, y), (x, y), layers=["enter"])
    assert checked.attrs["engine"] == "structured"
    assert "float32" in checked.attrs["engine_check"]


def test_logits_that_cancel_to_zero_are_rounding_in_an_engine():
    class Cancelling(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.head = nn.Linear(3, 4), nn.Linear(4, 2, bias=False)

        def forward(self, x):
            h = self.enter(x)
            h = h - h.mean(1, keepdim=True)
            return self.head(h.mean(1, keepdim=True).expand(-1, 4))

    x, y = torch.cat([A, M]), torch.tensor([0, 1])
    checked = measure_elasticity(Cancelling(), (x, y), (x, y), layers=["enter"])
    assert float(checked["response"].max()) < 1e-6


def test_a_jump_within_a_finite_step_is_no_derivative():
    class Stairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.4, 0.2, 0.1]))

        def forward(self, x):
            z = x @ self.w
            return torch.stack([z + torch.round(z), z], dim=1)

    net = Stairs()
    step = pair([0.0, -1.0], size=0.5)
    movement = reference_movement(tap(net, [], A), step)
    moved = net.w.detach().double() + 0.5 * A[0].double()
    after, before = (x @ w for x, w in ((A.double(), moved), (A.double(), net.w.detach().double())))
    expected = (after + after.round() - before - before.round()) / 0.5
    torch.testing.assert_close(movement.movement.own["logits"][0], expected[0], rtol=1e-9, atol=0)


def test_a_stepped_model_is_as_before():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    reference_movement(tap(net, ["1"], torch.cat([A, M])), pair([0.6, -0.8], size=0.1))
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_an_engine_that_gives_no_number_is_off_by_infinity():
    right = PairMovement({"h": torch.ones(2)}, {"h": torch.ones(2)})
    wrong = PairMovement({"h": torch.ones(2)}, {"h": torch.tensor([1.0, float("nan")])})
    still = PairMovement({"h": torch.zeros(2)}, {"h": torch.zeros(2)})
    assert right.errors(wrong, {"h": 1e-7}) == {"h": float("inf")}
    assert still.errors(right, {"h": 1e-7}) == {"h": float("inf")}
    assert still.errors(still, {"h": 0.0}) == {"h": 0.0}


def test_a_movement_of_nothing_may_be_rounding_in_an_engine():
    still = PairMovement({"h": torch.zeros(2)}, {"h": torch.zeros(2)})
    rounding = PairMovement({"h": torch.full((2,), 1e-8)}, {"h": torch.zeros(2)})
    assert still.errors(rounding, {"h": 1e-7}) == {"h": 2e-4}


def test_features_that_are_a_parameter_s_own_memory_are_read_before_it_moves():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.tensor([1.0, 2.0]))

        def forward(self, x):
            return self.bias.expand(len(x), 2)

    movement = reference_movement(tap(Constant(), [], A), pair([0.6, -0.8]))
    torch.testing.assert_close(movement.movement.own["logits"], -torch.tensor([0.6, -0.8], dtype=torch.float64))
