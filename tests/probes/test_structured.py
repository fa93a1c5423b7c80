"""The structured engine: the autodiff engine's movements, exact at the end of training too."""

from __future__ import annotations

import copy
import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from elastic.losses import build_loss
from elastic.models.activations import ACTIVATIONS
from elastic.models.cnn import cnn
from elastic.models.contract import Stages, Task
from elastic.models.mlp import mlp
from elastic.models.tapped import Tapped
from elastic.probes import movements, structured
from elastic.probes.evaluation import probed
from elastic.probes.structured.recording import Recording

LOSS = build_loss("cross_entropy")
CLASSES, J, M = 3, 6, 9


class Residual(nn.Module):
    """Strided, dilated and grouped convolutions, activations and sums in place, a skip with a projection."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 8, 3, padding=1, groups=2)
        self.groups = nn.GroupNorm(2, 8)
        self.tall = nn.Conv2d(8, 8, (3, 1), padding="same", dilation=2)
        self.skip = nn.Conv2d(4, 8, 1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = functional.max_pool2d(functional.gelu(self.norm(self.stem(x))), 3, 2, 1)
        y = self.tall(self.act(self.groups(self.grouped(x))))
        y += self.skip(x)
        return self.head(self.act(y).mean((2, 3)))


class Attention(nn.Module):
    """Class token, positions, a transformer layer, and attention written by hand."""

    def __init__(self, tokens=None, batch_first=True):
        super().__init__()
        self.enter = nn.Linear(5, 8) if tokens is None else nn.Embedding(tokens, 8, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(7, 8))
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, "gelu", batch_first=batch_first)
        self.norm = nn.LayerNorm(8)
        self.parts = nn.Linear(8, 24)
        self.head = nn.Linear(8, CLASSES)
        self.batch_first = batch_first

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), self.enter(x)], dim=1) + self.positions
        x = self.layer(x) if self.batch_first else self.layer(x.transpose(0, 1)).transpose(0, 1)
        q, k, v = (part[:, None] for part in self.parts(self.norm(x)).chunk(3, dim=-1))
        return self.head((x + functional.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0])[:, -1])


class Sequence(nn.Module):
    """Convolutions of sequences, the wide one cheaper by its patches than by its kernels."""

    def __init__(self):
        super().__init__()
        self.narrow = nn.Conv1d(3, 4, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm1d(4)
        self.wide = nn.Conv1d(4, 40, 5, padding="same")
        self.head = nn.Linear(40, CLASSES)

    def forward(self, x):
        x = self.wide(torch.sigmoid(self.norm(self.narrow(x))))
        return self.head(functional.adaptive_avg_pool1d(x, 1).flatten(1))


class Shared(nn.Module):
    """One layer that runs twice, and one matrix that is used as it is and transposed."""

    def __init__(self):
        super().__init__()
        self.twice = nn.Linear(5, 5)
        self.matrix = nn.Parameter(torch.randn(5, 5) / 2)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x):
        x = torch.tanh(self.twice(torch.tanh(self.twice(x))))
        return self.head(functional.linear(torch.tanh(x @ self.matrix), self.matrix) / 2)


def settled(model):
    """In evaluation mode, its normalisations with numbers of their own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, -1.0, 1.0)
    return model.eval()


def image(**options):
    return cnn(Task((1, 8, 8), CLASSES), channels=[3, 20], **options)


MODELS = {
    **{f"mlp_{a}": (lambda a=a: mlp(Task((5,), CLASSES), widths=[7, 6], activation=a), (5,)) for a in ACTIVATIONS},
    "mlp_batch_norm": (lambda: mlp(Task((5,), CLASSES), widths=[7, 6], batch_norm=True, bias=False), (5,)),
    "cnn": (image, (1, 8, 8)),
    "cnn_average": (lambda: image(pool="average", bias=False, activation="silu"), (1, 8, 8)),
    "cnn_plain": (lambda: image(pool="none", batch_norm=False, kernel_size=5), (1, 8, 8)),
    "residual": (lambda: Tapped(Residual(), ["stem", "groups", "tall"]), (1, 13, 13)),
    "attention": (lambda: Tapped(Attention(), ["enter", "layer", "norm"]), (6, 5)),
    "attention_sequence_first": (lambda: Tapped(Attention(batch_first=False), ["enter", "norm"]), (6, 5)),
    "tokens": (lambda: Tapped(Attention(tokens=11), ["enter", "layer", "norm"]), (6,)),
    "sequence": (lambda: Tapped(Sequence(), ["narrow", "wide"]), (3, 12)),
    "shared": (lambda: Tapped(Shared(), []), (5,)),
}


def problem(name):
    """Return (float64 model, stepped, observed)."""
    build, shape = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = settled(build()).double()
        tokens = torch.randint(11, (J + M, *shape))
        x = tokens if name == "tokens" else torch.randn(J + M, *shape, dtype=torch.float64)
    return model, (x[:J], torch.arange(J) % CLASSES), x[J:]


