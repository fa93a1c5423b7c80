"""How messages spell paths and values."""

from __future__ import annotations

from typing import Any

from elastic.registry import shorten


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a path as messages write it.

    >>> dotted(("model", "widths", 2)), dotted(())
    ('`model.widths.2`', 'the protocol')
    """
    return f"`{'.'.join(one_line(str(part), limit=80) for part in path)}`" if path else "the protocol"


def one_line(text: str, limit: int = 500) -> str:
    r"""Return a text as it can stand in a message: printable, without line breaks, not too long.

    >>> print(one_line("naïve\nkey\udcff"))
    naïve\nkey\udcff
    """
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def told(value: Any) -> str:
    """Return a value as messages show it: null, true and false as YAML writes them, and all else cut short.

    >>> told(None), told(True), told("a"), told([1.0])
    ('null', 'true', "'a'", '[1.0]')
    """
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else shorten(value)
