"""Saving and restoring NumPy arrays and random generators."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def restorer_of(value: Any, values: bool) -> Callable[[], None] | None:
    """Return a function that restores an array (if ``values``) or a random generator; None for other objects."""
    if isinstance(value, np.ndarray):
        return _array_restorer(value) if values else None
    return _generator_restorer(value)


def _array_restorer(array: Any) -> Callable[[], None]:
    saved = array.copy()

    def restore() -> None:
        if array.dtype.hasobject or array.tobytes() != saved.tobytes():
            array[...] = saved

    return restore


def _generator_restorer(value: Any) -> Callable[[], None] | None:
    """Return a function that restores a random generator; None for other objects."""
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: _discard(value.set_state(state))
    if isinstance(value, random.Random):
        saved = value.getstate()
        return lambda: value.setstate(saved)
    bits = getattr(value, "bit_generator", value) if isinstance(value, np.random.Generator) else value
    if isinstance(value, np.random.RandomState):
        former = value.get_state()
        return lambda: value.set_state(former)
    if isinstance(bits, np.random.BitGenerator):
        numbers = copy.deepcopy(bits.state)
        return lambda: setattr(bits, "state", numbers)
    return None


def _discard(_: object) -> None:
    """Discard a value."""
