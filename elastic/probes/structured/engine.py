"""The structured engine: movements of all pairs, block by block, along steps that are never written out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from elastic.losses import Loss
from elastic.models.contract import TappedModel
from elastic.probes.evaluation import probed
from elastic.probes.movements import Movements
from elastic.probes.structured.blocks import Cost, blocks
from elastic.probes.structured.duals import Unsupported
from elastic.probes.structured.propagation import Steps, propagate
from elastic.probes.structured.recording import Recording

#: Stepped samples whose own movements are read off one small block of all pairs among them.
OWN = 8


def first_order(
    model: TappedModel, loss: Loss, stepped: tuple[Tensor, Tensor], observed: Tensor, *, memory_budget: int = 2**30
) -> Iterator[Movements]:
    r"""Movements in the limit of a small step: −∂h(m)/∂θ · ∇ℓ(a).

    Parameters
    ----------
    model
        In evaluation mode while it is probed.
    loss
        Whose gradient is stepped along.
    stepped
        Inputs [J, …] and labels [J]: each is stepped on alone.
    observed
        Inputs [M, …].
    memory_budget
        Bytes that steps and tangents may take together.

    Raises
    ------
    Unsupported
        If a part of the model has no rule (`unsupported` tells it beforehand).
    """
    yield from _movements(model, loss, stepped, observed, None, memory_budget)


def finite(
    model: TappedModel,
    loss: Loss,
    stepped: tuple[Tensor, Tensor],
    observed: Tensor,
    lr: float,
    *,
    memory_budget: int = 2**30,
) -> Iterator[Movements]:
    r"""Movements by a step of finite learning rate: (h(m; θ − η∇ℓ(a)) − h(m; θ)) / η.

    Parameters as in `first_order`, with the learning rate ``lr`` = η > 0. Differences are propagated layer by
    layer, not taken of two forward passes, and are exact however small the step is. A step along the unit logit
    gradient of length η‖∂ℓ/∂z‖ is the same, so that ‖∂ℓ/∂z‖ is a factor of its own here too.
    """
    yield from _movements(model, loss, stepped, observed, lr, memory_budget)


def _movements(
    model: TappedModel,
    loss: Loss,
    stepped: tuple[Tensor, Tensor],
    observed: Tensor,
    lr: float | None,
    memory_budget: int,
) -> Iterator[Movements]:
    inputs, labels = stepped
    with torch.no_grad(), probed(model):
        recording = Recording(model, inputs[:1])
        gradient = loss.logit_gradient(model(inputs), labels)
        seeds = gradient.direction.to(recording.dtype)
        sizes = None if lr is None else (lr * gradient.norm).to(recording.dtype)
        cost = Cost.of(recording, observed[:1])
        for rows, columns in blocks(cost, len(inputs), len(observed), memory_budget):
            if columns.start == 0:
                steps = recording.steps(inputs[rows], seeds[rows], None if sizes is None else sizes[rows])
                own = own_movements(model, steps, inputs[rows])
            moved = movements(model, steps, observed[columns])
            yield Movements(rows, columns, moved, own, gradient.norm[rows])


def movements(model: TappedModel, steps: Steps, inputs: Tensor) -> dict[str, Tensor]:
    """Return the movements [c, n, d] of inputs [n, …] by layer."""
    moved = {}
    for layer, (value, tangent) in propagate(model, steps, inputs).items():
        if tangent is None:
            tangent = value.new_zeros(steps.count, *value.shape)
        moved[layer] = tangent.flatten(2)
    return moved


def own_movements(model: TappedModel, steps: Steps, inputs: Tensor) -> dict[str, Tensor]:
    """Return each stepped sample's own movement [c, d] by layer."""
    parts: dict[str, list[Tensor]] = {layer: [] for layer in model.layers}
    for start in range(0, len(inputs), OWN):
        rows = slice(start, start + OWN)
        for layer, moved in movements(model, steps.rows(rows), inputs[rows]).items():
            # A copy: a diagonal would keep all its block alive.
            parts[layer].append(moved.diagonal().mT.clone())
    return {layer: torch.cat(own) for layer, own in parts.items()}


def unsupported(model: TappedModel, example: Tensor, *, update: str = "first_order") -> str | None:
    """Return why the structured engine cannot probe a model, None if it can.

    Parameters
    ----------
    model
        Any.
    example
        One input [1, …].
    update
        ``first_order`` or ``finite``: the latter has fewer rules.
    """
    try:
        with torch.no_grad(), probed(model):
            recording = Recording(model, example)
            logits = model(example)
            size = None if update == "first_order" else logits.new_full((1,), 1e-3)
            steps = recording.steps(example, torch.ones_like(logits) / logits.shape[1], size)
            movements(model, steps, example)
    except Unsupported as reason:
        return f"{reason.field} has no rule of the structured engine: {reason.found}"
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError) as error:
        return f"the structured engine cannot follow the model: {str(error).strip().splitlines()[0]}"
    return None