def collected(blocks):
    """Return (moved [J, M, d], own [J, d]) by layer, in float64 and with their scale."""
    blocks = list(blocks)
    moved, own = {}, {}
    for layer in blocks[0].moved:
        total = blocks[0].moved[layer].new_empty(J, M, blocks[0].moved[layer].shape[2], dtype=torch.float64)
        alone = total.new_empty(J, total.shape[2])
        for b in blocks:
            total[b.stepped, b.observed] = b.moved[layer].double() * b.scale[:, None, None]
            alone[b.stepped] = b.own[layer].double() * b.scale[:, None]
        moved[layer], own[layer] = total, alone
    return moved, own


def worst(found, expected):
    """Return the largest relative error of a stepped sample's movements in a layer."""
    errors = [0.0]
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        for layer in other:
            a, b = one[layer].flatten(1), other[layer].flatten(1)
            norms = torch.linalg.vector_norm(b, dim=1)
            error = torch.linalg.vector_norm(a - b, dim=1)
            assert (error[norms == 0] == 0).all()
            errors.append((error / norms)[norms > 0].max().item() if (norms > 0).any() else 0.0)
    return max(errors)


def float32(model, stepped, observed):
    def single(x):
        return x.float() if x.is_floating_point() else x

    return copy.deepcopy(model).float(), (single(stepped[0]), stepped[1]), single(observed)


@pytest.mark.parametrize("name", MODELS)
def test_first_order_movements_are_the_autodiff_engine_s(name):
    model, stepped, observed = problem(name)
    assert structured.unsupported(model, stepped[0][:1]) is None
    expected = collected(movements.first_order(model, LOSS, stepped, observed))
    assert worst(collected(structured.first_order(model, LOSS, stepped, observed)), expected) < 1e-12


@pytest.mark.parametrize("lr", [1e-1, 1e-4])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "tokens"])
def test_finite_movements_are_the_autodiff_engine_s(name, lr):
    model, stepped, observed = problem(name)
    assert structured.unsupported(model, stepped[0][:1], update="finite") is None
    expected = collected(movements.finite(model, LOSS, stepped, observed, lr))
    assert worst(collected(structured.finite(model, LOSS, stepped, observed, lr)), expected) < 1e-12 / lr


@pytest.mark.parametrize("name", ["mlp_gelu", "cnn", "residual", "attention", "tokens"])
def test_finite_movements_tend_to_first_order_ones_however_small_the_step(name):
    model, stepped, observed = problem(name)
    limit = collected(structured.first_order(model, LOSS, stepped, observed))
    for lr in (1e-8, 1e-12, 1e-30):
        assert worst(collected(structured.finite(model, LOSS, stepped, observed, lr)), limit) < 1e-9 + 100 * lr


@pytest.mark.parametrize("factor", [1.0, 40.0, 400.0, 4000.0])
@pytest.mark.parametrize("name", ["mlp_relu", "cnn", "residual", "attention"])
def test_float32_holds_a_thousandth_where_fitted_samples_have_vanishing_gradients(name, factor):
    model, stepped, observed = problem(name)
    with torch.no_grad():
        head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
        head.weight *= factor
        stepped = stepped[0], model(stepped[0]).argmax(dim=1)  # every sample is right
    net, (x, y), o = float32(model, stepped, observed)
    double = copy.deepcopy(net).double(), (x.double(), y), o.double()
    limit = collected(movements.first_order(double[0], LOSS, *double[1:]))
    assert worst(collected(structured.first_order(net, LOSS, (x, y), o)), limit) < 1e-3
    norms = LOSS.logit_gradient(double[0](double[1][0]), y).norm
    for lr in (1e-1, 1e-4, 1e-8):
        # The autodiff engine's finite step subtracts: where nothing is left of it, the step is its own limit.
        tiny = lr * norms < 1e-9
        moving = collected(movements.finite(double[0], LOSS, *double[1:], lr))
        for expected, still in zip(moving, limit, strict=True):
            for layer in expected:
                expected[layer][tiny] = still[layer][tiny]
        assert worst(collected(structured.finite(net, LOSS, (x, y), o, lr)), moving) < 1e-3


def test_a_float32_copy_step_subtract_loop_measures_rounding_where_the_engine_does_not():
    model, stepped, observed = problem("mlp_relu")
    with torch.no_grad():
        model.stages["logits"].weight *= 40.0
        stepped = stepped[0], model(stepped[0]).argmax(dim=1)
    exact = collected(structured.first_order(model, LOSS, stepped, observed))[0]["penultimate"]
    net, (x, y), o = float32(model, stepped, observed)
    found = collected(structured.first_order(net, LOSS, (x, y), o))[0]["penultimate"]
    for a in range(J):
        copied = copy.deepcopy(net)
        LOSS.per_sample(copied(x[a : a + 1]), y[a : a + 1]).sum().backward()
        torch.optim.SGD(copied.parameters(), lr=1e-6).step()
        with torch.no_grad():
            naive = (copied.taps(o)["penultimate"] - net.taps(o)["penultimate"]).double() / 1e-6
        norm = torch.linalg.vector_norm(exact[a])
        assert torch.linalg.vector_norm(naive - exact[a]) > 0.5 * norm
        assert torch.linalg.vector_norm(found[a] - exact[a]) < 1e-4 * norm


