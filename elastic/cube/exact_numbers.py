"""Exact conversion of real numbers to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elastic.cube.record import Array

#: Types of one real number.
REAL = (int, float, np.integer, np.floating)


def held(values: ArrayLike, dtype: np.dtype[Any]) -> Array:
    """Convert real numbers to an array of a floating-point dtype that represents all of them exactly.

    Rounding could make two different replays equal, and change counts above 2**53.

    Raises
    ------
    ValueError
        If the type does not hold one of them, or they are no real numbers.

    Examples
    --------
    >>> held([np.float32(0.5), 2**53], np.dtype("<f8")).tolist()
    [0.5, 9007199254740992.0]
    >>> held(2**53 + 1, np.dtype("<f8"))
    Traceback (most recent call last):
    ...
    ValueError: 9007199254740993
    """
    given = _as_given(values)
    if given.dtype.kind == "f" and np.can_cast(given.dtype, dtype):  # as good as always, and without a look at each
        return np.asarray(given, dtype=dtype, order="C")
    numbers = [one.item() if isinstance(one, np.integer) else one for one in given.ravel().tolist()]
    if given.dtype.kind not in "biufO" or not all(isinstance(one, REAL) for one in numbers):
        raise ValueError(f"{given.dtype} {numbers[:3]}")
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(given, dtype=dtype, order="C")
    except OverflowError:
        raise ValueError("a number of more than 1024 bits") from None
    for one, stored in zip(numbers, array.ravel().tolist(), strict=True):
        if one != stored and one == one:  # Python compares an integer with a float exactly; NaN is not itself
            raise ValueError(f"{one}")
    return array


def _as_given(values: ArrayLike) -> Array:
    """Return values as an array, Python's own numbers as themselves: NumPy would round an integer among floats."""
    if isinstance(values, int | float | list | tuple):
        own = np.asarray(values, dtype=object)
        if all(isinstance(one, REAL) for one in own.ravel()):
            return own
    return np.asarray(values)
