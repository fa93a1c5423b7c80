"""Attributes that both netCDF and Zarr can store, so that xarray reads a cube back unchanged from either.

netCDF stores text, numbers, and lists of one type, and does not distinguish a list of one from its element. JSON, used
by Zarr, has no infinity. `storable` returns values that both preserve.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Lower and upper bound of a variable. (In the CF conventions ``bounds`` names another variable: xarray fails on it.)
BOUNDS = "value_bounds"

#: Name in cubes before 0.1.0: ``bounds``, a list of numbers that may include "-inf" and "inf".
EARLIER = "bounds"


def bounds_attribute(low: float | None, high: float | None) -> list[str]:
    """Return bounds in the format of the attribute `BOUNDS`: two strings for ``float``; None is unbounded.

    Strings, because netCDF cannot mix numbers and strings in a list, and JSON has no infinity.

    >>> bounds_attribute(0, None), bounds_attribute(None, 1.5)
    (['0.0', 'inf'], ['-inf', '1.5'])
    """
    return [repr(-math.inf if low is None else float(low)), repr(math.inf if high is None else float(high))]


def bounds_of(attrs: Mapping[Any, Any]) -> tuple[float, float] | None:
    """Return the bounds in a variable's attributes, or None.

    >>> bounds_of({"value_bounds": ["0.0", "inf"]}), bounds_of({"value_bounds": np.array([0.0, 1.0])}), bounds_of({})
    ((0.0, inf), (0.0, 1.0), None)
    """
    if BOUNDS not in attrs:
        return None
    low, high = attrs[BOUNDS]
    return float(low), float(high)


def storable(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Convert attributes to values that netCDF and Zarr can store; already valid ones stay unchanged.

    A list of one becomes its element; ``bounds`` becomes ``value_bounds``; numbers that JSON or int64 lack become text,
    and everything else (mappings, None, booleans, nested lists or lists of several types) JSON text.

    >>> storable({"seeds": [0, 1], "title": "µ", "versions": {"numpy": "2.4"}, "lr": None})
    {'seeds': [0, 1], 'title': 'µ', 'versions': '{"numpy": "2.4"}', 'lr': 'null'}
    >>> storable({"bounds": [0.0, "inf"], "digests": ("ab12",)})
    {'value_bounds': ['0.0', 'inf'], 'digests': 'ab12'}
    """
    plain = {str(name): _plain(value) for name, value in attrs.items()}
    # A string names a variable, as CF means it; elastic itself never writes one.
    if isinstance(plain.get(EARLIER), list) and len(plain[EARLIER]) == 2:
        known = {BOUNDS: bounds_attribute(*map(float, plain[EARLIER]))}
        plain = {BOUNDS if name == EARLIER else name: value for name, value in plain.items()} | known
    return {name: _storable(value) for name, value in plain.items()}


def _plain(value: Any) -> Any:
    """Convert NumPy arrays and numbers to Python's, and tuples to lists."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _storable(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list):
        (value,) = value
    if isinstance(value, list):
        kinds = {type(part) for part in value}
        held = len(kinds) == 1 and all(map(_held, value))
        return value if held else json.dumps(value, ensure_ascii=False)
    if _held(value):
        return value
    beyond = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if beyond else json.dumps(value, ensure_ascii=False)


def _held(value: Any) -> bool:
    """Return whether one value is text, an int64, or a finite number."""
    if isinstance(value, str):
        return True
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return type(value) is float and math.isfinite(value)
