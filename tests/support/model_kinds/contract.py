"""Small networks as users write them, each with a part that an engine may follow wrongly without a word.

`moved` gives their movements by real steps: copy, step, run forward, subtract, in float64. It shares no code with the
engines.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

CLASSES = 3

#: By name: (forward, parts, shape of an input or None for tokens).
KINDS = {}
#: Names of those that are stepped on one sample at a time, because they read their first sample or all.
ALONE = set()


class Of(nn.Module):
    """A network of a forward function and parts; a part that is a tensor becomes a buffer."""

    def __init__(self, forward, parts):
        super().__init__()
        self.call = forward
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.call(self, x)


def kind(shape=(4,), alone=False, **parts):
    """Enter a forward function; parts are made by functions without arguments; ``a`` and ``b`` are there anyway."""

    def enter(forward):
        KINDS[forward.__name__] = (forward, parts, shape)
        if alone:
            ALONE.add(forward.__name__)
        return forward

    return enter


def network(name):
    """Return (float64 network in evaluation mode, inputs [2, …], labels, observed [3, …])."""
    forward, parts, shape = KINDS[name]
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(3)  # `torch.manual_seed` notes who called it, which takes longer
        made = {"a": nn.Linear(4, 4), "b": nn.Linear(4, CLASSES)} | {part: make() for part, make in parts.items()}
        net = Of(forward, made).double().eval()
        if shape is None:
            return (
                net,
                torch.tensor([[0, 1, 1], [2, 0, 4]]),
                torch.tensor([0, 1]),
                torch.tensor([[1, 1, 2], [0, 4, 1], [2, 2, 2]]),
            )
        x = torch.randn(5, *shape, dtype=torch.float64)
    return net, x[:2], torch.tensor([0, 1]), x[2:]


def moved(net, stepped, labels, observed, lr=None):
    """Return movements [J, M, K] of the logits by real steps: of length ``lr``, else the central difference."""
    rows = []
    for x, y in zip(stepped, labels, strict=True):
        at = copy.deepcopy(net)
        F.cross_entropy(at(x[None].clone()), y[None]).backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in at.parameters()]
        ends = [after(net, gradients, size, observed) for size in ((1e-6, -1e-6) if lr is None else (lr, 0.0))]
        rows.append((ends[0] - ends[1]) / (2e-6 if lr is None else lr))
    return torch.stack(rows)


def after(net, gradients, size, observed):
    """Return the logits [M, K] of each sample alone, after a step of a copy."""
    logits = []
    for sample in observed:
        other = copy.deepcopy(net)
        with torch.no_grad():
            for p, g in zip(other.parameters(), gradients, strict=True):
                p -= size * g.to_dense()
            logits.append(other(sample[None].clone())[0])
    return torch.stack(logits)
