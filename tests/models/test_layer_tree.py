"""The tree of a model's submodules: shapes and runs are those of plain hooks, and functions without a name are told."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.layered_models import Ended, Functional, FunctionalBlock, Odd, Parts, Recurrent, ResNet, Text, ViT, chain
from torch import nn

import elastic
from elastic.errors import DegenerateInput, ModelError
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.models.taps import Tapped

MODELS = {
    "chain": (lambda: chain(4, 6, 3), (4,)),
    "resnet": (ResNet, (3, 8, 8)),
    "vit": (ViT, (3, 8, 8)),
    "text": (Text, 7),
    "recurrent": (Recurrent, 7),
    "sequence first": (lambda: Recurrent(batch_first=False), 7),
    "functional": (Functional, (4,)),
    "shared": (lambda: Functional(nn.ReLU()), (4,)),
    "ended": (Ended, (4,)),
    "odd": (Odd, (4,)),
    "wrapped": (lambda: nn.DataParallel(chain(4, 6, 3)), (4,)),
}


def inputs(shape, count):
    generator = torch.Generator().manual_seed(count)
    if isinstance(shape, int):
        return torch.randint(0, 20, (count, shape), generator=generator)
    return torch.randn(count, *shape, generator=generator)


def watched(net, x):
    """Return, by plain hooks, how often each submodule runs, and the shape and type of the first tensor it gives."""
    runs, given = {}, {}

    def hook(part, arguments, output):
        first = next((p for p in output if torch.is_tensor(p)), None) if isinstance(output, tuple) else output
        runs[part] = runs.get(part, 0) + 1
        given[part] = (first.shape, first.dtype) if torch.is_tensor(first) else None

    handles = [part.register_forward_hook(hook) for part in net.modules()]
    with torch.no_grad():
        net.eval()(x)
    for handle in handles:
        handle.remove()
    return runs, given


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_what_plain_hooks_see(name, capsys):
    make, shape = MODELS[name]
    net = make()
    tree = elastic.layers(net, inputs(shape, 2))
    net = getattr(net, "module", net)
    (runs, given), (_, longer) = watched(net, inputs(shape, 2)), watched(net, inputs(shape, 5))
    parts = dict(net.named_modules(remove_duplicate=False))
    assert [row.name for row in tree] == [part for part in parts if part]
    for row in tree:
        part = parts[row.name]
        assert row.module == type(part).__name__
        gives = given.get(part)
        keeps = gives is not None and gives[0][:1] == (2,) and longer[part][0][:1] == (5,)
        if keeps:
            assert row.shape == tuple(gives[0][1:])
            assert row.width == int(np.prod(gives[0][1:]))
        else:
            assert row.shape is row.width is None
        can = keeps and runs[part] == 1 and gives[1].is_floating_point
        refused = row.name in ("input", "logits", "alias")
        assert (not row.obstacle) == (can and not refused), row
        assert (row.name in tree.auto) == row.is_auto
    assert str(tree) + "\n" == capsys.readouterr().out


@pytest.mark.parametrize("name", MODELS)
def test_what_can_be_tapped_is_tapped(name, capsys):
    make, shape = MODELS[name]
    net = make()
    for row in elastic.layers(net, inputs(shape, 2)):
        if not row.obstacle:
            taps = Tapped(getattr(net, "module", net).eval(), [row.name]).taps(inputs(shape, 3))
            assert taps[row.name].shape == (3, *row.shape)
            assert row.is_output == (list(taps) == [row.name])


REASONS = {
    "input": "is called as layer 0, the inputs",
    "logits": "is called as the output, and is not",
    "twice": "runs 2 times",
    "never": "not run",
    "constant": "has no batch dimension first",
    "tokens": "gives int64",
    "first": "has no batch dimension first",
    "named": "not run",
    "named.tuple": "",
    "named.dict": "gives no tensor",
    "out": "",
    "alias": "is out by another name",
}


def test_each_reason_is_told(capsys):
    tree = elastic.layers(Odd(), inputs((4,), 3))
    assert {row.name: row.obstacle for row in tree} == REASONS
    lines = capsys.readouterr().out.splitlines()
    for row, line in zip(tree, lines[1:], strict=False):
        assert line.split()[0] == row.name
        assert line.endswith(row.obstacle or ("✓ auto, output" if row.name == "out" else "✓ auto"))
    assert lines[0].split() == ["layer", "module", "output", "features"]
    assert repr(tree) == "<LayerTree of Odd: 12 submodules, 2 of which can be tapped>"


class Calls(nn.Module):
    """Calls what it is given between two linear layers."""

    def __init__(self, *functions):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)
        self.functions = functions
        self.scale = nn.Parameter(torch.ones(4))
        self.register_buffer("shift", torch.zeros(4))

    def forward(self, x):
        h = self.a(x)
        for function in self.functions:
            h = function(self, h)
        return self.b(h)


ONCE = "calls {} once as a function: its output has no name and cannot be tapped; use nn.{}"
NOTES = {
    "a function of torch": ([lambda net, h: torch.relu(h)], ONCE.format("relu", "ReLU")),
    "of torch.nn.functional": ([lambda net, h: F.gelu(h)], ONCE.format("gelu", "GELU")),
    "a method": ([lambda net, h: h.relu()], ONCE.format("relu", "ReLU")),
    "in place": ([lambda net, h: F.relu(h, inplace=True)], ONCE.format("relu", "ReLU")),
    "a method in place": ([lambda net, h: h.tanh_()], ONCE.format("tanh", "Tanh")),
    "twice": ([lambda net, h: h.relu()] * 2, "calls relu 2 times as a function"),
    "of other modules": ([lambda net, h: F.softmax(h, 1)], ONCE.format("softmax", "Softmax")),
    "an operator": ([lambda net, h: h + 1], "computes with add (once): what no module returns"),
    "of parameters": ([lambda net, h: h * net.scale + net.shift], "computes with mul (once), add (once)"),
    "by a threshold": ([lambda net, h: h.clamp(min=0)], "computes with clamp (once)"),
}
SILENT = {
    "nothing": [],
    "a view": [lambda net, h: h[:, None].squeeze(1), lambda net, h: h.view(-1, 4)],
    "a copy": [lambda net, h: h.t().contiguous().t(), lambda net, h: h.clone().flatten(1)],
    "numbers that no input reaches": [lambda net, h: [h, net.scale.exp() + torch.arange(4.0)][0]],
    "dropout that is off": [lambda net, h: F.dropout(h, training=net.training)],
    "what is no number": [lambda net, h: [h, h.argmax(1), h.shape][0]],
}


@pytest.mark.parametrize("name", NOTES)
def test_a_function_that_changes_features_is_told(name, capsys):
    functions, note = NOTES[name]
    (result,) = elastic.layers(Calls(*functions), inputs((4,), 2)).notes
    assert result.startswith(f"forward of Calls {note}")
    assert capsys.readouterr().out.endswith(f"{result}\n")


@pytest.mark.parametrize("name", SILENT)
def test_what_changes_no_feature_is_not_told(name):
    assert elastic.layers(Calls(*SILENT[name]), inputs((4,), 2)).notes == ()


def test_a_function_whose_result_a_module_returns_has_that_module_s_name():
    assert elastic.layers(nn.Sequential(FunctionalBlock(), nn.Linear(4, 3)), inputs((4,), 2)).notes == ()
    inner = Parts(nn.Sequential(FunctionalBlock(), Calls(lambda net, h: h.relu())), nn.Linear(3, 2))
    assert [note.partition(":")[0] for note in elastic.layers(inner, inputs((4,), 2)).notes] == [
        "forward of Calls calls relu once as a function",
    ]
    assert elastic.layers(ResNet(), inputs((3, 8, 8), 2)).notes == (
        "forward of BasicBlock (in 8 modules) computes with add (8 times): "
        "what no module returns has no name and cannot be tapped",
    )


def test_blocks_of_one_type_are_told_together():
    net = nn.Sequential(*(nn.Sequential(Calls(lambda net, h: h.relu()), nn.Linear(3, 4)) for _ in range(3)))
    (note,) = elastic.layers(net, inputs((4,), 2)).notes
    assert note.startswith("forward of Calls (in 3 modules) calls relu 3 times as a function")


def test_the_output_is_told_to_be_added_where_no_submodule_gives_it(capsys):
    assert elastic.layers(Ended(), inputs((4,), 2)).auto == ("fc1", "fc2", "fc3")
    assert 'layers="auto" takes fc1, fc2, fc3; the output is added as "logits"' in capsys.readouterr().out
    elastic.layers(nn.Linear(4, 3), inputs((4,), 2))
    assert 'takes the output alone; the output is added as "logits"' in capsys.readouterr().out


def test_models_that_name_their_layers_show_those(capsys):
    tree = elastic.layers(mlp(Task((4,), 3), widths=[5, 6]), np.zeros((2, 4)))
    assert [(row.name, row.shape, row.is_output) for row in tree] == [
        ("hidden_1", (5,), False), ("penultimate", (6,), False), ("logits", (3,), True),
    ]  # fmt: skip
    net = chain(4, 5, 3)
    assert elastic.layers(Tapped(net, ["0"]), inputs((4,), 2)) == elastic.layers(net, inputs((4,), 2))


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_wrappers_are_looked_through(wrap, capsys):
    net = ResNet()
    assert elastic.layers(wrap(net), inputs((3, 8, 8), 2)) == elastic.layers(net, inputs((3, 8, 8), 2))


class Few(nn.Module):
    def forward(self, x):
        assert len(x) <= 4
        return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arrays_of_any_type_serve_and_the_whole_batch_is_not_run(dtype):
    net = nn.Sequential(Few(), nn.Linear(4, 5)).to(dtype)
    for example in (np.ones((50, 4)), np.ones((50, 4), "float32").tolist(), torch.ones(50, 4)):
        assert [row.width for row in elastic.layers(net, example)] == [4, 5]


@pytest.mark.parametrize("name", ["resnet", "text", "odd"])
def test_nothing_is_changed(name):
    make, shape = MODELS[name]
    net, example = make().train(), inputs(shape, 3)
    given, state, drawn = example.clone(), copy.deepcopy(net.state_dict()), torch.get_rng_state()
    numbers, fast = np.random.get_state()[1].copy(), torch.backends.mha.get_fastpath_enabled()
    elastic.layers(net, example)
    assert torch.equal(given, example)
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert np.array_equal(np.random.get_state()[1], numbers)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert all(part.training and not part._forward_hooks and not part._forward_pre_hooks for part in net.modules())


def test_a_submodule_that_fails_and_is_caught_leaves_no_trace():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.wrong, self.right = nn.Sequential(nn.Linear(9, 9)), nn.Linear(4, 3)

        def forward(self, x):
            try:
                return self.wrong(x)
            except RuntimeError:
                return self.right(x)

    tree = elastic.layers(Careful(), inputs((4,), 2))
    assert [row.obstacle for row in tree] == ["not run", "not run", ""]
    assert tree.auto == ("right",)


class Ends(nn.Module):
    """Its forward pass is given."""

    def __init__(self, forward, a=None):
        super().__init__()
        self.a, self.act, self.b = a or nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


class Cut(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        return grad


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_unusual_forward_passes_are_shown():
    def whole(net, x):
        return net.b(net.act(net.a(x)))

    def seen(forward, **parts):
        tree = elastic.layers(Ends(forward, **parts), inputs((4,), 3))
        return [row.obstacle for row in tree], tree.auto

    alone = ["has no batch dimension first"] * 3
    assert seen(lambda net, x: torch.func.vmap(lambda row: whole(net, row))(x)) == (alone, ())
    assert seen(lambda net, x: {"logits": whole(net, x)}) == ([""] * 3, ("act", "b"))
    assert seen(lambda net, x: (whole(net, x), x)) == ([""] * 3, ("act", "b"))
    assert seen(lambda net, x: net.b(torch.func.jvp(net.a, (x,), (x,))[1])) == (["", "not run", ""], ("a", "b"))
    scripted = torch.jit.script(nn.Linear(4, 4))
    assert seen(whole, a=scripted) == (["is a ScriptModule", "", ""], ("b",))
    assert any(
        "clamp" in note
        for note in elastic.layers(Ends(lambda net, x: net.b(Cut.apply(net.a(x)))), inputs((4,), 2)).notes
    )


@pytest.mark.parametrize(
    ("model", "example", "error", "message"),
    [
        (ResNet(), torch.zeros(3, 8, 8), ModelError, r"a single one: example\[None\]"),
        (
            chain(4, 5, 3),
            torch.zeros(4),
            ModelError,
            r"of float32 of shape \[4\], which runs as a whole: a single input",
        ),
        (chain(4, 5, 3), torch.zeros(2, 5), ModelError, r"found RuntimeError: mat1 .* on float32 of shape \[2, 5\]"),
        (chain(4, 5, 3), np.ones((2, 4), int), ModelError, r"integers stay integers: example.float\(\)"),
        (chain(4, 5, 3), 3.0, DegenerateInput, "real numbers of shape"),
        (chain(4, 5, 3), torch.zeros(0, 4), DegenerateInput, "be a batch of inputs; found none"),
        (chain(4, 5, 3), "text", DegenerateInput, "`example`"),
        (lambda x: x, torch.zeros(2, 4), ModelError, "nn.Module"),
        (nn.ReLU(), torch.zeros(2, 4), ModelError, "parameters"),
    ],
)
def test_what_cannot_be_run_is_refused(model, example, error, message):
    with pytest.raises(error, match=message):
        elastic.layers(model, example)


class Returning(nn.Module):
    """Gives a function of its inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, h):
        return self.function(h)


