import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vmap

from elastic.errors import ModelError
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.models.taps import Tapped, tap


class Small(nn.Module):
    """Three linear layers, an activation in place and a residual connection."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.block = nn.Sequential(OrderedDict(inner=nn.Linear(6, 6), act=nn.ReLU(inplace=True)))
        self.act = nn.Tanh()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        h = self.act(self.first(x))
        return self.head(h + self.block(h))


class Taps(nn.Module):
    """Gives a model's features to functional_call."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.taps(x)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Small().double()


@pytest.fixture
def inputs():
    return torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


LAYERS = ["act", "block.inner", "block"]


def by_hand(net, x):
    h = torch.tanh(x @ net.first.weight.T + net.first.bias)
    inner = h @ net.block.inner.weight.T + net.block.inner.bias
    block = inner.clamp(min=0)
    return {"act": h, "block.inner": inner, "block": block, "logits": (h + block) @ net.head.weight.T + net.head.bias}


def hooks(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_taps_are_the_hand_unrolled_forward_pass_even_before_an_activation_in_place(net, inputs):
    model = Tapped(net, LAYERS)
    taps, expected = model.taps(inputs), by_hand(net, inputs)
    assert tuple(taps) == model.layers == tuple(expected)
    for name, features in taps.items():
        torch.testing.assert_close(features, expected[name])
    assert torch.equal(model(inputs), net(inputs))


def test_layers_come_in_the_order_given(net, inputs):
    assert list(Tapped(net, ["block", "act"]).taps(inputs)) == ["block", "act", "logits"]


def test_no_hook_is_left(net, inputs):
    Tapped(net, LAYERS, example=inputs).taps(inputs)
    assert hooks(net) == 0
    with pytest.raises(RuntimeError):
        Tapped(net, LAYERS).taps(inputs[:, :3])
    with pytest.raises(RuntimeError):
        Tapped(net, LAYERS, example=inputs[:, :3])
    assert hooks(net) == 0


def test_the_users_own_hooks_stay(net, inputs):
    handle = net.act.register_forward_hook(lambda module, args, output: output + 1)
    torch.testing.assert_close(Tapped(net, ["act"]).taps(inputs)["act"], by_hand(net, inputs)["act"] + 1)
    assert hooks(net) == 1
    handle.remove()


def test_taps_see_the_weights_of_functional_call(net, inputs):
    other = copy.deepcopy(net)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1.5)
    parameters = {f"model.module.{name}": p for name, p in other.named_parameters()}
    taps = functional_call(Taps(Tapped(net, LAYERS)), parameters, (inputs,))
    for name, features in by_hand(other, inputs).items():
        torch.testing.assert_close(taps[name], features)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # by torch's own jvp
def test_vmap_of_jvp_through_taps_is_the_difference_quotient_in_the_limit(net, inputs):
    """Per-sample loss gradients, pushed forward to every layer: what the elasticity probe does."""
    taps = Taps(Tapped(net, LAYERS))
    weights = {name: p.detach() for name, p in taps.named_parameters()}

    def loss(weights, x):
        return functional_call(taps, weights, (x[None],))["logits"].square().sum()

    def response(x):
        step = grad(loss)(weights, x)
        return jvp(lambda w: functional_call(taps, w, (inputs,)), (weights,), (step,))[1]

    responses = vmap(response)(inputs[:2])
    assert hooks(net) == 0
    t = 1e-6
    for a in range(2):
        step = grad(loss)(weights, inputs[a])
        ends = [functional_call(taps, {k: weights[k] + s * t * step[k] for k in weights}, (inputs,)) for s in (1, -1)]
        for name in [*LAYERS, "logits"]:
            quotient = (ends[0][name] - ends[1][name]) / (2 * t)
            torch.testing.assert_close(responses[name][a], quotient, rtol=1e-6, atol=1e-7)


def test_gradients_flow_through_taps(net, inputs):
    Tapped(net, LAYERS).taps(inputs)["block.inner"].sum().backward()
    assert net.first.weight.grad.abs().sum() > 0
    assert net.head.weight.grad is None


def test_next_weights_are_the_linear_layers_that_read_a_layer_unchanged(net, inputs):
    model = Tapped(net, ["first", "act", "block.inner", "block"], example=inputs)
    # first is read by tanh; block.inner is overwritten in place; block is added to before head reads it
    assert model.next_weights() == {"act": net.block.inner}
    assert Tapped(net, LAYERS).next_weights() == {}


def test_next_weights_see_through_flattening_but_not_through_an_activation_in_place():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2)
    )
    model = Tapped(net, ["0", "1", "3", "4"], example=torch.ones(3, 1, 4, 4))
    assert model.next_weights() == {"1": net[3], "4": net[5]}


