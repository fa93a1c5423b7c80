"""Formatting of paths and values in messages."""

from __future__ import annotations

import re
from typing import Any

from elastic.registry import shorten

#: Key that names the extended protocol; resolved before validation.
EXTENDS = "extends"

#: A key and its value without a space after the colon, or with another character in place of either.
_NO_SPACE = re.compile(r"\s*([A-Za-z_]\w*)\s*[:：=][\s\u00a0]*(\S.*)")


def dotted(path: tuple[str | int, ...]) -> str:
    """Format a path.

    >>> dotted(("model", "widths", 2)), dotted(())
    ('`model.widths.2`', 'the protocol')
    """
    return f"`{'.'.join(one_line(str(part), limit=80) for part in path)}`" if path else "the protocol"


def one_line(text: str, limit: int = 500) -> str:
    r"""Escape unprintable characters and line breaks, and truncate a text.

    >>> print(one_line("naïve\nkey\udcff"))
    naïve\nkey\udcff
    """
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def error_line(error: BaseException) -> str:
    r"""Return the type and the text of an exception of a user's code, in one line of 200 characters at most.

    >>> print(error_line(ValueError("too\nwide")))
    ValueError: too\nwide
    """
    return one_line(f"{type(error).__name__}: {error}", 200)


def key_and_value(text: str) -> str | None:
    """Return ``key: value`` for a text with another character in place of colon and space; None for other texts.

    >>> key_and_value("lr:0.1"), key_and_value("  lr = 0.1"), key_and_value("lr：0.1"), key_and_value("a title")
    ('lr: 0.1', 'lr: 0.1', 'lr: 0.1', None)
    """
    match = _NO_SPACE.fullmatch(text)
    return f"{match[1]}: {match[2]}" if match else None


def format_value(value: Any) -> str:
    """Format a value: null, true and false as in YAML, others as a truncated `repr`.

    >>> format_value(None), format_value(True), format_value("a"), format_value([1.0])
    ('null', 'true', "'a'", '[1.0]')
    """
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else shorten(value)
