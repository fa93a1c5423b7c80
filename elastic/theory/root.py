"""Roots of functions of one variable."""

from __future__ import annotations

from collections.abc import Callable


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the root between two numbers at which the function has opposite signs, to rounding (Brent's method).

    >>> round(root(lambda x: x**2 - 2, 0.0, 2.0) ** 2, 12)
    2.0
    """
    from scipy.optimize import brentq  # takes a tenth of a second, which most studies need not spend

    return float(brentq(function, low, high, xtol=1e-16, rtol=1e-14))  # type: ignore[no-untyped-call]
