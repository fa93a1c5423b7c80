"""Movements by real steps: what both engines are held to, with no line in common with them.

The model is rebuilt in float64 for every step, and for every sample too where it carries anything from one to the next.
The gradient of the loss on one stepped sample is PyTorch's ordinary one; the parameters are moved along it and back,
and features are subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Features = dict[str, Tensor]
#: Lengths of the steps in parameters along which a first-order movement is found.
SHORT, SHORTER = 1e-4, 1e-5
#: Why a model may be refused.
RANDOM, STATEFUL, COUPLED = "its features are random", "another call gives other features", "the batch changes features"


@dataclass
class Truth:
    """Movements [J, M, d] of the observed samples and [J, d] of the stepped ones by layer, per unit learning rate.

    Attributes
    ----------
    decided
        [J, M], [J]: False where the movement depends on the length or the sign of the step (a kink).
    scale
        [J] by layer: what movements would be if nothing cancelled, the unit of rounding.
    excuses
        Why the model may be refused: empty for an ordinary one.
    """

    moved: Features = field(default_factory=dict)
    own: Features = field(default_factory=dict)
    decided: Features = field(default_factory=dict)
    own_decided: Features = field(default_factory=dict)
    scale: Features = field(default_factory=dict)
    excuses: list[str] = field(default_factory=list)


@contextmanager
def double_precision():
    """Make new tensors float64, and leave the generators as they were."""
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def read(net: nn.Module, x: Tensor, layers: Sequence[str]) -> Features:
    """Return the features [n, d] of the named submodules and the output, as they are when the submodule returns."""
    collected: Features = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            collected[name] = first(output).clone().flatten(1)

        return hook

    hooks = [net.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
    collected["logits"] = first(net(x)).flatten(1)
    for hook in hooks:
        hook.remove()
    return {name: collected[name] for name in (*layers, "logits")}


def first(output: Any) -> Tensor:
    """Return the tensor that elastic documents to read: the `logits` of a mapping, the first part of a tuple."""
    if isinstance(output, Mapping):
        return first(output["logits"])
    return first(output[0]) if isinstance(output, (tuple, list)) else output


def movements(
    make: Callable[[], nn.Module],
    stepped: tuple[Tensor, Tensor],
    observed: Tensor,
    layers: Sequence[str],
    lr: float | None = None,
) -> Truth:
    """Return the movements that steps on each stepped sample make; parameters as of `elastic.measure_elasticity`.

    Parameters
    ----------
    make
        Returns the model anew in float64, always the same.
    """
    with double_precision():
        x, y = as_double(stepped[0]), stepped[1]
        xo = as_double(observed)
        runs, before = Runs(make, layers), {}
        truth = Truth(excuses=excuses(runs, xo, before))
        try:
            gradients = [gradient(make, x[j : j + 1], y[j : j + 1]) for j in range(len(x))]
        except (RuntimeError, NotImplementedError) as error:
            truth.excuses.append(f"no gradient: {str(error).splitlines()[0][:80]}")
            return truth
        rows = []
        for j, g in enumerate(gradients):
            own = runs.features(x[j : j + 1])
            at_rest = {layer: torch.cat([h, own[layer]]) for layer, h in before.items()}
            rows.append(moved_by(runs, g, torch.cat([xo, x[j : j + 1]]), at_rest, lr))
        for layer in (*layers, "logits"):
            moved, decided, scale = (torch.stack([row[layer][part] for row in rows]) for part in range(3))
            truth.moved[layer], truth.own[layer] = moved[:, :-1], moved[:, -1]
            truth.decided[layer], truth.own_decided[layer] = decided[:, :-1], decided[:, -1]
            truth.scale[layer] = scale
        return truth


def as_double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


@dataclass
class Runs:
    """Forward passes of a model, each sample alone.

    Attributes
    ----------
    carries
        Whether a model may give other features for having run before: then each sample has a model of its own.
    """

    make: Callable[[], nn.Module]
    layers: Sequence[str]
    carries: bool = True

    def features(self, x: Tensor, step: list[Tensor | None] | None = None, rate: float = 0.0) -> Features:
        """Return the features of each sample alone, of a model that has run for no other step."""
        rows, net = [], None
        for row in x.split(1):
            net = self.stepped(step, rate) if net is None or self.carries else net
            with torch.no_grad():
                rows.append(read(net, row.clone(), self.layers))
        return {layer: torch.cat([features[layer] for features in rows]) for layer in rows[0]}

    def stepped(self, step: list[Tensor | None] | None, rate: float) -> nn.Module:
        """Return the model anew after a step."""
        net = self.make().eval()
        with torch.no_grad():
            for p, g in zip(net.parameters(), step or [], strict=bool(step)):
                if g is not None:
                    p -= rate * g
        return net


def gradient(make: Callable[[], nn.Module], x: Tensor, y: Tensor) -> list[Tensor | None]:
    """Return the gradient of the cross-entropy on one sample by every parameter that is trained."""
    net = make().eval()
    parameters = list(net.parameters())  # those that an optimiser holds, whatever the forward pass replaces
    with torch.enable_grad():
        F.cross_entropy(first(net(x.clone())).flatten(1), y).backward()
    return [None if p.grad is None else p.grad.to_dense() for p in parameters]


def moved_by(
    runs: Runs, step: list[Tensor | None], x: Tensor, before: Features, lr: float | None
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Return movement [n, d], whether it is decided [n], and its scale [] by layer, under one step."""
    length = float(sum(g.abs().square().sum() for g in step if g is not None)) ** 0.5
    scale = {layer: length * (1 + h.norm(dim=1).amax()) for layer, h in before.items()}
    everywhere = torch.ones(len(x), dtype=torch.bool)
    if lr is not None:
        after = runs.features(x, step, lr)
        return {layer: ((after[layer] - h) / lr, everywhere, scale[layer]) for layer, h in before.items()}
    if length == 0:
        return {layer: (torch.zeros_like(h), everywhere, scale[layer]) for layer, h in before.items()}
    ends = {t: runs.features(x, step, t / length) for t in (SHORT, -SHORT, SHORTER, -SHORTER)}
    collected = {}
    for layer, h in before.items():
        sides = [(ends[t][layer] - h) * length / t for t in ends]
        long, short = (sides[0] + sides[1]) / 2, (sides[2] + sides[3]) / 2
        spread = torch.stack([(side - short).norm(dim=1) for side in (long, *sides[2:])]).amax(0)
        collected[layer] = (short, spread <= 1e-3 * short.norm(dim=1) + 1e-9 * scale[layer], scale[layer])
    return collected


