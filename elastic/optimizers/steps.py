"""A step of an optimizer, taken without loading torch's compiler."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import optimizer as torch_optimizer

#: Names of the functions that torch puts around the arithmetic of a step: hooks and the profiler, and the mode of
#: gradients beside two calls to the compiler.
_AROUND = ("wrapper", "_use_grad")


def step_of(optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
    """Return a function that takes a step of an optimizer that asks for no closure, as ``optimizer.step()`` does.

    The step of an optimizer of torch loads the compiler, which takes a second and more. Until something else has loaded
    it, and while no hooks are registered, the same arithmetic is called directly.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> weight.grad = torch.ones(1)
    >>> step_of(torch.optim.SGD([weight], lr=0.5))()
    >>> weight.item()
    0.5
    """
    arithmetic = arithmetic_of(optimizer)

    def step() -> Any:
        if arithmetic is None or "torch._dynamo" in sys.modules or _has_hooks(optimizer):
            return optimizer.step()
        with torch.no_grad():
            return arithmetic(optimizer)

    return step


def arithmetic_of(optimizer: torch.optim.Optimizer) -> Callable[[Any], Any] | None:
    """Return what torch's own ``step`` of an optimizer does without gradients; None where that is not known.

    >>> arithmetic_of(torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])).__module__
    'torch.optim.adam'
    """
    function: Any = type(optimizer).step
    names = []
    while (code := getattr(function, "__code__", None)) is not None and code.co_name in _AROUND:
        if function.__globals__.get("__name__") != torch_optimizer.__name__ or not hasattr(function, "__wrapped__"):
            return None
        names.append(code.co_name)
        function = function.__wrapped__
    differentiable = optimizer.defaults.get("differentiable", True)
    return function if tuple(names) == _AROUND and not differentiable else None


def _has_hooks(optimizer: Any) -> bool:
    """Return whether hooks of a step are registered; where torch keeps them elsewhere, there may be some."""
    own = (getattr(optimizer, name, True) for name in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"))
    names = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
    return any(own) or any(getattr(torch_optimizer, name, True) for name in names)
