"""Networks of the literature: their published sizes, their layers, and that probes know every part of them."""

import pytest
import torch
from support import engine_cases

from elastic.errors import ModelError
from elastic.models.building import build_model, layer_table
from elastic.models.contract import Task
from elastic.registry import registry

CIFAR = Task((3, 32, 32), classes=10)
SMALL = Task((2, 16, 16), classes=3)

PUBLISHED = [
    ("resnet", {"depth": 18}, CIFAR, 11_173_962, 18),
    ("resnet", {"depth": 34}, CIFAR, 21_282_122, 34),
    ("vgg", {"depth": 11}, CIFAR, 9_231_114, 9),
    ("vgg", {"depth": 13}, CIFAR, 9_416_010, 11),
    ("vit", {"patch_size": 16, "width": 192, "depth": 12, "heads": 3}, Task((3, 224, 224), 1000), 5_717_416, None),
    ("vit", {"patch_size": 16, "width": 384, "depth": 12, "heads": 6}, Task((3, 224, 224), 1000), 22_050_664, None),
    ("vit", {"patch_size": 16, "width": 768, "depth": 12, "heads": 12}, Task((3, 224, 224), 1000), 86_567_656, None),
]

#: Layers of each network, from the first.
NAMED = {
    ("resnet", 34): [
        "stem",
        *(f"stage_{s}_block_{b}" for s, blocks in enumerate((3, 4, 6, 3), 1) for b in range(1, blocks + 1)),
    ],
    ("resnet", 18): ["stem", *(f"stage_{s}_block_{b}" for s in (1, 2, 3, 4) for b in (1, 2))],
    ("vgg", 11): [f"conv_{n}" for n in range(1, 9)],
    ("vgg", 13): [f"conv_{n}" for n in range(1, 11)],
    ("vit", 4): ["tokens", *(f"block_{n}" for n in range(1, 5))],
}

TINY = [
    ("resnet", {"width": 2}),
    ("resnet", {"width": 8, "norm": "group"}),
    ("resnet", {"width": 2, "norm": "none", "bias": False}),
    ("vgg", {"width": 2}),
    ("vgg", {"width": 2, "depth": 13, "norm": "none"}),
    ("vit", {"width": 8, "heads": 2, "depth": 2, "patch_size": 4}),
    ("deep_linear", {"widths": [5, 4]}),
    ("deep_linear", {"widths": [5], "bias": True, "initial": "orthogonal", "scale": 0.1}),
]


@pytest.mark.parametrize(("name", "options", "task", "parameters", "depth"), PUBLISHED)
def test_parameters_and_depth_are_the_published_ones(name, options, task, parameters, depth):
    entry = registry("models").get(name)
    with torch.device("meta"):
        net = entry.function(task, **entry.complete(options))
    assert sum(p.numel() for p in net.parameters()) == parameters
    if depth is not None:  # convolutions and linear layers along the longest way; shortcuts are no part of it
        along = [n for n, p in net.named_parameters() if p.ndim > 1 and "shortcut" not in n]
        assert len(along) == depth


@pytest.mark.parametrize(("name", "depth"), NAMED)
def test_layers_are_named_in_the_order_of_depth(name, depth):
    net = build_model(name, {"depth": depth, "width": 3}, CIFAR)
    assert net.layers == (*NAMED[name, depth], "penultimate", "logits")


