"""Networks with every part that an engine has a rule for, and how an engine's blocks are collected and compared."""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional

from elastic.losses import build_loss
from elastic.models.activations import ACTIVATIONS
from elastic.models.cnn import cnn
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.models.taps import Tapped
from elastic.probes.engine import movements
from elastic.probes.engine_selection import choose_engine
from elastic.probes.memory.plan import Plan

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
    "mlp_batch_norm": (lambda: mlp(Task((5,), CLASSES), widths=[7, 6], norm="batch", bias=False), (5,)),
    "cnn": (image, (1, 8, 8)),
    "cnn_average": (lambda: image(pool="average", bias=False, activation="silu"), (1, 8, 8)),
    "cnn_plain": (lambda: image(pool="none", norm="none", kernel_size=5), (1, 8, 8)),
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
        torch.default_generator.manual_seed(0)
        model = settled(build()).double()
        tokens = torch.randint(11, (J + M, *shape))
        x = tokens if name == "tokens" else torch.randn(J + M, *shape, dtype=torch.float64)
    return model, (x[:J], torch.arange(J) % CLASSES), x[J:]


#: The engines that were chosen for a model, by their names: a trial of one takes as long as to ask it.
CHOICES = WeakKeyDictionary()


def chosen_engine(engine, model, example, finite):
    """Return the choice of an engine for a model, whose structure no test changes once it was asked for."""
    known = CHOICES.setdefault(model, {})
    if (engine, finite) not in known:
        known[engine, finite] = choose_engine(model, example, engine=engine, finite=finite)
    return known[engine, finite]


def blocks(engine, model, stepped, observed, lr=None, memory_budget=2**30):
    """Yield the blocks of movements of an engine of this name."""
    chosen = chosen_engine(engine, model, observed[:1], lr is not None)
    plan = Plan.of(chosen.cost, len(stepped[0]), len(observed), memory_budget)
    yield from movements(chosen.at_work(model, observed[:1], lr), LOSS, stepped, observed, plan)


def probe(*arguments, **options):
    """Return the movements and own movements that an engine finds: arguments as of `blocks`."""
    return collected(blocks(*arguments, **options))


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
