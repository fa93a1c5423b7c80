"""The structured engine: the autodiff engine's movements, exact at the end of training too."""

from __future__ import annotations

import copy
import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from support.engine_cases import CLASSES, MODELS, J, M, blocks, collected, probe, problem, worst
from torch import nn
from torch.nn import functional

import elastic
from elastic.errors import ModelError
from elastic.losses import LossGradient
from elastic.models.contract import Stages, Task
from elastic.models.mlp import mlp
from elastic.models.taps import tap
from elastic.probes.engine_selection import choose_engine
from elastic.probes.evaluation import probed
from elastic.probes.structured import engine
from elastic.probes.structured.paired import Unpaired
from elastic.probes.structured.recording import Recording

given = lru_cache(problem)  # to tests that change nothing of it


@lru_cache
def movements(engine, name, lr=None):
    """Return the movements that an engine finds in a problem."""
    return probe(engine, *given(name), lr)


@pytest.mark.parametrize("name", MODELS)
def test_first_order_movements_are_the_autodiff_engine_s(name):
    assert worst(movements("structured", name), movements("autodiff", name)) < 1e-12


@pytest.mark.parametrize("lr", [1e-1, 1e-4])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "tokens"])
def test_finite_movements_are_the_autodiff_engine_s(name, lr):
    assert worst(movements("structured", name, lr), movements("autodiff", name, lr)) < 1e-12 / lr


@pytest.mark.parametrize("name", ["mlp_gelu", "cnn", "residual", "attention", "tokens"])
def test_finite_movements_tend_to_first_order_ones_however_small_the_step(name):
    for lr in (1e-8, 1e-30):
        assert worst(movements("structured", name, lr), movements("structured", name)) < 1e-9 + 100 * lr


@pytest.mark.parametrize(("name", "budget"), [("cnn", 2**16), ("attention", 2**18), ("sequence", 2**16)])
def test_a_small_memory_budget_changes_nothing_but_the_blocks(name, budget):
    model, stepped, observed = given(name)
    whole = list(blocks("structured", model, stepped, observed))
    cut = list(blocks("structured", model, stepped, observed, memory_budget=budget))
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
    next(blocks("structured", model, stepped, torch.randn(M, 5)))
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
    module, result = UNSUPPORTED[part]
    model = Stages({"penultimate": nn.Sequential(module, nn.ReLU()), "logits": nn.Linear(5, CLASSES)})
    with pytest.raises(ModelError, match=result):
        choose_engine(model, torch.ones(1, 5), engine="structured")


def test_a_model_with_such_a_part_is_left_to_autodiff_with_the_reason():
    model = Stages({"penultimate": nn.Sequential(Big(), nn.ReLU()), "logits": nn.Linear(5, CLASSES)})
    chosen = choose_engine(model, torch.ones(1, 5), engine="auto")
    assert chosen.name == "autodiff"
    assert "table" in str(chosen)


def test_an_activation_without_a_difference_formula_is_for_first_order_only():
    model = Stages({"penultimate": nn.Sequential(nn.Linear(5, 5), nn.Hardswish()), "logits": nn.Linear(5, CLASSES)})
    assert str(choose_engine(model, torch.ones(1, 5), engine="auto")) == "structured"
    assert "hardswish" in choose_engine(model, torch.ones(1, 5), engine="auto", finite=True).reason


