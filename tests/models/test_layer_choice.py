"""Layers that are chosen: by pattern, or by type and depth, in the order of execution, and the same whatever wraps."""

import copy
from itertools import pairwise

import pytest
import torch
from support.layered_models import (
    Ended,
    Functional,
    FunctionalBlock,
    Mixer,
    Odd,
    Parts,
    Recurrent,
    ResNet,
    Text,
    Tied,
    ViT,
    chain,
    vgg,
)
from torch import nn

from elastic.errors import ModelError
from elastic.models.auto_layers import MOST
from elastic.models.contract import Task
from elastic.models.layer_choice import choose_layers
from elastic.models.mlp import mlp
from elastic.models.taps import Tapped, tap

VECTORS = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 20, (4, 7), generator=torch.Generator().manual_seed(0))

BLOCKS = [f"layer{i}.{k}" for i in (1, 2, 3, 4) for k in (0, 1)]
CONVOLUTIONS = [i for width in (2, 2, 3, 3, 3) for i in (*[3] * width, None)]
ENCODER = [f"encoder.layers.block_{i}" for i in range(12)]

#: Models, inputs, and the layers that a reader would name: those of blocks, activations, or modules with weights.
AUTO = {
    "activations and the last linear": (lambda: chain(4, 6, 6, 3), VECTORS, ["1", "3", "4"]),
    "activations in place, dropout": (
        lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(6, 3)),
        VECTORS,
        ["1", "3"],
    ),
    "a linear layer": (lambda: nn.Linear(4, 3), VECTORS, []),
    "a linear layer in a sequence": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), VECTORS, ["1"]),
    "what is pooled enters the classifier": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
        IMAGES,
        ["1", "5", "6", "8"],
    ),
    "residual blocks": (ResNet, IMAGES, ["relu", *BLOCKS, "avgpool", "fc"]),
    "stages where blocks are too many": (
        lambda: ResNet((3, 4, 6, 3)),
        IMAGES,
        ["relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"],
    ),
    "one block a stage has the stage's name": (
        lambda: ResNet((1, 1, 1, 1)),
        IMAGES,
        ["relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"],
    ),
    "a backbone": (
        lambda: Parts(ResNet(head=False), nn.Linear(16, 3)),
        IMAGES,
        [*(f"backbone.{name}" for name in ("relu", *BLOCKS, "avgpool")), "head"],
    ),
    "encoder blocks and the final norm": (ViT, IMAGES, ["conv_proj", *ENCODER, "encoder.ln", "heads"]),
    "torch's own encoder": (
        Text,
        TOKENS,
        ["embed", "encoder.layers.0", "encoder.layers.1", "encoder.layers.2", "encoder.norm", "fc"],
    ),
    "recurrent": (Recurrent, TOKENS, ["embed", "lstm", "fc"]),
    "outputs without a batch dimension first": (lambda: Recurrent(batch_first=False), TOKENS, ["fc"]),
    "activations without a module": (Functional, VECTORS, ["fc1", "fc2", "fc3"]),
    "an activation that runs twice": (lambda: Functional(nn.ReLU()), VECTORS, ["fc1", "fc2", "fc3"]),
    "a function at the end": (Ended, VECTORS, ["fc1", "fc2", "fc3"]),
    "blocks that end in a function": (
        lambda: nn.Sequential(FunctionalBlock(), FunctionalBlock(), nn.Linear(4, 3)),
        VECTORS,
        ["0", "1", "2"],
    ),
    "shared weights": (Tied, VECTORS, ["act1", "act2", "out"]),
    "sequences in a sequence": (
        lambda: Parts(nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2))), nn.Linear(4, 3)),
        VECTORS,
        ["backbone.0", "backbone.1", "head"],
    ),
    "a sequence with one activation": (
        lambda: Parts(nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 3)),
        VECTORS,
        ["backbone", "head"],
    ),
    "a head of several layers": (
        lambda: Parts(chain(4, 4, 4, 4)[:4], chain(4, 4, 3)),
        VECTORS,
        ["backbone.1", "backbone.3", "head.1", "head.2"],
    ),
    "a backbone that adds up its blocks": (
        lambda: Parts(Mixer(12), nn.Linear(4, 3)),
        VECTORS,
        ["backbone.stem", *(f"backbone.blocks.{i}" for i in range(12)), "backbone.norm", "head"],
    ),
    "an activation at the end": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(1)),
        VECTORS,
        ["1", "3"],
    ),
    "computed weights": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 3)),
        VECTORS,
        ["1", "2"],
    ),
    "a norm before the classifier": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.PReLU(), nn.BatchNorm1d(4), nn.Linear(4, 3)),
        VECTORS,
        ["1", "2", "3"],
    ),
    "sixteen layers": (
        lambda: vgg(*CONVOLUTIONS),
        torch.randn(2, 3, 32, 32),
        [
            *(f"features.{i}" for i in (1, 3, 6, 8, 11, 13, 15, 18, 20, 22, 25, 27, 29)),
            "classifier.1",
            "classifier.4",
            "classifier.6",
        ],
    ),
    "what cannot be a layer": (Odd, VECTORS, ["named.tuple", "out"]),
}


