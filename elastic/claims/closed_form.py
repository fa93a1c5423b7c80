"""Claims against closed forms: training ends at the optimum that theory predicts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field, JsonValue

from elastic import theory as theories
from elastic.analysis.logarithm import log
from elastic.claims.contract import Epoch, Evidence, Layer, Selection, Source, Split, Variable, Where, claim
from elastic.errors import ElasticError, OptionError
from elastic.registry import nearest


@claim(
    source="zhu2021geometric",
    sentence="{variable} comes within {tolerance:g} of {factor:g} × {quantity} of {theory}{in_layer} "
    "({split}, {at_epoch}){where}",
)
def meets_theory(
    selection: Selection,
    *,
    variable: Variable,
    theory: Annotated[str, Field(description="Function of elastic.theory.", examples=["cross_entropy_ufm"])],
    arguments: Annotated[
        dict[str, JsonValue], Field(description="Arguments of that function.", examples=[{"classes": 10}])
    ],
    quantity: Annotated[str, Field(description="Field of what the function returns.", examples=["loss"])] = "loss",
    factor: Annotated[float, Field(description="Factor on the quantity, as 1/√n.")] = 1.0,
    tolerance: Annotated[float, Field(gt=0, lt=1)],
    split: Split = "train",
    layer: Layer = None,
    epoch: Epoch = -1,
    where: Where = None,
    source: Source = "zhu2021geometric",
) -> Evidence:
    """A variable reaches the optimum that theory gives in closed form.

    Effect: log of the variable over the optimum, shown as their ratio. Where the optimum is 0 the effect is the
    variable itself, and the tolerance is absolute.

    Parameters
    ----------
    theory
        Function of `elastic.theory` that gives the optimum, ``elastic.theory.<theory>(**arguments).<quantity>``.
    arguments
        Arguments of that function.
    quantity
        Field of what it returns. An array is compared with the components of the variable in descending order.
    tolerance
        Greatest distance from the optimum, relative to it.

    Raises
    ------
    NotMeasured
        If the variable or the epoch was not measured.
    OptionError
        If there is no such variable, theory, argument, quantity, layer or setting.
    """
    values = selection.at_epoch(selection.read(variable))
    optimum = _along(values, factor * np.sort(_optimum(theory, arguments, quantity))[::-1], where or {})
    if bool((optimum == 0).all()):
        return Evidence(values - optimum, (-tolerance, tolerance), f"{variable} (optimum 0)")
    if bool((optimum == 0).any()):
        hint = "`where: {component: …}`, one claim for those that are 0"
        raise OptionError("`quantity`", "be all 0 or nowhere 0", repr(optimum.values.tolist()), hint)
    region = (math.log1p(-tolerance), math.log1p(tolerance))
    return Evidence(log(values / optimum), region, f"{variable} over its optimum", math.exp)


def _optimum(theory: str, arguments: dict[str, Any], quantity: str) -> np.ndarray:
    """Return the numbers that a theory predicts, as a one-dimensional array."""
    known = [name for name in theories.__all__ if inspect.isfunction(getattr(theories, name))]
    if theory not in known:
        hint = nearest(theory, known, fallback=f"one of {', '.join(known)}")
        raise OptionError("`theory`", "be a function of elastic.theory", repr(theory), hint)
    function = getattr(theories, theory)
    _check_arguments(theory, function, arguments)
    try:
        optimum = function(**arguments)
    except ElasticError as error:  # about the argument of the theory: locate it in the claim
        raise OptionError(_in_arguments(error, arguments), error.expected, error.found, error.hint) from error
    numbers = getattr(optimum, quantity, None)
    if not _is_numbers(numbers):
        returned = [
            name for name in getattr(optimum, "__dataclass_fields__", {}) if _is_numbers(getattr(optimum, name))
        ]
        hint = nearest(quantity, returned, fallback=f"one of {', '.join(returned)}")
        raise OptionError("`quantity`", f"be a number or numbers that {theory} returns", repr(quantity), hint)
    return np.atleast_1d(np.asarray(numbers, dtype=float))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray) and np.ndim(value) <= 1


def _in_arguments(error: ElasticError, arguments: Mapping[str, Any]) -> str:
    """Return the field of an error of a theory, as an option of the claim.

    >>> _in_arguments(ElasticError("`per_class[1]`", "be at least 1", "0", "1"), {"per_class": [5, 0]})
    '`arguments.per_class`'
    """
    name = error.field.strip("`").split("[")[0]
    return f"`arguments.{name}`" if name in arguments else "`arguments`"


def _check_arguments(theory: str, function: Any, arguments: dict[str, Any]) -> None:
    known = list(inspect.signature(function).parameters)
    for name in arguments:
        if name not in known:
            hint = nearest(name, known, fallback=f"one of {', '.join(known)}")
            raise OptionError(f"`arguments.{name}`", f"be an argument of {theory}", repr(name), hint)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is parameter.empty and parameter.name not in arguments:
            hint = f"adding it (elastic.theory.{theory})"
            raise OptionError(f"`arguments.{parameter.name}`", f"be given for {theory}", "nothing", hint)


def _along(values: xr.DataArray, optimum: np.ndarray, where: Mapping[str, Any]) -> xr.DataArray:
    """Return the optimum along the variable's components, or at the component in ``where``."""
    if len(optimum) == 1:
        return xr.DataArray(optimum[0])
    component = where.get("component")
    if isinstance(component, int) and 1 <= component <= len(optimum):
        return xr.DataArray(optimum[component - 1])
    if values.sizes.get("component") != len(optimum):
        found, hint = f"{len(optimum)} numbers", "a variable with as many components, as class_mean_spectrum"
        raise OptionError("`quantity`", "be one number a component of the variable", found, hint)
    return xr.DataArray(optimum, dims="component")