def test_a_probe_leaves_the_model_as_it_was():
    model, stepped, observed = problem("residual")
    model.train()
    before, hooks = copy.deepcopy(model.state_dict()), [len(m._forward_hooks) for m in model.modules()]
    probe("structured", model, stepped, observed)
    assert all(m.training for m in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_a_frozen_parameter_is_left_to_autodiff_which_knows_what_stays():
    model, stepped, _ = problem("cnn")
    model.stages["conv_1"].requires_grad_(False)
    assert "frozen" in choose_engine(model, stepped[0][:1], engine="auto").reason


def test_a_linear_layer_moves_as_its_closed_form_says():
    torch.manual_seed(0)
    model = Stages({"penultimate": nn.Identity(), "logits": nn.Linear(4, 3)}).double()
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 3
    (block,) = blocks("structured", model, (x[:3], y[:3]), x[3:])
    with torch.no_grad(), probed(model):
        p = model(x[:3]).softmax(1) - functional.one_hot(y[:3], 3)
    expected = -(x[:3] @ x[3:].T + 1)[:, :, None] * p[:, None, :]
    torch.testing.assert_close(block.moved["logits"] * block.scale[:, None, None], expected, rtol=1e-12, atol=1e-14)
    assert (block.moved["penultimate"] == 0).all()
    assert math.isclose(block.scale[0], torch.linalg.vector_norm(p[0]), rel_tol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_own_movements_are_those_that_all_pairs_have_among_them(name, monkeypatch):
    model, stepped, observed = given(name)
    movement, asked = movements("structured", name), []

    def all_pairs(steps):
        asked.append(steps)
        raise Unpaired

    monkeypatch.setattr(engine, "paired", all_pairs)
    expected = collected(list(blocks("structured", model, stepped, observed)))
    assert asked
    assert worst(movement, expected) < 1e-12


class WritesAParameter(nn.Module):
    """A token of each sequence [n, 3, 4] is overwritten with a number that is trained."""

    def __init__(self, write):
        super().__init__()
        self.enter, self.number, self.head = nn.Linear(4, 6), nn.Parameter(torch.tensor(0.3)), nn.Linear(6, 3)
        self.write = write

    def forward(self, x):
        hidden = self.enter(x).clone()
        self.write(hidden, self.number)
        return self.head(hidden.mean(1))


WRITES = {
    "setitem": lambda h, number: h.__setitem__((slice(None), -1), number),
    "masked_fill_": lambda h, number: h.masked_fill_(torch.tensor([[False], [False], [True]]), number),
    "a slice": lambda h, number: h[:, -1].copy_(number.expand(6)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_parameter_that_is_written_into_a_feature_moves_it(write):
    torch.manual_seed(0)
    model, x, y = WritesAParameter(write).double(), torch.randn(6, 3, 4, dtype=torch.float64), torch.arange(6) % 3
    structured, autodiff = (
        elastic.measure_elasticity(model, (x, y), (x, y), layers=["enter"], engine=name, update="first_order")
        for name in ("structured", "autodiff")
    )
    for name in ("response", "self_response", "logit_response", "loss_response"):
        np.testing.assert_allclose(structured[name], autodiff[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("name", "one_pass"), [("mlp_relu", True), ("cnn", True), ("residual", False), ("attention", False)]
)
def test_own_movements_take_one_pass_where_each_layer_tells_its_samples_apart(name, one_pass, monkeypatch):
    model, stepped, observed = problem(name)
    passed = []
    propagate = engine.propagate
    monkeypatch.setattr(
        engine,
        "propagate",
        lambda m, steps, x, **k: passed.append((len(x), steps.count)) or propagate(m, steps, x, **k),
    )
    next(blocks("structured", model, stepped, observed))
    assert (J, 1) in passed
    assert ((J, J) in passed) is not one_pass


def test_seeds_keep_the_digits_of_the_widest_parameter():
    class Widening(nn.Module):
        def forward(self, h):
            return h.float()

    net = nn.Sequential(nn.Linear(3, 4, dtype=torch.bfloat16), Widening(), nn.Linear(4, 2))
    example = torch.ones(1, 3, dtype=torch.bfloat16)
    stepping = engine.Structured(tap(net, ["1"], example), example)
    gradient = LossGradient(torch.tensor([[0.6, 0.8]]).double(), torch.ones(1).double())
    (use,) = stepping.steps(example, gradient).uses[id(net[2].weight)]
    assert use.gradients.flatten().tolist() == pytest.approx([-0.6, -0.8], rel=1e-6)  # bfloat16 is off by 1e-3
