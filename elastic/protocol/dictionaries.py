"""Reading a protocol from a dictionary."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from elastic.errors import ProtocolError
from elastic.protocol.formatting import dotted, format_value
from elastic.protocol.paths import Path
from elastic.protocol.positions import Place, Places
from elastic.protocol.yaml_scalars import UNPRINTABLE
from elastic.protocol.yaml_tree import MAX_KEYS, MAX_LEVELS, Tree

#: Types that a protocol may contain, for messages.
PLAIN = "be plain data: mappings, lists, text, numbers, True, False, None"


def read_mapping(given: Mapping[str, Any]) -> Tree:
    """Copy a dictionary to plain data; arrays and tuples become lists.

    Raises
    ------
    ProtocolError
        For content that a file cannot have: keys that are not strings, other objects, non-finite numbers or numbers of
        more than 64 bits, unprintable characters, more than `MAX_LEVELS` levels.

    Examples
    --------
    >>> import numpy as np
    >>> read_mapping({"axes": {"seed": range(3)}, "optimizer": {"lr": np.float64(0.1)}}).data
    {'axes': {'seed': [0, 1, 2]}, 'optimizer': {'lr': 0.1}}
    >>> read_mapping({"training": {"epochs": float("nan")}})
    Traceback (most recent call last):
    ...
    elastic.errors.ProtocolError: `training.epochs` should be a finite number; found nan; try a number such as 0.1
    """
    places = Places(Place(0, 0, 0, ""))
    data = _plain(given, (), places)
    if not data:
        raise ProtocolError("the protocol", "hold a protocol", "an empty dictionary", "{'extends': 'quickstart', …}")
    return Tree(data, places)


def _plain(value: Any, path: Path, places: Places) -> Any:
    """Convert a value to plain data and register the reading order of its parts."""
    if len(path) > MAX_LEVELS:
        raise _wrong(
            path[:1], f"have at most {MAX_LEVELS} levels", "one more", "a dictionary that does not hold itself"
        )
    if path:
        places.values[path] = places.keys[path] = Place(0, len(places.values) + 1, 1, "")
    if hasattr(value, "tolist"):  # of numpy, or a tensor
        value = value.tolist()
    if isinstance(value, Mapping):
        return _mapping(value, path, places)
    if isinstance(value, list | tuple | range):
        return [_plain(item, (*path, place), places) for place, item in enumerate(value)]
    return _scalar(os.fspath(value) if isinstance(value, os.PathLike) else value, path)


def _mapping(value: Mapping[Any, Any], path: Path, places: Places) -> dict[str, Any]:
    if len(value) > MAX_KEYS:
        raise _wrong(path, f"have at most {MAX_KEYS:,} keys", f"{len(value):,}", "a dictionary of a protocol only")
    for key in value:
        if not isinstance(key, str):
            raise _wrong((*path, str(key)), "be a key that is text", format_value(key), "quotes around it")
        _scalar(key, (*path, key))
    return {key: _plain(item, (*path, key), places) for key, item in value.items()}


def _scalar(value: Any, path: Path) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise _wrong(path, "be a number of at most 64 bits", format_value(value), "a smaller number")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _wrong(path, "be a finite number", format_value(value), "a number such as 0.1")
        return float(value) + 0.0  # -0.0 becomes 0.0, so that equal values have equal digests
    if isinstance(value, str):
        if found := UNPRINTABLE.search(value):
            raise _wrong(path, "be of printable characters", repr(found.group()), "leaving it out")
        return str(value)
    raise _wrong(path, PLAIN, f"{format_value(value)} ({type(value).__name__})", "its name or its number")


def _wrong(path: Path, expected: str, found: str, hint: str) -> ProtocolError:
    return ProtocolError(dotted(path), expected, found, hint)
