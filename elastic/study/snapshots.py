"""Consistent reads of a study while other processes record it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import xarray as xr

from elastic.cube import is_sealed, open_sealed, read_manifest
from elastic.cube.names import HOW_TO_OPEN
from elastic.errors import StudyError

#: Most attempts to read a study while it changes.
ATTEMPTS = 5

Found = TypeVar("Found")


def settled(read: Callable[[], Found], state: Callable[[], str]) -> Found:
    """Return what is read from a state that is the same before and after; after the last attempt it may differ.

    Parameters
    ----------
    read
        Reads; its exceptions count only if nothing changed meanwhile (another process may remove a run).
    state
        Returns a key of the study's state.

    Examples
    --------
    >>> states, reads = iter("aabb"), iter([1, 2])
    >>> settled(lambda: next(reads), lambda: next(states)), settled(lambda: 3, lambda: "c")
    (1, 3)
    >>> states, reads = iter("abb"), iter([1, 2])
    >>> settled(lambda: next(reads), lambda: next(states))
    2
    """
    before = state()
    for attempt in range(ATTEMPTS):
        is_last = attempt == ATTEMPTS - 1
        try:
            value = read()
        except StudyError:
            after = state()
            if after == before or is_last:
                raise
        else:
            after = state()
            if after == before or is_last:
                return value
        before = after
    raise AssertionError("the last attempt returns or raises")


def opened_seal(folder: Path, digest: str) -> xr.DataTree | None:
    """Return the sealed cube of this digest, None if there is none; its numbers are read lazily.

    If another process seals another cube while this one is opened, that one is opened. Once a cube is open, its numbers
    stay its own, or reading them raises (`elastic.cube.open_sealed`).

    Raises
    ------
    Damaged
        If a file is damaged; also later, when numbers are read.
    """

    def opened() -> xr.DataTree | None:
        sealed = open_sealed(folder) if is_sealed(folder) else None
        if sealed is None or sealed.attrs.get("digest") != digest:
            return None
        sealed.attrs = {**HOW_TO_OPEN, **sealed.attrs}  # which earlier releases did not write
        return sealed

    return settled(opened, lambda: str(read_manifest(folder)))
