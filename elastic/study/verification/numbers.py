"""Comparison of the numbers of the sealed cube with those of the journals, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.manifest import CUBE
from elastic.study.verification.findings import Finding, State

#: Most bytes of one variable in memory, of the cube and of the journals each.
PART = 64 * 2**20


def compared(sealed: xr.DataTree, assembled: xr.DataTree) -> Iterator[Finding]:
    """Yield the variables in which a sealed cube differs from its journals."""
    groups = {node.path: node.to_dataset(inherit=False) for node in sealed.subtree}
    expected = {node.path: node.to_dataset(inherit=False) for node in assembled.subtree}
    for path in sorted(groups.keys() | expected.keys()):
        one, other = groups.get(path, xr.Dataset()), expected.get(path, xr.Dataset())
        # A later release may describe layers by further coordinates.
        for name in sorted(map(str, one.variables.keys() | other.data_vars.keys() | other.indexes.keys())):
            wrong = _difference(one.variables.get(name), other.variables.get(name))
            if wrong:
                yield Finding(f"{CUBE}{path.rstrip('/')}/{name}", State.DAMAGED, wrong)


def _difference(stored: xr.Variable | None, expected: xr.Variable | None) -> str:
    """Return how a variable of the cube differs from the journals', "" if it does not."""
    if stored is None or expected is None:
        return "a variable that the journals do not hold" if expected is None else "no such variable"
    if (stored.dims, stored.shape) != (expected.dims, expected.shape):
        return f"other dims than the journals: {dict(stored.sizes)} for {dict(expected.sizes)}"
    for part in parts(stored.shape, stored.dtype.itemsize):
        if not _equal(np.asarray(stored[part].values), np.asarray(expected[part].values)):
            return "other numbers than the journals"
    return ""


def _equal(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f"))


def parts(shape: Sequence[int], itemsize: int, limit: int = PART) -> Iterator[tuple[slice, ...]]:
    """Yield slices that together cover an array, each of about this many bytes; the first dims are cut first.

    >>> list(parts((4, 2), 8, limit=32))
    [(slice(0, 2, None), slice(0, 2, None)), (slice(2, 4, None), slice(0, 2, None))]
    """
    lengths = [max(1, length) for length in shape]
    for dim, length in enumerate(shape):
        rest = prod(shape[dim + 1 :]) * itemsize
        lengths[dim] = max(1, min(length, limit // max(1, rest)))
        if lengths[dim] > 1 or rest <= limit:
            break
    steps = [range(0, length, step) or range(1) for length, step in zip(shape, lengths, strict=True)]
    for starts in product(*steps):
        yield tuple(
            slice(start, min(start + step, length)) for start, step, length in zip(starts, lengths, shape, strict=True)
        )
