"""Paths into plain data: ``optimizer.schedule.gamma``."""

from __future__ import annotations

from typing import Any

from elastic.errors import ProtocolError
from elastic.protocol.formatting import dotted, format_value

#: Keys and list positions from the root of a protocol to one of its parts.
Path = tuple[str | int, ...]


def get(data: Any, path: Path) -> Any:
    """Return the value at a path in plain data.

    Raises
    ------
    KeyError
        If there is none.

    Examples
    --------
    >>> get({"model": {"widths": [8, 16]}}, ("model", "widths", "1"))
    16
    """
    for part in path:
        data = data[_slot(data, part)]
    return data


def actual(data: Any, path: Path) -> Path:
    """Convert list positions in a path to integers.

    >>> actual({"widths": [8, 16]}, ("widths", "1"))
    ('widths', 1)
    """
    real: Path = ()
    for part in path:
        real = (*real, _slot(data, part))
        data = data[real[-1]]
    return real


def put(data: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return a copy of the data with another value at a path; only containers on the path are copied.

    Missing mappings are created; only existing items of a list can be replaced.

    Raises
    ------
    ProtocolError
        If the path passes through a value that is neither a mapping nor a list with that item.

    Examples
    --------
    >>> before = {"model": {"widths": [8, 16]}}
    >>> put(put(before, ("model", "widths", "1"), 4), ("probes", "at", "name"), "log")
    {'model': {'widths': [8, 4]}, 'probes': {'at': {'name': 'log'}}}
    >>> before
    {'model': {'widths': [8, 16]}}
    """
    root = dict(data)
    node: Any = root
    for depth, part in enumerate(path):
        try:
            slot = _slot(node, part)
        except KeyError:
            found = f"{format_value(node)}, which has no {dotted((part,))}"
            hint = f"setting the whole of {dotted(path[:depth])}"
            raise ProtocolError(dotted(path[:depth]), "be a mapping", found, hint) from None
        if depth == len(path) - 1:
            node[slot] = value
        else:
            child = node.get(slot, {}) if isinstance(node, dict) else node[slot]
            node[slot] = child.copy() if isinstance(child, (dict, list)) else child
            node = node[slot]
    return root


def leave(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a copy of the data without a key; only containers on the path are copied.

    >>> leave({"model": {"name": "mlp", "dropout": 0.0}}, ("model", "dropout")), leave({}, ("model", "dropout"))
    ({'model': {'name': 'mlp'}}, {})
    """
    *above, key = path
    try:
        owner = get(data, tuple(above))
    except KeyError:
        return data
    return put(data, tuple(above), {name: value for name, value in owner.items() if name != key}) if above else data


def _slot(node: Any, part: str | int) -> Any:
    """Return the key or list position that a part of a path denotes in a node."""
    if isinstance(node, dict):
        return part
    # Ten digits are enough for every list, and int() refuses thousands.
    if isinstance(node, list) and str(part).isdecimal() and len(str(part)) < 10 and int(part) < len(node):
        return int(part)
    raise KeyError(part)
