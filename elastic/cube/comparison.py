"""In what two records of one epoch differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from elastic.cube.record import Array


def differences(old: Mapping[str, Array], new: Mapping[str, Array]) -> str:
    """Return which arrays differ and by how much, NaN being equal to NaN.

    >>> differences({"a": np.array([1.0, 2.0]), "b": np.zeros(1)}, {"a": np.array([1.0, 2.5]), "b": np.zeros(1)})
    'a other by up to 0.5'
    """
    told = [f"{key} in one of them only" for key in sorted(old.keys() ^ new.keys())][:3]
    for key in sorted(old.keys() & new.keys()):
        if old[key].shape != new[key].shape:
            told.append(f"{key} of another shape")
        elif not np.array_equal(old[key], new[key], equal_nan=True):
            with np.errstate(invalid="ignore"):  # inf - inf
                apart = np.abs(new[key].astype(float) - old[key].astype(float))
            finite = apart[np.isfinite(apart) & (apart > 0)]
            told.append(f"{key} other by up to {finite.max():.3g}" if finite.size else f"{key} finite or not")
    return ", ".join(told) or "equal numbers in other bytes (the sign of a zero or of a NaN)"
