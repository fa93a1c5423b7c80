"""Reading a study while other processes record it: numbers that belong together, or another attempt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import xarray as xr

from elastic.cube import is_sealed, open_sealed, read_manifest
from elastic.errors import StudyError

#: How often a study is read anew while it changes.
ATTEMPTS = 5

Found = TypeVar("Found")


def settled(read: Callable[[], Found], state: Callable[[], str]) -> Found:
    """Return what is read, from a state that is the same before and after; of the last attempt it may be another.

    Parameters
    ----------
    read
        Reads; what it raises counts only if nothing changed meanwhile (another process may remove a run).
    state
        Tells one state of the study from another.

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
            found = read()
        except StudyError:
            after = state()
            if after == before or is_last:
                raise
        else:
            after = state()
            if after == before or is_last:
                return found
        before = after
    raise AssertionError("the last attempt returns or raises")


def loaded_seal(folder: Path, digest: str) -> xr.DataTree | None:
    """Return the sealed cube of this digest with all its numbers; None if there is none, or it is replaced meanwhile.

    The numbers are read at once: read later, they could be those of a cube that another process has sealed since.
    """
    manifest = read_manifest(folder)
    if not manifest:
        return None
    try:
        sealed = open_sealed(folder)
        if sealed.attrs.get("digest") != digest:
            return None
        loaded = sealed.copy().load()
    except Exception:  # a file that vanishes makes xarray and Zarr raise nearly anything
        if read_manifest(folder) == manifest and is_sealed(folder):
            return open_sealed(folder)  # damaged: whoever reads the damaged numbers is told
        return None
    return loaded if read_manifest(folder) == manifest else None
