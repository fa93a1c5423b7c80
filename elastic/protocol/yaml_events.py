"""The events of a YAML text, and what to say of one that is no YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from elastic.errors import ProtocolError
from elastic.protocol.formatting import key_and_value, one_line
from elastic.protocol.positions import Place
from elastic.registry import shorten

#: Most characters of the parser's own words that a message quotes.
MAX_PROBLEM = 100

#: Hints for syntax errors.
ANY_MISTAKE = "quotes around text, and a look at colons, brackets and indentation"
COLON = "quotes around text that holds a colon, or other indentation"
CLOSING_QUOTE = "a closing quote, or none"
CLOSING_BRACKET = "a closing bracket, and commas between the items"

#: Converts a 0-based line and column to a location.
Locate = Callable[[int, int], Place]

#: A line that begins with a key without a colon and a space after it.
_NO_COLON_AND_SPACE = re.compile(r"\s*[A-Za-z_]\w*(:\S|\s*[=：])")


def read_events(yaml: YAML, text: str, locate: Locate) -> Iterator[Any]:
    """Yield the events of a text.

    Raises
    ------
    ProtocolError
        For every error of the parser.
    """
    try:
        yield from yaml.parse(text)
    except YAMLError as error:
        problem = getattr(error, "problem", None) or getattr(error, "context", None) or "characters out of place"
        place, hint = _place_and_hint(error, str(problem), text, locate)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        # ruamel raises other exceptions, too: chr() of an escape beyond Unicode, int() of the digits of a version.
        problem, place, hint = error, locate(0, 0), ANY_MISTAKE
    else:
        return
    found = f"a part that is not ({one_line(str(problem), MAX_PROBLEM)})"
    raise ProtocolError("the protocol", "be YAML 1.2", found, hint, place=place.text)


def _place_and_hint(error: YAMLError, problem: str, text: str, locate: Locate) -> tuple[Place, str]:
    """Return where a syntax error is to be mended, and how."""
    opening, context = getattr(error, "context_mark", None), str(getattr(error, "context", None))
    mark = getattr(error, "problem_mark", None) or opening
    hint = _hint(problem, context)
    if opening and (hint == CLOSING_QUOTE or "simple key" in context):
        mark = opening  # the parser reports the problem after it, on another line
    if opening and hint == CLOSING_BRACKET:
        hint += f" (it opens at {locate(opening.line, opening.column).text})"
    if mark and hint in (ANY_MISTAKE, COLON):
        for number in (mark.line, mark.line - 1):  # the parser may report the problem on the next line
            line = text.split("\n")[number] if number >= 0 else ""
            if meant := _meant_by(line):
                return locate(number, len(line) - len(line.lstrip(" "))), meant
    return locate(mark.line, mark.column) if mark else locate(0, 0), hint


def _hint(problem: str, context: str) -> str:
    """Return the hint for a syntax error."""
    if r"'\t'" in problem:
        return "spaces in place of the tab: YAML indents with nothing else"
    if "quoted scalar" in context:
        return CLOSING_QUOTE
    if "flow sequence" in context or "flow mapping" in context:
        return CLOSING_BRACKET
    if "mapping values are not allowed" in problem:
        return COLON
    if "block" in problem:
        return "the same indentation for all keys of a mapping, and all items of a list"
    return ANY_MISTAKE


def _meant_by(line: str) -> str | None:
    """Return a correction of a line whose key lacks a colon and a space, or None.

    >>> _meant_by("  bias:false"), _meant_by("  lr = 0.1"), _meant_by("c: d")
    ('bias: false (with a space after the colon)', 'lr: 0.1 (with a space after the colon)', None)
    """
    if "\u00a0" in line:
        return f"plain spaces in place of the no-break spaces in {shorten(line.strip())}"
    meant = key_and_value(line) if _NO_COLON_AND_SPACE.match(line) else None
    return meant and f"{meant.rstrip()} (with a space after the colon)"
