"""Optimisers and learning-rate schedules.

An optimiser is a function ``(parameters, *, options) -> torch.optim.Optimizer``. A schedule is a function
``(epoch, epochs, *, options) -> float`` that gives the factor on the learning rate while epoch ``epoch + 1`` of
``epochs`` is trained; as a pure function of the epoch it has no state to lose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from elastic.errors import OptionError
from elastic.registry import registry

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Parameters = Iterable[nn.Parameter]


def optimizer(
    name: str | None = None, *, ridge: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function ``(parameters, *, options) -> torch.optim.Optimizer``.

    ``ridge`` names the option λ, if any, that adds (λ/2)‖θ‖² to the objective over all parameters; a decay that is
    decoupled from the gradient is none.
    """
    return registry("optimizers").register(name, facts=ridge)


def ridge_of(name: str, options: Mapping[str, Any]) -> float:
    """Return the λ of the (λ/2)‖θ‖² that an optimiser adds to the objective, 0 where it adds none.

    >>> ridge_of("sgd", {"lr": 0.1, "weight_decay": 5e-4}), ridge_of("adamw", {"weight_decay": 0.1})
    (0.0005, 0.0)
    """
    entry = registry("optimizers").get(name)
    return float(entry.complete(options)[entry.facts]) if entry.facts else 0.0


def schedule(name: str | None = None) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function ``(epoch, epochs, *, options) -> float``."""
    return registry("schedules").register(name)


def build_optimizer(name: str, options: Mapping[str, Any], parameters: Parameters) -> torch.optim.Optimizer:
    """Return the optimiser of a registered name over the parameters.

    Raises
    ------
    UnknownName, OptionError
        If there is no such optimiser, or its options do not fit together.
    """
    entry = registry("optimizers").get(name)
    try:
        built: torch.optim.Optimizer = entry.function(parameters, **entry.complete(options))
    except ValueError as error:
        raise OptionError(
            f"`optimizer` {name}", "have options that fit together", str(error), f"elastic show {name}"
        ) from None
    return built


@optimizer(ridge="weight_decay")
def sgd(
    parameters: Parameters,
    *,
    lr: Positive,
    momentum: Fraction = 0.0,
    nesterov: bool = False,
    weight_decay: NonNegative = 0.0,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent, with (Nesterov) momentum and L2 weight decay on all parameters."""
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


@optimizer(ridge="weight_decay")
def adam(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
) -> torch.optim.Optimizer:
    """Adam; weight decay is added to the gradient (L2)."""
    return torch.optim.Adam(parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)


@optimizer()
def adamw(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 1e-2,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay."""
    return torch.optim.AdamW(parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)


@schedule()
def constant(epoch: int, epochs: int) -> float:
    """Keep the learning rate as given."""
    return 1.0


@schedule()
def multistep(
    epoch: int,
    epochs: int,
    *,
    milestones: Annotated[list[Positive], Field(min_length=1)],
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1,
) -> float:
    """Multiply the learning rate by gamma at each milestone (below 1: a share of all epochs; else an epoch).

    >>> [multistep(e, 9, milestones=[1 / 3, 6.0], gamma=0.5) for e in (0, 3, 6)]
    [1.0, 0.5, 0.25]
    """
    reached = [m for m in milestones if epoch >= round(m * epochs if m < 1 else m)]
    return gamma ** len(reached)


@schedule()
def cosine(epoch: int, epochs: int, *, final: Annotated[float, Field(ge=0, le=1)] = 0.0) -> float:
    """Fall along half a cosine from 1 to ``final``, which the epoch after the last would reach.

    >>> [round(cosine(e, 4), 3) for e in (0, 2, 4)]
    [1.0, 0.5, 0.0]
    """
    return final + (1 - final) * (1 + math.cos(math.pi * epoch / epochs)) / 2
