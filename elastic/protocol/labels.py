"""Labels of axes: which are equal, and how one is written inside another."""

from __future__ import annotations

from typing import Any


def is_label(label: Any, known: Any) -> bool:
    """Return whether a label equals a known one: 1 equals 1.0, but not True.

    >>> is_label(1, 1.0), is_label(True, 1), is_label("1", 1)
    (True, False, False)
    """
    return bool(label == known) and isinstance(label, bool) == isinstance(known, bool)


def in_short(label: Any) -> str:
    """Format a label as part of another one; 1 and 1.0 look alike, because an axis may use either.

    >>> in_short(1.0), in_short(0.1), in_short(True), in_short("batch")
    ('1', '0.1', 'true', 'batch')
    """
    if isinstance(label, bool):
        return str(label).lower()
    return str(label).removesuffix(".0") if isinstance(label, float) else str(label)
