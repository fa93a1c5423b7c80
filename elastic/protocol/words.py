"""How messages spell paths and values."""

from __future__ import annotations

from typing import Any

from elastic.registry import shorten


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a path as messages write it.

    >>> dotted(("model", "widths", 2)), dotted(())
    ('`model.widths.2`', 'the protocol')
    """
    return f"`{'.'.join(str(part) for part in path)}`" if path else "the protocol"


def told(value: Any) -> str:
    """Return a value as messages show it: null, true and false as YAML writes them, and all else cut short.

    >>> told(None), told(True), told("a"), told([1.0])
    ('null', 'true', "'a'", '[1.0]')
    """
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else shorten(value)
