"""Movements: by how much one gradient step on a stepped sample moves the features of the observed ones.

The autodiff engine: it works for every model that torch can differentiate forwards. Each stepped sample's gradient
is taken once, and all observed samples' movements along it are a Jacobian–vector product; both are vmapped over
as many stepped samples as the memory budget holds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from elastic.errors import ModelError
from elastic.losses import Loss
from elastic.models.contract import TappedModel
from elastic.probes.evaluation import probed

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Movements:
    """Movements of some observed samples under steps on some stepped ones, per unit learning rate.

    Attributes
    ----------
    stepped, observed
        Positions of the c stepped and m observed samples.
    moved
        Movement of each observed sample, [c, m, d] by layer.
    own
        Movement of each stepped sample itself, [c, d] by layer.
    scale
        [c] float64 factor that both still have to be multiplied with: the norm of the logit gradient in first
        order, which can be far below what float32 holds.
    """

    stepped: slice
    observed: slice
    moved: dict[str, Tensor]
    own: dict[str, Tensor]
    scale: Tensor


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
        Bytes that gradients and tangents may take together.

    Raises
    ------
    ModelError
        If torch cannot differentiate the model forwards.
    """
    parameters = trained_parameters(model)

    def movement(tangent: Parameters, inputs: Tensor) -> dict[str, Tensor]:
        moved: dict[str, Tensor] = jvp(lambda p: layer_features(model, p, inputs), (parameters,), (tangent,))[1]
        return moved

    with torch.no_grad(), probed(model):
        gradient = loss.logit_gradient(model(stepped[0]), stepped[1])
        seeds = gradient.direction.to(next(iter(parameters.values())).dtype)
        for rows, columns in chunks(model, parameters, len(stepped[0]), observed, memory_budget):
            if columns.start == 0:
                step = descent(model, parameters, stepped[0][rows], seeds[rows])
                own = differentiate(lambda s, x: movement(s, x[None]), (0, 0), step, stepped[0][rows])
                own = {layer: moved.squeeze(1) for layer, moved in own.items()}
            moved = differentiate(movement, (0, None), step, observed[columns])
            yield Movements(rows, columns, moved, own, gradient.norm[rows])


def finite(
    model: TappedModel,
    loss: Loss,
    stepped: tuple[Tensor, Tensor],
    observed: Tensor,
    lr: float,
    *,
    memory_budget: int = 2**30,
) -> Iterator[Movements]:
    r"""Movements by a step of finite learning rate: (h(m; θ − η∇ℓ(a)) − h(m; θ)) / η, computed in float64.

    Parameters as in `first_order`, with the learning rate ``lr`` = η > 0. In float32 the step and the difference
    would drown in rounding: near the end of training θ − η∇ℓ rounds to θ.
    """
    # A copy of its own: the model that is being trained keeps its precision and its weights.
    model = copy.deepcopy(model).double()
    inputs, observed = (x.double() if x.is_floating_point() else x for x in (stepped[0], observed))
    parameters = trained_parameters(model)

    def movement(step: Parameters, inputs: Tensor, before: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = {name: p + lr * step[name] for name, p in parameters.items()}
        after = layer_features(model, moved, inputs)
        return {layer: (after[layer] - before[layer]) / lr for layer in after}

    with torch.no_grad(), probed(model):
        gradient = loss.logit_gradient(model(inputs), stepped[1])
        seeds = gradient.direction * gradient.norm[:, None]
        for rows, columns in chunks(model, parameters, len(inputs), observed, memory_budget):
            if columns.start == 0:
                step = descent(model, parameters, inputs[rows], seeds[rows])
                before = layer_features(model, parameters, inputs[rows])
                own = differentiate(
                    lambda s, x, b: movement(s, x[None], {layer: h[None] for layer, h in b.items()}),
                    (0, 0, 0), step, inputs[rows], before,
                )  # fmt: skip
                own = {layer: moved.squeeze(1) for layer, moved in own.items()}
            rest = layer_features(model, parameters, observed[columns])
            moved = differentiate(movement, (0, None, None), step, observed[columns], rest)
            yield Movements(rows, columns, moved, own, torch.ones_like(gradient.norm[rows]))


def trained_parameters(model: nn.Module) -> Parameters:
    """Return the parameters that a training step moves: all but frozen ones.

    Raises
    ------
    ModelError
        If every parameter is frozen.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise ModelError(
            "`model`", "have parameters that a step moves", "none with requires_grad", "model.requires_grad_()"
        )
    return parameters


def descent(model: TappedModel, parameters: Parameters, inputs: Tensor, seeds: Tensor) -> Parameters:
    """Return each sample's step −∇⟨logits, seed⟩ as parameters [c, …], for inputs [c, …] and seeds [c, K]."""

    def towards(p: Parameters, x: Tensor, seed: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, p, (x[None],))[0]
        return -(logits * seed).sum()

    return differentiate(grad(towards), (None, 0, 0), parameters, inputs, seeds)


def layer_features(model: TappedModel, parameters: Parameters, inputs: Tensor) -> dict[str, Tensor]:
    """Return the features [n, d] of every layer under other parameters."""
    taps = functional_call(_Taps(model), {f"model.{name}": p for name, p in parameters.items()}, (inputs,))
    return {layer: features.flatten(1) for layer, features in taps.items()}


class _Taps(nn.Module):
    """The model with its taps as its output: `functional_call` calls `forward`."""

    def __init__(self, model: TappedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return self.model.taps(inputs)


def differentiate(function: Callable[..., Parameters], in_dims: tuple[int | None, ...], *inputs: Any) -> Parameters:
    """Return ``vmap(function, in_dims)(*inputs)``, telling a model's own limits as a `ModelError`."""
    try:
        mapped: Parameters = vmap(function, in_dims)(*inputs)
    except torch.OutOfMemoryError as error:
        found = str(error).partition(".")[0]
        raise ModelError("`probes.memory_budget`", "fit the device's free memory", found, "a smaller one") from error
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(
            "`model`",
            "be differentiable forwards, sample by sample (torch.func)",
            str(error).strip().splitlines()[0],
            "replacing that part, or `probes.elasticity: null`",
        ) from error
    return mapped


def chunks(
    model: TappedModel, parameters: Parameters, stepped: int, observed: Tensor, memory_budget: int
) -> Iterator[tuple[slice, slice]]:
    """Cut stepped × observed samples into blocks that fit a memory budget, one stepped block after the other.

    A block of c × m holds the c gradients and steps, and c·m rows of activations with their tangents.
    """
    size = next(iter(parameters.values())).element_size()
    budget = memory_budget / size
    weights = 2 * sum(p.numel() for p in parameters.values())
    activations = 3 * activation_count(model, observed[:1])
    columns = int(min(len(observed), max(1, (budget - weights) // activations)))
    rows = int(min(stepped, max(1, budget // (weights + columns * activations))))
    for first in range(0, stepped, rows):
        for start in range(0, len(observed), columns):
            last, stop = min(first + rows, stepped), min(start + columns, len(observed))
            yield slice(first, last), slice(start, stop)


def activation_count(model: nn.Module, inputs: Tensor) -> int:
    """Return how many numbers all leaf modules put out for one sample [1, …]."""
    counts: list[int] = []

    def count(_module: nn.Module, _inputs: object, output: object) -> None:
        counts.append(output.numel() if isinstance(output, Tensor) else 0)

    hooks = [m.register_forward_hook(count) for m in model.modules() if not list(m.children())]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, sum(counts))