def excuses(runs: Runs, xo: Tensor, before: Features) -> list[str]:
    """Return why a model may be refused: its features change with the draw, from call to call, or with the batch.

    The features of xo are entered in ``before``, and whether the model carries anything from sample to sample in
    ``runs``.
    """
    collected = []
    alone, drawn = runs.features(xo), runs.features(xo)
    before.update(alone)
    net = runs.stepped(None, 0.0)
    with torch.no_grad():
        once, again, *others = (read(net, row.clone(), runs.layers) for row in (xo[:1], *xo.split(1)))
        together = read(runs.stepped(None, 0.0), xo.clone(), runs.layers)
    in_turn = {layer: torch.cat([h, *(features[layer] for features in others)]) for layer, h in again.items()}
    pairs = [(RANDOM, alone, drawn), (STATEFUL, once, again), (COUPLED, alone, together)]
    for excuse, first, second in pairs:
        if any(differ(first[layer], second[layer]) for layer in first):
            collected.append(excuse)
    runs.carries = bool({RANDOM, STATEFUL} & set(collected)) or not all(
        torch.equal(alone[k], in_turn[k]) for k in alone
    )
    return collected


def differ(first: Tensor, second: Tensor) -> bool:
    return first.shape != second.shape or float((first - second).abs().max()) > 1e-9 * (1 + float(first.abs().max()))