class Beside(nn.Module):
    """Two linear layers, and a module beside them whose output no one reads."""

    def __init__(self, function):
        super().__init__()
        self.first, self.side, self.last = nn.Linear(4, 6), Returning(function), nn.Linear(6, 3)

    def forward(self, x):
        h = self.first(x)
        self.side(h)
        return self.last(torch.tanh(h))


#: Outputs that are no dense real features, and what is said of them.
NO_FEATURES = {
    "complex": (lambda h: h.to(torch.cfloat), "complex64"),
    "sparse": (lambda h: h.to_sparse(), "a tensor of layout torch.sparse_coo"),
    "meta": (lambda h: h.to("meta"), "a tensor on the meta device"),
    "nested": (lambda h: torch.nested.nested_tensor(list(h.detach())), "a nested tensor"),
    "without features": (lambda h: h[:, :0], r"no features \(shape"),
}


@pytest.mark.parametrize("kind", NO_FEATURES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_outputs_that_are_no_dense_real_features_are_told_and_are_no_layers(kind):
    function, result = NO_FEATURES[kind]
    net = Beside(function)
    x, y = inputs((4,), 6), np.arange(6) % 3
    assert "side" not in elastic.layers(net, x, show=False).auto
    for measure in (
        lambda: elastic.measure_elasticity(net, (x, y), (x, y), layers=["side"]),
        lambda: elastic.measure_collapse(net, [(x, y)], layers=["side"]),
    ):
        with pytest.raises(
            ModelError, match=f"layer `side` should give a dense tensor of real numbers; found {result}"
        ):
            measure()


@pytest.mark.parametrize(("function", "found"), [(torch.Tensor.long, "int64"), (lambda h: h > 0, "bool")])
def test_outputs_that_a_step_cannot_move_are_told(function, found):
    samples = inputs((4,), 6), np.arange(6) % 3
    whole = nn.Sequential(chain(4, 6, 3), Returning(function))
    with pytest.raises(ModelError, match=f"layer `logits` should be of floating-point numbers; found {found}"):
        elastic.measure_elasticity(whole, samples, samples, layers=["0"])
    with pytest.raises(ModelError, match=f"layer 'side' should give floating-point features.*found {found}"):
        elastic.measure_elasticity(Beside(function), samples, samples, layers=["side"])
