from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from elastic.errors import OptionError
from elastic.models.activations import ACTIVATIONS
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.registry import registry

BY_HAND = {
    "relu": lambda x: x.clamp(min=0),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": torch.tanh,
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "softplus": lambda x: torch.log1p(torch.exp(x)),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_taps_are_the_hand_unrolled_forward_pass(activation):
    torch.manual_seed(0)
    net = mlp(Task((2, 3), classes=4), widths=[5, 6, 7], activation=activation).double()
    parameters = dict(net.named_parameters())
    inputs = torch.randn(8, 2, 3, dtype=torch.float64)

    expected = {}
    h = inputs.reshape(8, 6)
    for name, linear in [("hidden_1", "1"), ("hidden_2", "0"), ("penultimate", "0")]:
        weight, bias = (parameters[f"stages.{name}.{linear}.{kind}"] for kind in ("weight", "bias"))
        expected[name] = h = BY_HAND[activation](h @ weight.T + bias)
    expected["logits"] = h @ parameters["stages.logits.weight"].T + parameters["stages.logits.bias"]

    taps = net.taps(inputs)
    assert tuple(taps) == net.layers == tuple(expected)
    for name, features in taps.items():
        torch.testing.assert_close(features, expected[name])
    torch.testing.assert_close(net(inputs), expected["logits"])


def test_batch_norm_in_evaluation_uses_its_running_statistics():
    torch.manual_seed(0)
    net = mlp(Task((3,), classes=2), widths=[4], norm="batch").double()
    for _ in range(3):
        net(torch.randn(16, 3, dtype=torch.float64))
    net.eval()
    inputs = torch.randn(5, 3, dtype=torch.float64)
    _, linear, norm, _ = net.stages["penultimate"]
    z = (inputs @ linear.weight.T + linear.bias - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    expected = (z * norm.weight + norm.bias).clamp(min=0)
    torch.testing.assert_close(net.taps(inputs)["penultimate"], expected)
    torch.testing.assert_close(net.taps(inputs[:1])["penultimate"], expected[:1])


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    classes=st.integers(2, 5),
    norm=st.sampled_from(["none", "batch", "layer"]),
    bias=st.booleans(),
)
def test_parameters_are_counted_by_the_formula(widths, classes, norm, bias):
    net = mlp(Task((1, 2, 3), classes), widths=widths, norm=norm, bias=bias)
    sizes = [6, *widths, classes]
    expected = sum((fan_in + bias) * fan_out for fan_in, fan_out in pairwise(sizes))
    expected += 2 * sum(widths) * (norm != "none")
    assert sum(p.numel() for p in net.parameters()) == expected
    assert len(net.layers) == len(widths) + 1


def test_identity_makes_a_linear_network():
    torch.manual_seed(0)
    net = mlp(Task((3,), classes=2), widths=[4, 5], activation="identity", bias=False).double()
    a, b = torch.randn(2, 1, 3, dtype=torch.float64)
    torch.testing.assert_close(net(2 * a - 3 * b), 2 * net(a) - 3 * net(b))


def test_each_layer_enters_the_next_linear():
    net = mlp(Task((3,), classes=2), widths=[4, 5], norm="batch")
    following = net.next_weights()
    inputs = torch.randn(6, 3)
    taps = net.eval().taps(inputs)
    assert following["hidden_1"] is net.stages["penultimate"][0]
    assert following["penultimate"] is net.stages["logits"]
    torch.testing.assert_close(following["penultimate"](taps["penultimate"]), taps["logits"])


def test_equal_seeds_give_equal_networks():
    def build():
        torch.manual_seed(3)
        return mlp(Task((3,), classes=2), widths=[4])

    one, other = build().state_dict(), build().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"widths": []},
        {"widths": [0]},
        {"widths": [1_000_001]},
        {"widths": [3] * 101},
        {"widths": [2.0]},
        {"widths": [True]},
        {"widths": "3"},
        {"widths": [3], "activation": "rely"},
        {"widths": [3], "norm": 1},
        {"widths": [3], "depth": 2},
    ],
)
def test_senseless_options_are_refused(options):
    with pytest.raises(OptionError):
        registry("models").get("mlp").complete(options)


def test_no_activation_works_in_place():
    inputs = torch.linspace(-2, 2, 9)
    for make in ACTIVATIONS.values():
        before = inputs.clone()
        make()(functional.dropout(inputs, 0.0))
        assert torch.equal(inputs, before)