def test_a_layer_that_enters_two_linear_layers_has_no_next_weights(inputs):
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x):
            h = self.stem(x)
            return self.left(h) - self.right(h)

    assert Tapped(Fork().double(), ["stem"], example=inputs).next_weights() == {}


def test_next_weights_follow_a_copy_of_the_model(net, inputs):
    model = copy.deepcopy(Tapped(net, ["act"], example=inputs))
    assert model.next_weights()["act"] is model.module.block.inner
    assert model.next_weights()["act"] is not net.block.inner


def test_the_output_keeps_the_name_that_the_user_gave(net, inputs):
    model = Tapped(net, ["act", "head"], example=inputs)
    assert model.layers == tuple(model.taps(inputs)) == ("act", "head")
    assert (model.output, model.penultimate, model.layer_of("logits"), model.layer_of("penultimate")) == (
        "head", "act", "head", "act",
    )  # fmt: skip
    assert torch.equal(model.taps(inputs)["head"], net(inputs))
    assert torch.equal(model(inputs), net(inputs))


def test_without_an_example_the_first_pass_tells_what_the_output_is_called(net, inputs):
    model = Tapped(net, ["act", "head"])
    assert tuple(model.taps(inputs)) == tuple(model.taps(inputs[:1])) == model.layers == ("act", "head")
    model = Tapped(net, ["act"])
    assert tuple(model.taps(inputs)) == model.layers == ("act", "logits")


def test_an_answer_that_was_given_before_the_first_pass_is_not_taken_back(net, inputs):
    model = Tapped(net, ["act", "head"])
    assert model.layers == ("act", "head", "logits")
    with pytest.raises(ModelError, match=r"`head` should be a hidden layer.*found the output; try example=inputs"):
        model.taps(inputs)
    model = Tapped(net, ["act"])
    assert model.layers == tuple(model.taps(inputs)) == ("act", "logits")


def test_the_output_is_called_logits_where_that_is_asked_for(net, inputs):
    for names in (["act", "logits"], ["act", "head", "logits"]):
        model = Tapped(net, names, example=inputs)
        assert model.layers == tuple(model.taps(inputs)) == ("act", "logits")
    for names in (["act"], ["act", "head"], ["act", "score"]):
        model = Tapped(net, names, example=inputs, output="score")
        assert model.layers == tuple(model.taps(inputs)) == ("act", "score")
    assert Tapped(net, ["act", "logits"]).layers == ("act", "logits")


class Ending(nn.Module):
    """Its forward pass ends in a function of what its last submodule returns."""

    def __init__(self, end, name="head", inner=None):
        super().__init__()
        self.act, self.name = nn.Tanh(), name
        self.add_module(name, inner or nn.Linear(4, 3).double())
        self.end = end

    def forward(self, x):
        return self.end(self.get_submodule(self.name)(self.act(x)))


UNCHANGED = {
    "itself": lambda z: z,
    "a view": lambda z: z.view(len(z), -1),
    "a slice of all": lambda z: z[:],
    "no change of type": lambda z: z.double(),
    "first of a tuple": lambda z: (z, z.sum()),
    "squeezed back": lambda z: z[:, :, None].squeeze(2),
}
CHANGED = {
    "another value": lambda z: z + 0,
    "in place": lambda z: z.mul_(2),
    "other classes": lambda z: z[:, :2],
    "the reverse": lambda z: z.flip(1),
    "normalised": lambda z: z.log_softmax(1),
    "another tensor first": lambda z: (z + 1, z),
}


@pytest.mark.parametrize("end", [*UNCHANGED, *CHANGED])
@pytest.mark.parametrize("known", [True, False])
def test_the_name_is_the_output_s_only_if_the_module_returns_it_unchanged(inputs, end, known):
    net = Ending((UNCHANGED | CHANGED)[end])
    model = Tapped(net, ["act", "head"], example=inputs if known else None)
    taps, head = model.taps(inputs), inputs.tanh() @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(taps["head"], head)
    assert tuple(taps) == model.layers == (("act", "head") if end in UNCHANGED else ("act", "head", "logits"))
    output = net(inputs)
    assert torch.equal(taps[model.output], output[0] if isinstance(output, tuple) else output)
    assert tuple(model.taps(inputs)) == model.layers


def test_what_the_output_is_called_does_not_depend_on_a_transform(inputs):
    for end in ("a view", "in place"):
        model = Tapped(Ending((UNCHANGED | CHANGED)[end]), ["act", "head"], example=inputs)
        taps = vmap(lambda x, model=model: model.taps(x[None]))(inputs)
        assert tuple(taps) == model.layers
        torch.testing.assert_close(taps[model.output][:, 0], model(inputs))