@pytest.mark.parametrize("name", ["cnn", "attention", "sequence"])
def test_a_small_memory_budget_changes_nothing_but_the_blocks(name):
    model, stepped, observed = problem(name)
    whole = list(structured.first_order(model, LOSS, stepped, observed))
    cut = list(structured.first_order(model, LOSS, stepped, observed, memory_budget=2**14))
    assert len(cut) > len(whole)
    assert worst(collected(cut), collected(whole)) < 1e-13


@pytest.mark.parametrize("name", ["mlp_relu", "cnn"])
def test_no_weight_s_gradient_is_written_out_sample_by_sample(name):
    model, stepped, _ = problem(name)
    recording = Recording(model, stepped[0][:1])
    assert all(model.get_parameter(name).ndim == 1 for name in recording.loose)
    wide = mlp(Task((5,), CLASSES), widths=[300, 300])
    steps = Recording(wide, stepped[0][:1].flatten(1)[:, :5].float()).steps(torch.randn(J, 5), torch.randn(J, CLASSES))
    factors = [t for uses in steps.uses.values() for use in uses for t in (use.inputs, use.gradients)]
    assert sum(t.numel() for t in factors) < J * 2000 < J * 300 * 300


def test_every_value_is_computed_once_for_all_stepped_samples():
    rows = []

    class Counting(nn.Linear):
        def forward(self, x):
            rows.append(len(x))
            return super().forward(x)

    model = Stages({"penultimate": nn.Sequential(Counting(5, 6), nn.ReLU()), "logits": nn.Linear(6, CLASSES)})
    stepped = torch.randn(J, 5), torch.arange(J) % CLASSES
    blocks = structured.first_order(model, LOSS, stepped, torch.randn(M, 5))
    next(blocks)
    assert rows[-1] == M


class Hidden(torch.autograd.Function):
    """Uses a parameter where no torch function is seen."""

    @staticmethod
    def forward(x, weight):
        return x * weight.detach()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g * weight, (g * x).sum(0)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x):
        return Hidden.apply(x, self.scale)


class Big(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(5, 5, 50_000) / 100)

    def forward(self, x):
        return torch.einsum("ni,ijk->nj", x, self.table)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


UNSUPPORTED = {
    "autograd function": (Scaled(), "Hidden|scale"),
    "large loose parameter": (Big(), "Big `stages.penultimate.0`.*table"),
    "branch on values": (Branching(), "data-dependent|control flow"),
    "batch statistics": (nn.BatchNorm1d(5, track_running_stats=False), "statistics of the batch"),
}


@pytest.mark.parametrize("part", UNSUPPORTED)
def test_what_has_no_rule_is_told_by_its_name(part):
    module, told = UNSUPPORTED[part]
    model = Stages({"penultimate": nn.Sequential(module, nn.ReLU()), "logits": nn.Linear(5, CLASSES)})
    reason = structured.unsupported(model, torch.ones(1, 5))
    assert reason is not None
    assert re.search(told, reason), reason


def test_an_activation_without_a_difference_formula_is_for_first_order_only():
    model = Stages({"penultimate": nn.Sequential(nn.Linear(5, 5), nn.Hardswish()), "logits": nn.Linear(5, CLASSES)})
    assert structured.unsupported(model, torch.ones(1, 5)) is None
    reason = structured.unsupported(model, torch.ones(1, 5), update="finite")
    assert "hardswish" in str(reason)


def test_a_probe_leaves_the_model_as_it_was():
    model, stepped, observed = problem("residual")
    model.train()
    before, hooks = copy.deepcopy(model.state_dict()), [len(m._forward_hooks) for m in model.modules()]
    collected(structured.first_order(model, LOSS, stepped, observed))
    assert all(m.training for m in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_a_frozen_parameter_is_left_to_autodiff_which_knows_what_stays():
    model, stepped, _ = problem("cnn")
    model.stages["conv_1"].requires_grad_(False)
    reason = structured.unsupported(model, stepped[0][:1])
    assert reason is not None
    assert "frozen" in reason


def test_a_linear_layer_moves_as_its_closed_form_says():
    torch.manual_seed(0)
    model = Stages({"penultimate": nn.Identity(), "logits": nn.Linear(4, 3)}).double()
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 3
    (block,) = structured.first_order(model, LOSS, (x[:3], y[:3]), x[3:])
    with torch.no_grad(), probed(model):
        p = model(x[:3]).softmax(1) - functional.one_hot(y[:3], 3)
    expected = -(x[:3] @ x[3:].T + 1)[:, :, None] * p[:, None, :]
    torch.testing.assert_close(block.moved["logits"] * block.scale[:, None, None], expected, rtol=1e-12, atol=1e-14)
    assert (block.moved["penultimate"] == 0).all()
    assert math.isclose(block.scale[0], torch.linalg.vector_norm(p[0]), rel_tol=1e-12)
