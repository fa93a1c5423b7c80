from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from elastic.errors import ModelError, OptionError
from elastic.models.cnn import cnn
from elastic.models.contract import Task
from elastic.registry import registry


def test_taps_are_the_hand_unrolled_forward_pass():
    torch.manual_seed(0)
    net = cnn(Task((2, 9, 6), classes=4), channels=[3, 5], norm="batch", activation="tanh").double()
    for _ in range(2):
        net(torch.randn(7, 2, 9, 6, dtype=torch.float64))
    net.eval()
    h = inputs = torch.randn(7, 2, 9, 6, dtype=torch.float64)
    expected = {}
    for name in ("conv_1", "conv_2"):
        convolution, norm, _, _ = net.stages[name]
        h = functional.conv2d(h, convolution.weight, convolution.bias, padding=1)
        mean, variance, gain, shift = (
            t[:, None, None] for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        h = torch.tanh((h - mean) / (variance + norm.eps).sqrt() * gain + shift)
        rows, columns = h.shape[2] // 2, h.shape[3] // 2
        h = h[:, :, : 2 * rows, : 2 * columns].reshape(7, -1, rows, 2, columns, 2).amax(dim=(3, 5))
        expected[name] = h
    expected["penultimate"] = h.mean(dim=(2, 3))
    classifier = net.stages["logits"]
    expected["logits"] = expected["penultimate"] @ classifier.weight.T + classifier.bias

    taps = net.taps(inputs)
    assert tuple(taps) == net.layers == tuple(expected)
    for name, features in taps.items():
        torch.testing.assert_close(features, expected[name])
    assert net.next_weights() == {"penultimate": classifier}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("norm", "normed"), [("batch", True), ("group", True), ("none", False)])
def test_parameters_are_counted_by_the_formula(bias, norm, normed):
    net = cnn(Task((3, 8, 8), classes=10), channels=[4, 6, 5], kernel_size=5, bias=bias, norm=norm)
    planes = [3, 4, 6, 5]
    expected = sum((25 * i + bias) * o + 2 * o * normed for i, o in pairwise(planes))
    assert sum(p.numel() for p in net.parameters()) == expected + (5 + bias) * 10


def test_pooling_ends_when_the_image_is_used_up():
    net = cnn(Task((1, 8, 12), classes=2), channels=[2] * 5)
    sizes = [tuple(f.shape[2:]) for name, f in net.taps(torch.zeros(2, 1, 8, 12)).items() if "conv" in name]
    assert sizes == [(4, 6), (2, 3), (1, 1), (1, 1), (1, 1)]


def test_without_pooling_the_image_keeps_its_size():
    net = cnn(Task((1, 5, 7), classes=2), channels=[2, 3], pool="none")
    assert net.taps(torch.zeros(2, 1, 5, 7))["conv_2"].shape == (2, 3, 5, 7)


def test_average_pooling_averages():
    net = cnn(Task((1, 4, 4), classes=2), channels=[2], pool="average", norm="none", activation="identity")
    inputs = torch.randn(3, 1, 4, 4)
    blocks = net.stages["conv_1"][0](inputs).reshape(3, 2, 2, 2, 2, 2).mean(dim=(3, 5))
    torch.testing.assert_close(net.taps(inputs)["conv_1"], blocks)


@pytest.mark.parametrize("shape", [(64,), (8, 8), (1, 1, 8, 8)])
def test_inputs_that_are_no_images_are_refused_with_another_model(shape):
    with pytest.raises(ModelError, match="mlp"):
        cnn(Task(shape, classes=10))


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(ModelError, match=r"`kernel_size` should be at most .* 4; found 5"):
        cnn(Task((1, 4, 9), classes=10), kernel_size=5)


@pytest.mark.parametrize("options", [{"kernel_size": 4}, {"kernel_size": 0}, {"channels": []}, {"pool": "mean"}])
def test_senseless_options_are_refused(options):
    with pytest.raises(OptionError):
        registry("models").get("cnn").complete(options)
