"""Elementwise activations: one derivative for all stepped samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn import functional

from elastic.probes.structured.differences import SMOOTH, mean_slope, relu_difference, softmax_difference, unknown
from elastic.probes.structured.duals import (
    Dual,
    deferred_of,
    differentiated,
    dual,
    factors_of,
    moves,
    plain,
    tangent_of,
)
from elastic.probes.structured.rules import register, rule
from elastic.probes.structured.steps import Steps

RELUS = (functional.relu, torch.relu, Tensor.relu)
PIECEWISE = (
    functional.elu, functional.selu, functional.celu, functional.hardtanh, functional.relu6, functional.hardswish,
    functional.softsign, functional.hardsigmoid, torch.abs, Tensor.abs,
)  # fmt: skip


def activation(function: Any) -> Callable[..., Dual]:
    """Return the rule f'(x) Δx of a function; along a finite step its mean slope replaces f'(x)."""

    def follow(steps: Steps, x: Tensor, *args: Any, **kwargs: Any) -> Dual:
        def of(v: Tensor) -> Tensor:
            output: Tensor = function(v, *args, **kwargs)
            return output

        if steps.size is None and moves(x):
            value, slope = jvp(of, (plain(x),), (torch.ones_like(plain(x)),))[:2]
            return times_slope(x, value, slope)
        moved, gain = factors_of(x)
        if moved is None:
            result = dual(of(plain(x)), None)
        elif function in SMOOTH and smooth(function, *args, **kwargs):
            moved = moved if gain is None else moved * gain
            result = dual(of(plain(x)), moved * mean_slope(of, plain(x), steps.along(moved) * moved))
        else:
            raise unknown(function)
        return result

    return follow


def times_slope(x: Tensor, value: Tensor, slope: Tensor) -> Dual:
    """Return a value whose tangent is that of ``x`` times a slope [n, …], in first order; neither is computed here."""
    pending, gain = deferred_of(x)
    moved = None
    if pending is None:
        moved, gain = factors_of(x)
    return dual(value, moved, slope if gain is None else gain * slope, pending)


def smooth(function: Any, *args: Any, **kwargs: Any) -> bool:
    """Whether an activation has no kink with these options; softplus has one at a low threshold."""
    return function is not functional.softplus or float(kwargs.get("threshold", [*args, 1, 20][1])) >= 20


@rule(functional.leaky_relu)
def leaky_relu(steps: Steps, x: Tensor, negative_slope: float = 0.01, inplace: Literal[False] = False) -> Dual:
    """Leaky ReLU: max(x, 0) − s·max(−x, 0)."""
    value = functional.leaky_relu(plain(x), negative_slope)
    if steps.size is None and moves(x):
        return times_slope(x, value, torch.full_like(value, negative_slope).masked_fill_(plain(x) > 0, 1.0))
    moved, gain = factors_of(x)
    if moved is None:
        result = dual(value, None)
    else:
        moved = moved if gain is None else moved * gain
        size = steps.along(moved)
        change = relu_difference(plain(x), moved, size)
        if negative_slope:
            change = change - negative_slope * relu_difference(-plain(x), -moved, size)
        result = dual(value, change)
    return result


@rule(*RELUS)
def relu(steps: Steps, x: Tensor, inplace: Literal[False] = False) -> Dual:
    """ReLU: the tangent where x > 0."""
    result: Dual = leaky_relu(steps, x, 0.0)
    return result


@rule(functional.softmax, torch.softmax, Tensor.softmax)
def softmax(steps: Steps, x: Tensor, dim: int, dtype: None = None, *, _stacklevel: int = 3) -> Dual:
    """Softmax, whose difference along a finite step has its own form."""
    if dtype is not None or dim is None:
        return NotImplemented
    moved = tangent_of(x)
    if moved is None or steps.size is None:
        followed: Dual = differentiated(torch.softmax, (x, dim), {})
        return followed
    value = torch.softmax(plain(x), dim)
    along = dim if dim < 0 else dim - value.ndim
    return dual(value, softmax_difference(value, moved, steps.along(moved), along))


@rule(torch.rsqrt, Tensor.rsqrt)
def rsqrt(steps: Steps, x: Tensor) -> Dual:
    """Δx^{−1/2} = −Δx / (√x √x' (√x + √x')), with x' = x + ηΔx."""
    moved, root = tangent_of(x), plain(x).sqrt()
    if moved is None:
        return dual(1 / root, None)
    after = root if steps.size is None else (plain(x) + steps.along(moved) * moved).sqrt()
    return dual(1 / root, -moved / (root * after * (root + after)))


for _function in (*PIECEWISE, *SMOOTH):
    register([_function], activation(_function), ("x",))
