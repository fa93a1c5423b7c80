"""The registry of rules: the effect of each torch function on tangents, and how it reads its weight.

A rule is one function ``(steps, *arguments) -> Dual``. It applies to calls that fit its signature and in which only
the arguments that it names move; for all others, and for functions without a rule, torch differentiates the function
(`duals.differentiated`), which is correct for all and fast enough for most. A rule that does not apply returns
NotImplemented.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elastic.probes.structured.duals import moves
from elastic.probes.written_out import WRITTEN_OUT

Follow = Callable[..., Any]


@dataclass(frozen=True)
class Rule:
    """The effect of a torch function on tangents.

    Attributes
    ----------
    follow
        The rule.
    moving
        Names of the arguments whose tangents it propagates.
    """

    follow: Follow
    moving: tuple[str, ...]
    signature: inspect.Signature

    def __call__(self, steps: Any, *args: Any, **kwargs: Any) -> Any:
        """Follow a call; NotImplemented if the rule does not support an argument, or its tangent."""
        try:
            arguments = self.signature.bind(steps, *args, **kwargs).arguments
        except TypeError:
            return NotImplemented
        if any(moves(value) for name, value in arguments.items() if name not in self.moving and name != "steps"):
            return NotImplemented
        return self.follow(steps, *args, **kwargs)


#: Rules by torch function.
RULES: dict[Any, Rule] = {}
#: Functions whose second argument is a weight with per-sample gradients in two factors (and may have a bias), with
#: what describes how they read it; None where there are no factors.
FACTORED: dict[Any, Follow] = {}
#: Functions expressed by other functions, which have rules.
REWRITES: dict[Any, Follow] = dict(WRITTEN_OUT)


def register(functions: Any, follow: Follow, moving: tuple[str, ...]) -> None:
    """Register a rule for torch functions."""
    entered = Rule(follow, moving, inspect.signature(follow))
    RULES.update(dict.fromkeys(functions, entered))


def rule(*functions: Any, moving: tuple[str, ...] = ("x",), way: Follow | None = None) -> Callable[[Follow], Follow]:
    """Register a rule for torch functions.

    Parameters
    ----------
    functions
        As torch dispatches them: ``F.linear``, ``torch.conv2d``, …
    moving
        Names of the arguments whose tangents the rule propagates.
    way
        Given where the functions read ``(input, weight, …)`` and the rule takes the weight's gradient as factors: a
        function of the weight and what follows it that returns how the weight is read, None where not in factors.
    """

    def enter(function: Follow) -> Follow:
        register(functions, function, moving)
        if way is not None:
            FACTORED.update(dict.fromkeys(functions, way))
        return function

    return enter


def rewrite(*functions: Any) -> Callable[[Follow], Follow]:
    """Register a function that is equivalent in terms of other torch functions."""

    def enter(function: Follow) -> Follow:
        REWRITES.update(dict.fromkeys(functions, function))
        return function

    return enter
