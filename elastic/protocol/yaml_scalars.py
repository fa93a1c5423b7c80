"""Conversion of YAML 1.2 scalars to strings, finite 64-bit numbers, booleans and None."""

from __future__ import annotations

import math
import re
from typing import Any

from ruamel.yaml.nodes import ScalarNode

from elastic.errors import ProtocolError
from elastic.registry import shorten

#: Characters that YAML 1.2 (§5.1) does not allow unescaped.
UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Length of the longest 64-bit literal, a binary one: sign, 0b, digits. Python refuses to parse very long numbers.
_LONGEST_INTEGER = 67
_TAG = "tag:yaml.org,2002:"


def kind_of(resolver: Any, text: str, implicit: tuple[bool, bool]) -> str:
    """Return the YAML type of a scalar: null, bool, int, float, or else str.

    Parameters
    ----------
    resolver
        Resolver of a ``ruamel.yaml.YAML``.
    text
        The scalar, without quotes.
    implicit
        Attribute of its event: whether the type of a plain (first) or a quoted scalar (second) is implicit.
    """
    return str(resolver.resolve(ScalarNode, text, implicit)).removeprefix(_TAG)


def read_scalar(kind: str, text: str) -> Any:
    r"""Convert a scalar of a given type.

    Raises
    ------
    ProtocolError
        For non-finite numbers, numbers of more than 64 bits, and unprintable characters.

    Examples
    --------
    >>> [read_scalar(*scalar) for scalar in (("float", "1e-3"), ("int", "0x1F"), ("bool", "True"), ("null", "~"))]
    [0.001, 31, True, None]
    >>> read_scalar("timestamp", "2001-01-01")
    '2001-01-01'
    >>> read_scalar("float", "1e999")
    Traceback (most recent call last):
    ...
    elastic.errors.ProtocolError: the value should be a finite number; found '1e999'; try a number such as 0.1
    """
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case _:
            return _text(text)


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits.lstrip("+-")[:2], 10)
    if len(digits) > _LONGEST_INTEGER:
        raise _unfit("be a number of at most 64 bits", text, "a smaller number")
    try:
        value = int(digits, base)
    except ValueError:
        raise _unfit("be a number", text, "quotes around it if it is text") from None
    if not -(2**63) <= value < 2**63:
        raise _unfit("be a number of at most 64 bits", text, "a smaller number")
    return value


def _float(text: str) -> float:
    try:
        value = float(text.replace("_", ""))
    except ValueError:  # YAML writes infinity and "not a number" with a dot in front
        value = math.nan
    if not math.isfinite(value):
        raise _unfit("be a finite number", text, "a number such as 0.1")
    return value + 0.0  # -0.0 becomes 0.0, so that equal values have equal digests


def _text(text: str) -> str:
    # Escapes ("\0", "\ud800") can produce characters that are not allowed in the file itself.
    if found := UNPRINTABLE.search(text):
        raise _unfit("be of printable characters", found.group(), "leaving it out")
    return text


def _unfit(expected: str, found: str, hint: str) -> ProtocolError:
    return ProtocolError("the value", expected, shorten(found), hint)
