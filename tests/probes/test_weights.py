"""The probe `weights`: which matrix leads to each layer, what enters it, and that reading changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import oracles
from torch import nn
from torch.nn.utils import parametrizations

from elastic.data.contract import Samples
from elastic.errors import DegenerateInput, ModelError
from elastic.losses import build_loss
from elastic.models.building import build_model
from elastic.models.contract import Stages, Task
from elastic.models.fixed_classifier import fix_classifier
from elastic.models.taps import Tapped, tap
from elastic.probes.contract import Subject, build_probes
from elastic.probes.weight_matrices import MatrixInputs, matrix_of, weight_matrices

CLASSES = 3


def samples_of(shape, *, count=30, dtype=torch.float32, seed=0, classes=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, *shape, generator=generator).to(dtype)
    labels = torch.arange(count) % classes
    shift = torch.randn(classes, *shape, generator=generator).to(dtype)
    return Samples(inputs + shift[labels], labels, tuple(range(classes)))


def subject_of(model, samples, **options):
    return Subject(model, build_loss("cross_entropy"), {"train": samples}, **options)


def probe_of(model, samples, per_class=None, **options):
    return build_probes(subject_of(model, samples, **options), {"weights": {"per_class": per_class}})["weights"]


def built(name, shape=(1, 8, 8), **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(name, options, Task(shape, CLASSES, labels=torch.arange(30) % CLASSES)).eval()


def seeded(*modules):
    torch.manual_seed(1)
    net = nn.Sequential(*modules)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    return net


def shapes(model, shape=(1, 8, 8)):
    matrices = weight_matrices(model, samples_of(shape).inputs[:2])
    return {layer: (*matrix_of(matrix.module).shape, matrix.takes_vectors) for layer, matrix in matrices.items()}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mlp", {"widths": [7, 6]},
         {"hidden_1": (7, 64, True), "penultimate": (6, 7, True), "logits": (3, 6, True)}),
        ("mlp", {"widths": [7, 6], "norm": "batch"},
         {"hidden_1": (7, 64, True), "penultimate": (6, 7, True), "logits": (3, 6, True)}),
        ("deep_linear", {"widths": [5, 4]},
         {"hidden_1": (5, 64, True), "penultimate": (4, 5, True), "logits": (3, 4, True)}),
        ("cnn", {"channels": [4, 6]},
         {"conv_1": (4, 9, False), "conv_2": (6, 36, False), "logits": (3, 6, True)}),
    ],
)  # fmt: skip
def test_layers_of_built_in_models_have_the_weights_of_their_stage(name, options, expected):
    assert shapes(built(name, **options)) == expected


def test_a_residual_block_has_the_first_convolution_of_its_body():
    model = built("resnet", width=4)
    matrices = weight_matrices(model, samples_of((1, 8, 8)).inputs[:2])
    for layer in model.layers:
        if layer.startswith("stage"):
            assert matrices[layer].module is model.stages[layer].body[0]
    assert matrices["stem"].module is model.stages["stem"][0]
    assert "penultimate" not in matrices  # an average has no weights
    assert matrices["logits"].takes_vectors


def test_a_transformer_block_has_the_projection_to_queries_keys_and_values():
    model = built("vit", width=6, depth=2, heads=2)
    assert shapes(model) == {
        "tokens": (6, 16, False), "block_1": (18, 6, False), "block_2": (18, 6, False), "logits": (3, 6, True),
    }  # fmt: skip


def test_free_features_are_weights_of_one_hot_indices():
    model = built("unconstrained_features", (30,), width=5)
    assert shapes(model, (30,)) == {"penultimate": (5, 30, True), "logits": (3, 5, True)}


def test_named_submodules_have_their_own_weights_wherever_the_tap_is():
    net = seeded(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 3))
    example = torch.ones(4, 5)
    for layers, expected in [
        (["0", "2", "4"], {"0": net[0], "2": net[2], "4": net[4], "logits": net[6]}),
        (["1", "3", "5"], {"1": net[0], "3": net[2], "5": net[4], "logits": net[6]}),
        (["0", "1"], {"0": net[0], "logits": net[2]}),  # no weights between 0 and 1
        (["0", "4"], {"0": net[0], "4": net[4], "logits": net[6]}),  # its own, not those of 2
        (["0", "5"], {"0": net[0], "5": net[2], "logits": net[6]}),  # none of its own: the first since 0
        ([], {"logits": net[0]}),
    ]:
        matrices = weight_matrices(Tapped(net, layers), example)
        assert {layer: matrix.module for layer, matrix in matrices.items()} == expected, layers


def test_an_output_that_has_its_submodule_s_name_has_that_one_s_weights():
    net = seeded(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 3))
    example = torch.ones(4, 5)
    matrices = weight_matrices(Tapped(net, ["1", "4"], example), example)
    assert {layer: matrix.module for layer, matrix in matrices.items()} == {"1": net[0], "4": net[4]}


def test_a_module_that_runs_in_several_layers_has_a_row_in_each():
    shared = nn.Linear(5, 5)
    model = Tapped(nn.Sequential(shared, nn.ReLU(), shared, nn.Tanh(), nn.Linear(5, 3)), ["1", "3"])
    samples = samples_of((5,))
    probe = probe_of(model, samples)
    matrices = weight_matrices(model, samples.inputs[:2])
    assert [(matrix.module is shared, matrix.run) for matrix in matrices.values()][:2] == [(True, 0), (True, 1)]
    table = probe.read(0)
    h = torch.relu(shared(samples.inputs)).detach()
    W = shared.weight.detach().numpy()
    for row, features in enumerate((samples.inputs, h)):
        expected = oracles.weight_class_alignment(W, features.numpy(), samples.labels.numpy())
        assert table["weight_class_alignment"][row] == pytest.approx(expected, rel=1e-6)
    assert table["weight_spectral_norm"][0] == table["weight_spectral_norm"][1]


def test_a_stage_that_serves_as_two_layers_has_a_row_in_each():
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model = Stages({"hidden_1": block, "penultimate": block, "logits": nn.Linear(4, 3)})
    matrices = weight_matrices(model, torch.ones(2, 4))
    assert [(matrix.module, matrix.run) for matrix in matrices.values()] == [
        (block[0], 0), (block[0], 1), (model.stages["logits"], 0),
    ]  # fmt: skip


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.mlp = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = x + self.attention(query=x, key=x, value=x)[0]
        x = self.mlp(x)
        return self.head(x.mean(1))


def test_attention_has_its_projection_to_queries_keys_and_values():
    assert shapes(Tapped(Attending(), ["attention", "mlp"]), (4, 6)) == {
        "attention": (18, 6, False), "mlp": (6, 6, False), "logits": (3, 6, True),
    }  # fmt: skip


def test_torch_encoder_layers_are_watched_although_they_have_a_fast_path():
    encoder = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
    net = nn.Sequential(encoder, nn.Flatten(), nn.Linear(24, 3)).eval()
    assert shapes(Tapped(net, ["0"]), (4, 6)) == {"0": (18, 6, False), "logits": (3, 24, True)}


@pytest.mark.parametrize(
    ("module", "rows", "columns"),
    [
        (nn.Conv1d(4, 6, 3), 6, 12),
        (nn.Conv2d(4, 6, (2, 3), groups=2), 6, 12),
        (nn.Conv3d(2, 5, 2), 5, 16),
        (nn.ConvTranspose2d(4, 6, 3), 6, 36),
        (nn.Linear(4, 6), 6, 4),
    ],
)
def test_a_matrix_has_a_row_for_each_output(module, rows, columns):
    assert matrix_of(module).shape == (rows, columns)


def test_rows_of_a_transposed_convolution_are_those_of_its_outputs():
    module = nn.ConvTranspose2d(4, 6, 3)
    for k in range(6):
        expected = module.weight[:, k].flatten().sort().values
        torch.testing.assert_close(matrix_of(module)[k].sort().values, expected.detach())


# ------------------------------------------------------------------------------------------------ numbers


def forward_in_numpy(net, x):
    """Features that enter each linear module of a chain of Linear and ReLU, in float64."""
    h, entering = x.double().numpy(), []
    for module in net:
        if isinstance(module, nn.Linear):
            entering.append(h)
            h = h @ module.weight.detach().double().numpy().T + module.bias.detach().double().numpy()
        else:
            h = np.maximum(h, 0)
    return entering


@pytest.mark.parametrize("budget", [2**30, 2**14])
@pytest.mark.parametrize("inplace", [False, True])
def test_the_numbers_are_those_of_the_slow_twins_on_features_from_plain_numpy(budget, inplace):
    net = seeded(nn.Linear(5, 9), nn.ReLU(inplace), nn.Linear(9, 8), nn.ReLU(inplace), nn.Linear(8, 3)).double()
    samples = samples_of((5,), dtype=torch.float64)
    probe = probe_of(Tapped(net, ["1", "3"]), samples, memory_budget=budget)
    assert probe.labels() == {"layer": ("1", "3", "logits"), "component": range(1, CLASSES + 1)}
    table = probe.read(0)
    linear = [module for module in net if isinstance(module, nn.Linear)]
    for row, (module, entering) in enumerate(zip(linear, forward_in_numpy(net, samples.inputs), strict=True)):
        W = module.weight.detach().numpy()
        for name in ("weight_spectral_norm", "weight_stable_rank", "weight_effective_rank"):
            np.testing.assert_allclose(table[name][row], getattr(oracles, name)(W), rtol=1e-9, err_msg=name)
        for name in ("weight_class_alignment", "weight_class_cosine"):
            expected = getattr(oracles, name)(W, entering, samples.labels.numpy())
            np.testing.assert_allclose(table[name][row], expected, rtol=1e-8, err_msg=name)
        expected = oracles.weight_singular_values(W, CLASSES)
        np.testing.assert_allclose(table["weight_singular_values"][row], expected, rtol=1e-9, atol=1e-12)


def test_layers_without_weights_or_vectors_are_nan():
    model = built("cnn", channels=[4, 6])
    table = probe_of(model, samples_of((1, 8, 8))).read(0)
    assert set(table) == {
        "weight_spectral_norm", "weight_stable_rank", "weight_effective_rank", "weight_singular_values",
        "weight_class_alignment", "weight_class_cosine",
    }  # fmt: skip
    assert np.isnan(table["weight_spectral_norm"]).tolist() == [False, False, True, False]
    assert np.isnan(table["weight_class_alignment"]).tolist() == [True, True, True, False]
    assert table["weight_singular_values"].shape == (4, CLASSES)
    W = model.stages["conv_2"][0].weight.detach().flatten(1).numpy()
    np.testing.assert_allclose(table["weight_singular_values"][1], np.linalg.svd(W)[1][:CLASSES], rtol=1e-5)


def test_a_classifier_fixed_to_a_simplex_has_k_minus_1_equal_singular_values():
    model = built("mlp", (5,), widths=[9, 8])
    fix_classifier(model)
    table = probe_of(model, samples_of((5,))).read(0)
    np.testing.assert_allclose(table["weight_singular_values"][-1], [1.5**0.5, 1.5**0.5, 0], atol=1e-6)
    assert table["weight_stable_rank"][-1] == pytest.approx(2, rel=1e-5)
    assert np.isfinite(table["weight_class_alignment"]).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions(dtype):
    model = built("mlp", (5,), widths=[9, 8]).to(dtype)
    table = probe_of(model, samples_of((5,), dtype=dtype)).read(0)
    assert all(np.isfinite(values).all() for values in table.values())
    W = model.stages["penultimate"][0].weight.detach().double().numpy()
    assert table["weight_spectral_norm"][1] == pytest.approx(np.linalg.norm(W, 2), rel=1e-12)


@pytest.mark.parametrize(
    "normalise",
    [parametrizations.spectral_norm, parametrizations.weight_norm, nn.utils.spectral_norm, nn.utils.weight_norm],
)
def test_computed_weights_are_those_that_the_next_forward_pass_applies(normalise, recwarn):
    net = seeded(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    normalise(net[0])
    model = Tapped(net.train(), ["1"])
    samples = samples_of((5,))
    probe = probe_of(model, samples)
    for parameter in net[0].parameters():  # as an optimiser does after the last forward pass
        parameter.data.mul_(1.5).add_(0.1)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    result = probe.read(0)["weight_spectral_norm"][0]
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    net.eval()
    with torch.no_grad():
        bias = net[0](torch.zeros(1, 5))
        applied = (net[0](torch.eye(5)) - bias).T
    assert result == pytest.approx(np.linalg.norm(applied.numpy(), 2), rel=1e-5)


# ------------------------------------------------------------------------------------------------ samples


@pytest.mark.parametrize(("per_class", "count"), [(4, 12), (None, 60)])
def test_the_samples_are_those_on_which_collapse_is_measured(per_class, count):
    samples = {"train": samples_of((5,), count=60), "test": samples_of((5,), seed=1)}
    subject = Subject(built("mlp", (5,), widths=[4]), build_loss("cross_entropy"), samples, seed=3)
    collapse = {"per_class": per_class, "splits": ["train", "test"]}
    probes = build_probes(subject, {"collapse": collapse, "weights": {"per_class": per_class}})
    assert torch.equal(probes["weights"].samples.inputs, probes["collapse"].reader.samples["train"].inputs)
    assert len(probes["weights"].samples) == count


def test_samples_are_counted_by_fine_class_and_averaged_by_super_class():
    plain = samples_of((5,), count=60, classes=2)
    samples = Samples(plain.inputs, plain.labels, ("a", "b"), None, False, torch.arange(60) % 4, (0, 1, 2, 3))
    model = build_model("mlp", {"widths": [9]}, Task((5,), 2))
    probe = probe_of(model, samples, per_class=5)
    assert probe.samples.fine_labels.bincount().tolist() == [5, 5, 5, 5]
    assert probe.labels()["component"] == range(1, 3)
    assert np.isfinite(probe.read(0)["weight_class_alignment"]).all()


# ------------------------------------------------------------------------------------------------ no trace


def test_reading_changes_nothing():
    net = seeded(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3)).train()
    model, samples = Tapped(net, ["2"]), samples_of((5,))
    net.zero_grad()
    net[0].weight.grad = torch.ones_like(net[0].weight)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    probe = probe_of(model, samples)
    first, second = probe.read(0), probe.read(1)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(net[0].weight.grad, torch.ones_like(net[0].weight))
    assert torch.equal(torch.get_rng_state(), random)


def test_the_weights_of_the_moment_are_read():
    model, samples = built("mlp", (5,), widths=[9, 8]), samples_of((5,))
    probe = probe_of(model, samples)
    before = probe.read(0)
    with torch.no_grad():
        model.stages["penultimate"][0].weight.mul_(4)
    after = probe.read(1)
    np.testing.assert_allclose(after["weight_spectral_norm"], before["weight_spectral_norm"] * [1, 4, 1], rtol=1e-12)
    np.testing.assert_allclose(after["weight_class_alignment"][:2], before["weight_class_alignment"][:2], rtol=1e-9)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: net])
def test_wrappers_are_looked_through(wrap):
    net = seeded(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    matrices = weight_matrices(tap(wrap(net), ["1"], torch.ones(2, 5)), torch.ones(2, 5))
    assert [matrix.module for matrix in matrices.values()] == [net[0], net[2]]


# ------------------------------------------------------------------------------------------------ what is refused


class WithoutModules(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 5))
        self.act = nn.Tanh()

    def forward(self, x):
        return nn.functional.linear(self.act(x), self.weight)


def test_a_model_without_a_weight_matrix_is_refused():
    with pytest.raises(ModelError, match=r"`probes\.weights` should be left out for a model without"):
        probe_of(Tapped(WithoutModules(), ["act"]), samples_of((5,)))


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(nn.functional.dropout(self.first(x)))


def test_features_of_chance_are_refused():
    probe = probe_of(Tapped(Noisy(), ["first"]), samples_of((5,)))
    with pytest.raises(ModelError, match="be deterministic in evaluation mode"):
        probe.read(0)


def test_features_that_are_not_finite_are_refused():
    model = built("mlp", (5,), widths=[9, 8])
    probe = probe_of(model, samples_of((5,)))
    with torch.no_grad():
        model.stages["hidden_1"][1].weight[0, 0] = float("nan")
    with pytest.raises((DegenerateInput, ModelError)):
        probe.read(0)
    assert not any(module._forward_pre_hooks for module in model.modules())


class Switching(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other, self.last, self.which = nn.Linear(5, 6), nn.Linear(5, 6), nn.Linear(6, 3), 0

    def forward(self, x):
        return self.last((self.one, self.other)[self.which](x).relu())


def test_a_model_that_applies_other_weights_than_before_is_read_anew():
    net = Switching()
    probe = probe_of(Tapped(net, []), samples_of((5,)))
    before = probe.read(0)["weight_spectral_norm"]
    net.which = 1
    after = probe.read(1)["weight_spectral_norm"]
    norms = [np.linalg.norm(module.weight.detach().numpy(), 2) for module in (net.one, net.other)]
    np.testing.assert_allclose([*before, *after], norms, rtol=1e-5)
    matrices = weight_matrices(Tapped(net, []), torch.ones(2, 5))
    net.which = 0
    with pytest.raises(ModelError, match="be led to by the same weights"):
        list(MatrixInputs(Tapped(net, []), matrices, torch.ones(4, 5), torch.arange(4))())