def built(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


@pytest.mark.parametrize("name", AUTO)
def test_auto_takes_a_readable_set(name):
    make, example, expected = AUTO[name]
    net = built(make)
    assert choose_layers(net, example, "auto") == expected == choose_layers(net, example[:1], "auto")
    assert list(tap(net, "auto", example).taps(example)) == [*expected, *([] if name not in UNNAMED else ["logits"])]


#: Of these no submodule gives the output.
UNNAMED = {"a linear layer", "a function at the end"}


@pytest.mark.parametrize("depth", [16, 30, 200])
def test_of_many_layers_auto_takes_some_evenly_and_the_last_ones(depth):
    net = chain(*[4] * depth, 3)
    chosen = [int(name) for name in choose_layers(net, VECTORS, "auto")]
    assert len(chosen) == MOST
    assert (chosen[0], chosen[-2:]) == (1, [2 * depth - 3, 2 * depth - 2])
    gaps = [b - a for a, b in pairwise(chosen[:-1])]
    assert max(gaps) - min(gaps) <= 2
    assert chosen == sorted(set(chosen))


def test_auto_names_layers_in_the_order_of_execution_not_of_registration():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.out, self.act2, self.b, self.act1, self.a = (
                nn.Linear(4, 3), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4),
            )  # fmt: skip

        def forward(self, x):
            return self.out(self.act2(self.b(self.act1(self.a(x)))))

    assert choose_layers(Backwards(), VECTORS, "auto") == ["act1", "act2", "out"]
    assert choose_layers(Backwards(), VECTORS, ["*"]) == ["a", "act1", "b", "act2", "out"]


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_names_are_those_inside_wrappers(wrap):
    net = chain(4, 4, 3)
    assert choose_layers(wrap(net), VECTORS, "auto") == ["1", "2"]
    for names in (["0", "1"], ["module.0", "_orig_mod.1"], ["[01]"], ["module.[01]"]):
        assert choose_layers(wrap(net), VECTORS, names) == ["0", "1"]


def test_a_compiled_submodule_is_looked_into():
    net = Parts(chain(4, 4, 4, 4)[:4], nn.Linear(4, 3))
    expected = tap(net, ["backbone.1", "backbone"], VECTORS).taps(VECTORS)
    net.backbone = torch.compile(net.backbone, backend=lambda graph, inputs: pytest.fail("it was compiled"))
    assert choose_layers(net, VECTORS, "auto") == ["backbone._orig_mod.1", "backbone._orig_mod.3", "head"]
    taps = tap(net, ["backbone._orig_mod.1", "backbone"], VECTORS).taps(VECTORS)
    assert all(torch.equal(a, b) for a, b in zip(taps.values(), expected.values(), strict=True))


def test_a_built_in_model_has_layers_of_its_own():
    assert choose_layers(mlp(Task((4,), 3), widths=[5, 6]), None, "auto") == ["hidden_1", "penultimate", "logits"]


PATTERNS = {
    ("layer*",): ["layer1", "layer2", "layer3", "layer4"],
    ("layer[24]",): ["layer2", "layer4"],
    ("layer?.1",): ["layer1.1", "layer2.1", "layer3.1", "layer4.1"],
    ("layer4.*.bn2",): ["layer4.0.bn2", "layer4.1.bn2"],
    ("layer1.**.conv?",): ["layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2"],
    ("**.downsample",): ["layer2.0.downsample", "layer3.0.downsample", "layer4.0.downsample"],
    ("*",): ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"],
    ("fc", "layer*"): ["layer1", "layer2", "layer3", "layer4", "fc"],
    ("layer*", "conv1", "fc"): ["conv1", "layer1", "layer2", "layer3", "layer4", "fc"],
    ("*pool", "*1", "layer1"): ["conv1", "bn1", "maxpool", "layer1", "avgpool"],
    ("layer[12]", "logits"): ["layer1", "layer2", "logits"],
    ("**.relu", "relu"): ["relu"],
}