@pytest.mark.parametrize(("p", "w", "L", "heads", "K"), [(4, 6, 2, 3, 3), (8, 10, 1, 2, 7), (2, 4, 3, 1, 2)])
def test_a_vision_transformers_parameters_are_counted_by_the_formula(p, w, L, heads, K):
    net = build_model("vit", {"patch_size": p, "width": w, "depth": L, "heads": heads}, Task((2, 16, 16), K))
    tokens = (2 * p**2 + 1) * w + w + (1 + (16 // p) ** 2) * w  # patches, class token, positions
    block = 4 * w + (w + 1) * 3 * w + (w + 1) * w + (w + 1) * 4 * w + (4 * w + 1) * w
    assert sum(parameter.numel() for parameter in net.parameters()) == tokens + L * block + 2 * w + (w + 1) * K


PROBED = [*TINY, ("mlp", {"widths": [5, 4], "norm": "layer"}), ("cnn", {})]
#: Along finite steps, one network of each kind.
ALONG = [
    pytest.param(name, options, 1e-2, marks=[pytest.mark.long] * (name in [other for other, _ in PROBED[:place]]))
    for place, (name, options) in enumerate(PROBED)
]


@pytest.mark.parametrize(("name", "options", "lr"), [*((*network, None) for network in PROBED), *ALONG])
def test_the_structured_engine_knows_every_part_and_finds_what_autodiff_does(name, options, lr):
    torch.manual_seed(0)
    net = engine_cases.settled(build_model(name, options, SMALL)).double()
    x, y = torch.randn(15, 2, 16, 16).double(), torch.arange(6) % 3
    result, expected = (engine_cases.probe(e, net, (x[:6], y), x[6:], lr) for e in ("structured", "autodiff"))
    assert list(result[0]) == list(net.layers)
    # Autodiff subtracts two forward passes, and loses what a small movement has less of digits than the features.
    assert engine_cases.worst(result, expected) < (1e-11 if lr is None else 1e-7)


@pytest.mark.parametrize(("name", "options"), TINY)
def test_layers_are_those_of_the_forward_pass(name, options):
    torch.manual_seed(0)
    net = build_model(name, options, SMALL).eval()
    inputs = torch.randn(4, 2, 16, 16)
    taps = net.taps(inputs)
    assert tuple(taps) == net.layers
    torch.testing.assert_close(taps["logits"], net(inputs))
    classifier = net.next_weights()["penultimate"]
    torch.testing.assert_close(torch.nn.functional.linear(taps["penultimate"], classifier.weight, classifier.bias),
                               taps["logits"])  # fmt: skip
    assert [row.width for row in layer_table(net, (2, 16, 16))][1:] == [f[0].numel() for f in taps.values()]


def test_stages_of_a_residual_network_halve_the_image_and_double_the_channels():
    net = build_model("resnet", {"width": 4}, CIFAR).eval()
    shapes = {layer: tuple(f.shape[1:]) for layer, f in net.taps(torch.zeros(1, 3, 32, 32)).items()}
    assert [shapes[f"stage_{s}_block_2"] for s in (1, 2, 3, 4)] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]


def test_a_deep_linear_network_is_the_product_of_its_matrices():
    net = build_model("deep_linear", {"widths": [5, 4, 6]}, SMALL)
    product = torch.eye(2 * 16 * 16)
    for name, weight in net.named_parameters():
        assert name.endswith("weight")
        product = weight @ product
    inputs = torch.randn(7, 2, 16, 16)
    torch.testing.assert_close(net(inputs), inputs.flatten(1) @ product.T, rtol=1e-4, atol=1e-5)


def test_orthogonal_weights_have_one_singular_value():
    net = build_model("deep_linear", {"widths": [6, 6], "initial": "orthogonal", "scale": 0.3}, Task((6,), 3))
    for weight in net.parameters():
        torch.testing.assert_close(torch.linalg.svdvals(weight), torch.full((min(weight.shape),), 0.3))


@pytest.mark.parametrize("name", ["resnet", "vgg", "vit"])
def test_inputs_that_are_no_images_are_refused(name):
    with pytest.raises(ModelError, match="be images"):
        build_model(name, {}, Task((64,), classes=10))


@pytest.mark.parametrize(("options", "field"), [({"patch_size": 5}, "patch_size"), ({"heads": 5}, "heads")])
def test_patches_and_heads_must_fit(options, field):
    with pytest.raises(ModelError, match=field):
        build_model("vit", options, SMALL)
