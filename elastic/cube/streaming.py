"""Writing a lazily read cube block by block, with a few chunks in memory at a time."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import Store

from elastic.cube.portable import mapped

#: Bytes of a variable that are in memory at once.
BLOCK = 128 * 2**20

#: Indices of a part of a variable.
Region = tuple[slice, ...]


def is_streamed(variable: xr.Variable) -> bool:
    """Return whether a variable's numbers are not in memory, and are written block by block."""
    return not variable._in_memory and variable.dtype.kind == "f"


def without_numbers(tree: xr.DataTree) -> xr.DataTree:
    """Return a tree of the same variables, those that are streamed of NaN alone, which takes no memory."""

    def blank(dataset: xr.Dataset) -> xr.Dataset:
        variables = {name: _blank(v) if is_streamed(v) else v for name, v in dataset.variables.items()}
        coords = {name: variables.pop(name) for name in dataset.coords}
        return xr.Dataset(variables, xr.Coordinates(coords, dataset.xindexes), dataset.attrs)

    return mapped(tree, blank)


def _blank(variable: xr.Variable) -> xr.Variable:
    return xr.Variable(variable.dims, np.broadcast_to(np.array(np.nan, variable.dtype), variable.shape), variable.attrs)


def fill(tree: xr.DataTree, store: Path) -> dict[str, list[bytes]]:
    """Write the numbers of the streamed variables into a store that has their arrays.

    Returns
    -------
    {path: digests}
        Of each variable: what its `regions` hold, so that the store is verified without reading the journals again.
    """
    digests: dict[str, list[bytes]] = {}
    for path, variable in streamed(tree).items():
        # A chunk of NaN only is written too, so that one that is not there was lost.
        array = zarr.open_array(store, path=path, mode="r+").with_config({"write_empty_chunks": True})
        for region in regions(variable.shape, array.chunks, variable.dtype.itemsize):
            numbers = variable[region].values
            digests.setdefault(path, []).append(_digest(numbers))
            array[region] = numbers
    return digests


def _digest(numbers: np.ndarray[Any, Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(numbers).reshape(-1).view(np.uint8).data).digest()


def incomplete(store: Path | Store) -> list[str]:
    """Return the paths of the arrays of a store that lack chunks: Zarr reads those as NaN."""
    members = zarr.open_group(store, mode="r").members(max_depth=None)
    arrays = [(path, array) for path, array in members if isinstance(array, zarr.Array)]
    return [f"/{path}" for path, array in arrays if array.nchunks_initialized != array.nchunks]


def streamed(tree: xr.DataTree) -> dict[str, xr.Variable]:
    """Return the streamed variables of a tree by their paths."""
    return {
        f"{node.path}/{name}".strip("/"): variable
        for node in tree.subtree
        for name, variable in node.to_dataset(inherit=False).variables.items()
        if is_streamed(variable)
    }


def regions(shape: Sequence[int], chunks: Sequence[int], itemsize: int, block: int | None = None) -> Iterator[Region]:
    """Yield parts of an array that are made of whole chunks, of up to ``block`` bytes (`BLOCK`) or one chunk.

    The last dims are taken whole first: a record holds them side by side.

    >>> list(regions((2, 3), (1, 3), 8))
    [(slice(0, 2, None), slice(0, 3, None))]
    >>> [region[2] for region in regions((1, 2**20, 40), (1, 2**20, 1), 8)]
    [slice(0, 16, None), slice(16, 32, None), slice(32, 40, None)]
    """
    lengths = [min(length, chunk) for length, chunk in zip(shape, chunks, strict=True)]
    for i in reversed(range(len(shape))):
        factor = (block or BLOCK) // max(1, math.prod(lengths) * itemsize)
        lengths[i] = min(shape[i], lengths[i] * max(1, factor))
    steps = [range(0, whole, max(1, length)) for whole, length in zip(shape, lengths, strict=True)]
    for starts in itertools.product(*steps):
        yield tuple(
            slice(start, min(start + length, whole))
            for start, length, whole in zip(starts, lengths, shape, strict=True)
        )


def is_same(
    asked: xr.Variable, stored: xr.Variable, chunks: Sequence[int], digests: Sequence[bytes] | None = None
) -> bool:
    """Return whether two variables are the same, read block by block; NaN equals NaN.

    Parameters
    ----------
    asked, stored
        The variables.
    chunks
        Shape of a chunk of the one that was written.
    digests
        Of the asked numbers, as `fill` returned them: they are not read again.
    """
    if (asked.dtype, asked.dims, asked.shape) != (stored.dtype, stored.dims, stored.shape):
        return False
    blocks = regions(asked.shape, chunks, asked.dtype.itemsize)
    if digests is None:
        return all(bool(asked[region].identical(stored[region])) for region in blocks)  # type: ignore[no-untyped-call]
    written = [_digest(stored[region].values) for region in blocks]
    return written == list(digests) and _same_attributes(asked, stored)


def _same_attributes(one: xr.Variable, other: xr.Variable) -> bool:
    blank = [xr.Variable((), 0, variable.attrs) for variable in (one, other)]
    return bool(blank[0].identical(blank[1]))  # type: ignore[no-untyped-call]