@pytest.mark.parametrize("patterns", PATTERNS, ids=" ".join)
def test_patterns_match_names_between_dots_in_the_order_of_execution(patterns):
    net = built(ResNet)
    assert choose_layers(net, IMAGES, list(patterns)) == PATTERNS[patterns]
    assert list(tap(net, list(patterns), IMAGES).layers) == [
        *PATTERNS[patterns], *({"logits"} - {*PATTERNS[patterns]} if "fc" not in PATTERNS[patterns] else []),
    ]  # fmt: skip


def test_a_pattern_alone_needs_no_list():
    assert choose_layers(built(ResNet), IMAGES, "layer*") == PATTERNS["layer*",]
    assert choose_layers(built(ResNet), None, "layer4") == ["layer4"]


def test_names_alone_keep_their_order_and_need_no_inputs():
    assert choose_layers(built(ResNet), None, ["layer4", "layer1"]) == ["layer4", "layer1"]
    # Beside a pattern they are where they run; among themselves the user's order stays.
    assert choose_layers(built(ResNet), IMAGES, ["layer4", "layer1", "layer[23]"]) == [
        "layer4", "layer2", "layer3", "layer1",
    ]  # fmt: skip


def test_of_modules_that_all_give_the_output_a_pattern_takes_one():
    net = Parts(chain(4, 4, 3), nn.Sequential(nn.Linear(3, 3)))
    assert choose_layers(net, VECTORS, ["**"]) == ["backbone.0", "backbone.1", "backbone.2", "backbone", "head"]
    assert choose_layers(net, VECTORS, ["**", "head.0"])[-1:] == ["head.0"]
    assert tap(net, ["**"], VECTORS).output == "head"


def test_what_a_pattern_matches_and_cannot_be_tapped_is_left_out():
    net = built(Odd)
    assert choose_layers(net, VECTORS, ["*"]) == ["out"]
    assert choose_layers(net, VECTORS, ["**"]) == ["named.tuple", "out"]
    assert choose_layers(net, VECTORS, ["al*"]) == ["alias"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["layr*"], r"match a submodule that can be tapped; found 'layr\*', which matches none; try"),
        (["*.conv9"], "which matches none"),
        (["*.downsample"], r"try \*\* in the place of \*, which matches no dots: 'layer2.0.downsample'"),
        (["layer1.*.relu"], r"found 'layer1.\*.relu', which matches 'layer1.0.relu', which runs 2 times"),
        (["layer*", "layer9"], "found 'layer9'; try 'layer4'"),
        (["layer*", "layer1", "layer1"], "named once"),
        ([3], "be names of submodules; found 3"),
        (["layer4", "fc", "avgpool", "*1"], "`fc` should be named last"),
    ],
)
def test_what_matches_nothing_is_refused_with_what_there_is(layers, message):
    with pytest.raises(ModelError, match=message):
        tap(built(ResNet), layers, IMAGES)


def test_patterns_and_auto_need_inputs_that_the_model_runs_on():
    for layers in ("auto", ["layer*"]):
        with pytest.raises(ModelError, match="try example=inputs"):
            tap(built(ResNet), layers)
        with pytest.raises(ModelError, match=r"a single one: example\[None\]"):
            tap(built(ResNet), layers, IMAGES[0])


@pytest.mark.parametrize("name", ["residual blocks", "encoder blocks and the final norm", "recurrent"])
def test_choosing_leaves_the_model_and_the_generators_as_they_were(name):
    make, example, _ = AUTO[name]
    net, given = built(make).train(), example.clone()
    state, drawn = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    choose_layers(net, example, "auto")
    assert torch.equal(given, example)
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(part.training for part in net.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_chosen_features_are_those_of_plain_hooks():
    net = built(ResNet).eval()
    kept = {}
    names = choose_layers(net, IMAGES, "auto")
    for name in names:
        net.get_submodule(name).register_forward_hook(
            lambda part, given, output, name=name: kept.setdefault(name, output.detach().clone())
        )
    with torch.no_grad():
        net(IMAGES)
        taps = Tapped(net, names).taps(IMAGES)
    assert list(taps) == names
    assert all(torch.equal(taps[name], kept[name]) for name in names)
