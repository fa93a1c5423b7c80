"""The registry of rules: what each torch function does to tangents, and how it reads its weight.

A rule is one function ``(steps, *arguments) -> Dual``. Functions without a rule are differentiated by torch
(`duals.differentiated`), which is right for all and fast enough for most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

Rule = Callable[..., Any]

#: Rules by torch function.
RULES: dict[Any, Rule] = {}
#: Functions whose second argument is a weight with per-sample gradients in two factors (and may have a bias).
FACTORED: set[Any] = set()
#: Functions written out in other functions, which have rules.
REWRITES: dict[Any, Rule] = {}
#: Functions that work in place, with the function that does not.
IN_PLACE: dict[Any, Any] = {}


def rule(*functions: Any, factored: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule for torch functions.

    Parameters
    ----------
    functions
        As torch dispatches them: ``F.linear``, ``torch.conv2d``, …
    factored
        Whether the functions read ``(input, weight, bias)``, and the rule takes the weight's gradient as factors.
    """

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(functions, function))
        if factored:
            FACTORED.update(functions)
        return function

    return enter


def rewrite(*functions: Any) -> Callable[[Rule], Rule]:
    """Register a function that says the same in other torch functions."""

    def enter(function: Rule) -> Rule:
        REWRITES.update(dict.fromkeys(functions, function))
        return function

    return enter


def _in_place_methods() -> dict[Any, Any]:
    names = ["relu", "add", "sub", "mul", "div", "tanh", "sigmoid", "neg", "clamp", "exp", "square", "sqrt"]
    known = {getattr(Tensor, f"{name}_"): getattr(Tensor, name) for name in names}
    operators = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}
    return known | {getattr(Tensor, f"__{o}__"): getattr(Tensor, name) for o, name in operators.items()}


IN_PLACE.update(_in_place_methods())
