"""What an optimiser and a schedule are, and how one is added.

An optimiser is a function ``(parameters, *, options) -> torch.optim.Optimizer``. A schedule is a function
``(epoch, epochs, *, options) -> float`` that gives the factor on the learning rate while epoch ``epoch + 1`` of
``epochs`` is trained; as a pure function of the epoch it has no state to lose.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from elastic.errors import ElasticError, ModelError, OptionError
from elastic.protocol.formatting import error_line
from elastic.registry import Entry, nearest, registry
from elastic.uncompiled import compiler_not_loaded_by

#: Rates and decays up to here can be multiplied in float32.
LARGEST = 1e30

Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Parameters = Iterable[nn.Parameter]

compiler_not_loaded_by(torch.optim.Optimizer)


@dataclass(frozen=True)
class OptimizerFacts:
    """Facts of an optimiser.

    Attributes
    ----------
    ridge
        Option λ that adds (λ/2)‖θ‖² to the objective over all parameters; None: none. A decay that is decoupled from
        the gradient is none.
    momentum
        Option μ, or μ itself, of an optimiser whose step is the learning rate times Σ_s μ^{t−s} g_s, a sum of
        gradients; None: its step is something else (Adam, L-BFGS), so that no account by single steps can follow it.
    """

    ridge: str | None = None
    momentum: str | float | None = None


def optimizer(
    name: str | None = None, *, ridge: str | None = None, momentum: str | float | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function ``(parameters, *, options) -> torch.optim.Optimizer``, with its `OptimizerFacts`.

    Raises
    ------
    ElasticError
        If ``ridge`` or ``momentum`` names an option that the function does not have.
    """

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        entry = Entry("optimizers", name or function.__name__, function)
        options = list(entry.option_names)
        for fact, option in (("ridge", ridge), ("momentum", momentum)):
            if isinstance(option, str) and option not in options:
                hint = nearest(option, options, fallback="one of them, or None")
                field = f"`{fact}` of the optimizer `{entry.name}`"
                raise ElasticError(field, "name one of its options", repr(option), hint)
        return registry("optimizers").register(name, OptimizerFacts(ridge, momentum))(function)

    return enter


def ridge_of(name: str, options: Mapping[str, Any]) -> float:
    """Return the λ of the (λ/2)‖θ‖² that an optimiser adds to the objective, 0 where it adds none.

    >>> ridge_of("sgd", {"lr": 0.1, "weight_decay": 5e-4}), ridge_of("adamw", {"weight_decay": 0.1})
    (0.0005, 0.0)
    """
    entry = registry("optimizers").get(name)
    return float(entry.complete(options)[entry.facts.ridge]) if entry.facts.ridge else 0.0


def momentum_of(name: str, options: Mapping[str, Any]) -> float | None:
    """Return the momentum of an optimiser whose steps are sums of gradients, None for another one.

    >>> momentum_of("sgd", {"lr": 0.1, "momentum": 0.9}), momentum_of("gradient_flow", {"lr": 0.1})
    (0.9, 0.0)
    >>> momentum_of("rmsprop", {"momentum": 0.9}) is None             # it divides gradients by their mean square
    True
    """
    entry = registry("optimizers").get(name)
    momentum = entry.facts.momentum
    return float(entry.complete(options)[momentum]) if isinstance(momentum, str) else momentum


def summing_gradients() -> list[str]:
    """Return the names of the optimisers whose steps are sums of gradients, in alphabetical order.

    >>> summing_gradients()
    ['gradient_flow', 'sgd']
    """
    return sorted(entry.name for entry in registry("optimizers") if entry.facts.momentum is not None)


def schedule(name: str | None = None) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function ``(epoch, epochs, *, options) -> float``."""
    return registry("schedules").register(name)


def build_optimizer(name: str, options: Mapping[str, Any], parameters: Parameters) -> torch.optim.Optimizer:
    """Return the optimiser of a registered name over the parameters.

    Raises
    ------
    UnknownName, OptionError
        If there is no such optimiser, or its options do not fit together.
    ModelError
        If its function fails, or returns something else.
    """
    entry = registry("optimizers").get(name)
    complete = entry.complete(options)
    try:
        built = entry.function(parameters, **complete)
    except ElasticError:
        raise
    except ValueError as error:
        raise OptionError(
            f"`optimizer` {name}", "have options that fit together", str(error), f"elastic show {name}"
        ) from None
    except Exception as error:  # of the user's code
        found = error_line(error)
        raise ModelError(f"optimizer `{name}`", "be built", found, "mending its function") from error
    if not isinstance(built, torch.optim.Optimizer):
        hint = "returning one (a class of its own inherits from it)"
        raise ModelError(f"optimizer `{name}`", "be a torch.optim.Optimizer", type(built).__name__, hint)
    if not all("lr" in group for group in built.param_groups):
        hint = "defaults={'lr': lr} in its class"
        raise ModelError(f"optimizer `{name}`", "have a learning rate in each group", "no 'lr'", hint)
    return built


def needs_objective(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether an optimiser's step evaluates the objective itself, by a closure, as line searches do.

    >>> weight = nn.Parameter(torch.zeros(1))
    >>> needs_objective(torch.optim.SGD([weight], lr=1.0)), needs_objective(torch.optim.LBFGS([weight]))
    (False, True)
    """
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
