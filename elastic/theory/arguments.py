"""Validation of the arguments of closed forms."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from elastic.errors import DegenerateInput, OptionError
from elastic.theory.optimum import FloatArray


def whole_number(name: str, value: int, *, least: int) -> int:
    """Return an integer of at least ``least``.

    Raises
    ------
    OptionError
        If it is not an integer.
    DegenerateInput
        If it is below ``least``.

    Examples
    --------
    >>> whole_number("classes", 1, least=2)
    Traceback (most recent call last):
    ...
    elastic.errors.DegenerateInput: `classes` should be at least 2; found 1; try 2
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionError(f"`{name}`", "be an integer", repr(value), str(max(least, 10))) from None
    if number < least:
        raise DegenerateInput(f"`{name}`", f"be at least {least}", str(number), str(least))
    return number


def class_counts(per_class: Sequence[int]) -> FloatArray:
    """Return the numbers of samples of each class [K], all at least 1, with K at least 2.

    Raises
    ------
    OptionError
        If they are not integers.
    DegenerateInput
        For fewer than two classes, or a class without samples.
    """
    counts = listed("per_class", per_class, "one number of samples a class", "[10, 10]")
    if len(counts) < 2:
        raise DegenerateInput("`per_class`", "name at least 2 classes", f"{len(counts)}", "[10, 10]")
    return np.array([whole_number(f"per_class[{k}]", n, least=1) for k, n in enumerate(counts)], dtype=np.float64)


def listed(name: str, values: Sequence[Any], meaning: str, hint: str) -> list[Any]:
    """Return a sequence's values.

    Raises
    ------
    OptionError
        If it is not a sequence.
    """
    try:
        return list(values)
    except TypeError:
        raise OptionError(f"`{name}`", f"be {meaning}", repr(values), hint) from None


def real_number(name: str, value: float, *, most: float = math.inf, above_zero: bool = False) -> float:
    """Return a finite number between 0 (included or not) and ``most``.

    Raises
    ------
    OptionError
        If it is anything else.

    Examples
    --------
    >>> real_number("lambda_w", -1.0)
    Traceback (most recent call last):
    ...
    elastic.errors.OptionError: `lambda_w` should be a number of at least 0; found -1.0; try 0.01
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number) and 0 <= number <= most and not (above_zero and number == 0):
        return number
    expected = f"be a number {'above 0' if above_zero else 'of at least 0'}"
    raise OptionError(
        f"`{name}`", expected + (f" and at most {most:g}" if most < math.inf else ""), repr(value), "0.01"
    )
