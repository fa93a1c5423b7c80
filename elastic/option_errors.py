"""Errors of pydantic on the options of a registered function, as errors of elastic."""

from __future__ import annotations

from typing import Any

import pydantic

from elastic.close_names import nearest
from elastic.errors import OptionError


def option_error(error: pydantic.ValidationError, name: str, options: type[pydantic.BaseModel]) -> OptionError:
    """Return the first error on the options of a function, with the path of the option as its location.

    Parameters
    ----------
    error
        The error of pydantic.
    name
        Name of the function.
    options
        Model of its options.
    """
    # A misspelt required option is both unknown and missing: the unknown name shows which one was meant.
    errors = error.errors(include_url=False, include_context=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    location = first["loc"]
    path = ".".join(str(part) for part in location)
    known = list(options.model_fields)
    if first["type"] == "extra_forbidden":
        expected = f"be an option of {name!r}"
        hint = nearest(str(location[0]), known, fallback=f"one of {', '.join(known)}" if known else "leaving it out")
        return OptionError(f"`{path}`", expected, repr(location[0]), hint, location=location)
    if first["type"] == "missing":
        hint = f"adding it (elastic show {name})"
        return OptionError(f"`{path}`", f"be given for {name!r}", "nothing", hint, location=location)
    if first["type"] == "sequence_str":  # a string in place of a list of strings
        return OptionError(f"`{path}`", "be a list", shorten(first["input"]), f"[{first['input']}]", location=location)
    return OptionError(
        f"`{path}`",
        sentence(first["msg"]),
        shorten(first["input"]),
        f"elastic show {name}",
        location=location,
    )


def sentence(message: str) -> str:
    """Turn a validation message of pydantic into the clause after "should".

    >>> sentence("Input should be a valid integer")
    'be a valid integer'
    >>> sentence("Value error, be one of a, b")
    'be one of a, b'
    >>> sentence("Dictionary should have at least 2 items after validation, not 1")
    'have at least 2 items after validation, not 1'
    """
    for opening in ("Input should ", "Value error, ", "String should ", "List should ", "Dictionary should "):
        message = message.removeprefix(opening)
    return message


def shorten(value: Any, limit: int = 60) -> str:
    """Return the `repr` of a value, truncated to ``limit`` characters.

    >>> shorten("a" * 100, limit=10)
    "'aaaaaaaa…"
    """
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