@torch.inference_mode()
def test_in_inference_mode_names_are_the_same(net, inputs):
    assert tuple(Tapped(net, ["act", "head"]).taps(inputs)) == ("act", "head")


def test_a_submodule_may_be_called_logits_if_it_is_the_output(inputs):
    for known in (inputs, None):
        model = Tapped(Ending(lambda z: z, "logits"), ["act", "logits"], example=known)
        assert tuple(model.taps(inputs)) == model.layers == ("act", "logits")
        with pytest.raises(ModelError, match=r"`logits` should give the output, .* found a hidden layer"):
            Tapped(Ending(lambda z: z + 1, "logits"), ["act", "logits"], example=known).taps(inputs)
    with pytest.raises(ModelError, match="`logits` should be named last, as it gives the output"):
        Tapped(Ending(lambda z: z, "logits"), ["logits", "act"], example=inputs)


def test_no_layer_takes_the_name_of_the_inputs(inputs):
    with pytest.raises(ModelError, match="`input` should have a name of its own; found that of layer 0"):
        Tapped(Ending(lambda z: z, "input"), ["act", "input"])


def test_the_output_is_named_once_and_last(net, inputs):
    with pytest.raises(ModelError, match=r"`head` should be named last.*try layers in the order of depth, 'head' last"):
        Tapped(net, ["head", "act"], example=inputs)
    nested = Ending(lambda z: z, inner=nn.Sequential(nn.Linear(4, 3)).double())
    with pytest.raises(
        ModelError, match=r"`head\.0` should be a hidden layer; found the output layer, which `head` is"
    ):
        Tapped(nested, ["act", "head.0", "head"], example=inputs)


def test_the_penultimate_layer_is_the_last_named(net):
    assert Tapped(net, ["act", "block"]).penultimate == "block"
    assert Tapped(net, []).penultimate is None


def test_an_example_leaves_modes_random_state_and_running_statistics_alone():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    net[1].eval()
    state, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    Tapped(net, ["1"], example=torch.randn(8, 4, generator=torch.Generator()))
    assert [m.training for m in net] == [True, False, True, True]
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())


class Odd(nn.Module):
    """Its submodule's output is whatever it is told."""

    def __init__(self, output, runs=1):
        super().__init__()
        self.part = Give(output)
        self.runs = runs

    def forward(self, x):
        for _ in range(self.runs):
            self.part(x)
        return x


class Give(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output(x)


def test_of_a_tuple_the_first_tensor_is_taken():
    x = torch.randn(3, 2)
    taps = Tapped(Odd(lambda x: (None, 2 * x, 3 * x)), ["part"]).taps(x)
    assert torch.equal(taps["part"], 2 * x)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Odd(lambda x: {"features": x}), "give a tensor; found dict"),
        (Odd(lambda x: (None, 3)), "give a tensor; found tuple"),
        (Odd(lambda x: x.T), "batch first; found shape"),
        (Odd(lambda x: x.sum()), "batch first; found shape"),
        (Odd(lambda x: x, runs=2), "run once"),
        (Odd(lambda x: x, runs=0), "found that it does not"),
    ],
)
def test_a_submodule_without_one_feature_for_each_input_is_refused_by_name(module, message):
    with pytest.raises(ModelError, match=rf"layer `part` should .*{message}"):
        Tapped(module, ["part"]).taps(torch.zeros(3, 2))
    assert hooks(module) == 0


def test_unknown_and_repeated_names_are_refused(net):
    with pytest.raises(ModelError, match=r"found 'block\.iner'; try 'block\.inner'"):
        Tapped(net, ["block.iner"])
    with pytest.raises(ModelError, match="some of"):
        Tapped(net, ["zzz"])
    with pytest.raises(ModelError, match="named once"):
        Tapped(net, ["act", "act"])
    with pytest.raises(ModelError, match="be named last"):
        Tapped(net, ["logits", "act"])
    with pytest.raises(ModelError, match="found ''"):
        Tapped(net, [""])


def test_tap_takes_built_in_models_as_they_are_and_asks_for_layers_of_others(net):
    built_in = mlp(Task((4,), classes=3), widths=[5])
    assert tap(built_in) is built_in
    assert tap(net, ["act"]).layers == ("act", "logits")
    with pytest.raises(ModelError, match="'first', 'block', 'act', 'head'"):
        tap(net)
    with pytest.raises(ModelError, match=r"be a torch\.nn\.Module; found function"):
        tap(lambda x: x)
