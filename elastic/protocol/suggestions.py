"""Corrections of invalid values: candidates derived from the value, of which the first valid one is suggested."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pydantic

from elastic.protocol.formatting import format_value
from elastic.protocol.paths import Path, put
from elastic.registry import same_name

#: Words that YAML 1.1 and other formats read as a value of another type.
_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("yes", "on", "true"), True),
    **dict.fromkeys(("no", "off", "false"), False),
    **dict.fromkeys(("none", "null", "nil", "all", "full", "~", ""), None),
    "first": 0,
    **dict.fromkeys(("last", "final"), -1),
}

#: Strings that mean a number: a fraction, or a number or percentage.
_THOUSANDS = re.compile(r"[1-9]\d{0,2}([,' ]\d{3})+")
_MAPPINGS = ("model_type", "dict_type", "model_attributes_type")
_FRACTION = re.compile(r"\s*([-+\d.eE_]+)\s*/\s*([-+\d.eE_]+)\s*")
_NUMBER = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(%?)\s*")


def suggestion(
    model: type[pydantic.BaseModel],
    data: Mapping[str, Any],
    path: Path,
    details: list[Any],
    *,
    has_example: bool = False,
) -> str | None:
    """Return a correction of an invalid value, or None.

    Parameters
    ----------
    model
        Model that validates the data.
    data
        Plain data.
    path
        Path of the value in the data.
    details
        Errors of pydantic at the path.
    has_example
        See `candidates`.

    Examples
    --------
    >>> Training = pydantic.create_model("Training", __config__={"strict": True}, epochs=(int, ...), bias=(bool, True))
    >>> def refused(**data):
    ...     try:
    ...         Training.model_validate(data)
    ...     except pydantic.ValidationError as error:
    ...         (detail,) = error.errors()
    ...         return suggestion(Training, data, detail["loc"], [detail])
    >>> refused(epochs=20.5), refused(epochs="1e3"), refused(epochs=3, bias="yes"), refused(epochs=[1, 2])
    ('epochs: 20', 'epochs: 1000 (without quotes)', 'bias: true', None)
    """
    value = details[0]["input"]
    for candidate in candidates(value, details, has_example=has_example):
        with suppress(Exception):  # validators of one section may meet what another of its values made impossible
            if _accepts(model, put(dict(data), path, candidate), path):
                return _spelled(path, value, candidate)
    return None


def candidates(value: Any, details: list[Any], *, has_example: bool = False) -> Iterator[Any]:
    """Yield values that the user may have meant, the most likely first.

    Parameters
    ----------
    value
        The invalid value.
    details
        Errors of pydantic about it.
    has_example
        Whether the field has an example, which is a better hint than the bound that a number exceeds.
    """
    for detail in details:
        if detail["type"] == "literal_error":
            yield from _of_literals(str(value), str((detail.get("ctx") or {}).get("expected", "")))
    if isinstance(value, bool) and any(detail["type"] in _MAPPINGS for detail in details):
        yield {} if value else None
    if isinstance(value, str):
        yield from _of_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _of_number(value, details, has_example)
    elif isinstance(value, list) and len(value) == 1:
        yield value[0]
    if value is None:  # a key whose values were all deleted
        yield from ([], {})
    elif not isinstance(value, list):
        yield [value]


def _of_number(value: Any, details: list[Any], has_example: bool) -> Iterator[Any]:
    yield -value
    for detail in details if not has_example else ():
        context = detail.get("ctx") or {}
        yield from (context[key] for key in ("ge", "le") if key in context)
    if 5 <= value <= 100:
        yield value / 100  # a percentage
    if isinstance(value, float):
        yield from [int(value)] if math.isfinite(value) else []
    elif value in (0, 1):
        yield bool(value)
    if not any(detail["type"] in _MAPPINGS for detail in details):
        yield str(value)


def _of_text(text: str) -> Iterator[Any]:
    bare = text.strip().lower()
    if bare in _WORDS:
        yield _WORDS[bare]
    if fraction := _FRACTION.fullmatch(text):
        with suppress(ValueError, ZeroDivisionError):
            yield float(fraction[1]) / float(fraction[2])
    if _THOUSANDS.fullmatch(text.strip()):
        yield int(re.sub(r"\D", "", text))
    if number := _NUMBER.fullmatch(text.replace(",", ".") if text.count(",") == 1 else text.replace(",", "")):
        value = float(number[1].replace("_", "")) / (100 if number[2] == "%" else 1)
        if math.isfinite(value):
            yield from (int(value), value) if value.is_integer() else (value, int(value))
    comma = re.search("[,;]", text)
    parts = [part for part in re.split(r"\s*[,;]\s*" if comma else r"\s+", text.strip("[]() ")) if part]
    if len(parts) > 1:
        with suppress(ValueError):
            yield [int(part) for part in parts]
        with suppress(ValueError):
            yield [float(part) for part in parts]
        yield parts
    yield bare
    yield [bare]
    yield re.sub(r"[\s-]+", "_", bare)


def _of_literals(text: str, expected: str) -> Iterator[str]:
    """Yield the literal that a value spells differently, contains or resembles."""
    known = re.findall(r"'([^']*)'", expected)
    if same := same_name(text, known):
        yield same
    yield from (one for one in known if one in text.lower() or text.lower() in one)
    yield from difflib.get_close_matches(text.lower(), known, n=1)


def _accepts(model: type[pydantic.BaseModel], data: Mapping[str, Any], path: Path) -> bool:
    try:
        model.model_validate(data)
    except pydantic.ValidationError as error:
        return not any(_leads_through(detail["loc"], path) for detail in error.errors(include_url=False))
    return True


def _leads_through(location: tuple[int | str, ...], path: Path) -> bool:
    """Return whether a location, which may also name branches of unions, contains the parts of a path in order."""
    parts = iter(map(str, location))
    return all(any(part == str(wanted) for part in parts) for wanted in path)


def _spelled(path: Path, value: Any, candidate: Any) -> str:
    text = format_value(candidate)
    if isinstance(value, str) and (number := _NUMBER.fullmatch(value)) and not number[2]:
        text += " (without quotes)"
    if isinstance(candidate, str) and not isinstance(value, str | list):
        text += " (with quotes)"
    keys = [part for part in path if isinstance(part, str)]
    return f"{keys[-1]}: {text}" if keys and path[-1] == keys[-1] else text
