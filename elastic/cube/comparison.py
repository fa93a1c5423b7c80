"""Comparison of two records of one epoch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from elastic.cube.record import Array

#: Most differing arrays that a message names.
MOST_NAMED = 4
#: Difference of movements in float32, relative to the largest of an array, that is their rounding.
ROUNDED = 1e-5


def differences(old: Mapping[str, Array], new: Mapping[str, Array]) -> str:
    """Return which arrays differ and by how much, NaN being equal to NaN; the scores of training come first.

    >>> differences({"a": np.array([1.0, 2.0]), "b": np.zeros(1)}, {"a": np.array([1.0, 2.5]), "b": np.zeros(1)})
    'a other by up to 0.5'
    >>> differences({f"collapse/{i}": np.zeros(1) for i in range(9)}, {f"collapse/{i}": np.ones(1) for i in range(9)})
    'collapse/0 other by up to 1, ..., collapse/3 other by up to 1, and 5 more'
    """
    lines = [f"{key} in one of them only" for key in sorted(old.keys() ^ new.keys())][:3]
    # Where training itself went another way, loss and accuracy say so best, and nearly every other variable follows.
    for key in sorted(old.keys() & new.keys(), key=lambda key: (not key.startswith("training/"), key)):
        if old[key].shape != new[key].shape:
            lines.append(f"{key} of another shape")
        elif not np.array_equal(old[key], new[key], equal_nan=True):
            with np.errstate(invalid="ignore"):  # inf - inf
                apart = np.abs(new[key].astype(float) - old[key].astype(float))
            finite = apart[np.isfinite(apart) & (apart > 0)]
            lines.append(f"{key} other by up to {finite.max():.3g}" if finite.size else f"{key} finite or not")
    if len(lines) > MOST_NAMED + 1:
        lines = [*lines[:MOST_NAMED], f"and {len(lines) - MOST_NAMED} more"]
    return ", ".join(lines) or "equal numbers in other bytes (the sign of a zero or of a NaN)"


def same_but_for_rounding(old: Mapping[str, Array], new: Mapping[str, Array]) -> bool:
    """Whether two records differ only by rounding errors of movements, which another release may sum in another order.

    Variables of other groups must be bit-identical.

    >>> old = {"elasticity/response": np.array([1.0, np.nan]), "training/loss": np.ones(1)}
    >>> same_but_for_rounding(old, old | {"elasticity/response": np.array([1.0000001, np.nan])})
    True
    >>> same_but_for_rounding(old, old | {"training/loss": np.array([1.0000001])})
    False
    """
    return old.keys() == new.keys() and all(_rounded_alike(key, old[key], new[key]) for key in old)


def _rounded_alike(key: str, old: Array, new: Array) -> bool:
    if old.tobytes() == new.tobytes():
        return True
    if not key.startswith("elasticity/") or old.shape != new.shape or old.dtype != new.dtype:
        return False
    known = np.isfinite(old)
    if not np.array_equal(np.where(known, np.nan, old), np.where(known, np.nan, new), equal_nan=True):
        return False
    # The error of an engine is rounding itself. Without a finite number only signs of NaNs are left to differ.
    size = 1.0 if key == "elasticity/probe_error" else np.abs(old[known]).max(initial=0.0)
    return bool(np.abs(old[known] - new[known]).max(initial=0.0) <= ROUNDED * size)
