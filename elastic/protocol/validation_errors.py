"""Translation of pydantic's validation errors to those of elastic."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pydantic

from elastic.errors import ElasticError, ProtocolError
from elastic.protocol.formatting import EXTENDS, dotted, format_value, key_and_value
from elastic.protocol.misplaced_keys import homes, meant_by, part_of_its_own
from elastic.protocol.paths import Path, get
from elastic.protocol.schema_paths import schema_at
from elastic.protocol.sections import COMPONENTS
from elastic.protocol.strict import Component
from elastic.protocol.suggestions import suggestion
from elastic.protocol.writing import spelled
from elastic.registry import nearest, sentence

#: Shown as the actual value of a missing key.
NOTHING = "nothing"

#: Hint for an invalid value without an example.
SCHEMA_HINT = "elastic schema, which knows every key"

#: Sections that `elastic show` describes.
SHOWN = ("data", "optimizer", "training", "probes")

#: Mappings with free keys, for which hints suggest no other place.
NO_SECTIONS = ("axes", "together", "exclude", "claims")

_WORDS = {
    "model_type": "be a mapping of keys to values",
    "dict_type": "be a mapping of keys to values",
}


@dataclass(frozen=True)
class Problem:
    """One error in a protocol, and the path of the part that it concerns.

    Attributes
    ----------
    path
        Path from the root of the protocol.
    source
        The error without a location, or a function that returns it: only some errors are reported, and finding the
        closest known name takes time.
    at_key
        Whether the key is wrong rather than its value.
    absent
        Whether the part is missing; None: as the error says.
    """

    path: Path
    source: ElasticError | Callable[[], ElasticError]
    at_key: bool = False
    absent: bool | None = None

    @cached_property
    def error(self) -> ElasticError:
        """The error, without a location."""
        return self.source if isinstance(self.source, ElasticError) else self.source()

    @property
    def is_absence(self) -> bool:
        """Whether the part is missing."""
        return self.error.found == NOTHING if self.absent is None else self.absent  # a text that says so has quotes


def explain(
    error: pydantic.ValidationError,
    model: type[pydantic.BaseModel],
    data: Any,
    around: Path = (),
    *,
    component: str | None = None,
) -> list[Problem]:
    """Convert a validation error to problems, one per path.

    Parameters
    ----------
    error
        Error of ``model.model_validate(data)``.
    model
        Model with the known keys, whose examples become hints.
    data
        Plain data.
    around
        Path of ``data`` in the protocol.
    component
        Name of the registered function, if the data are its options.
    """
    by_path: dict[tuple[Path, bool], list[Any]] = {}
    for detail in error.errors(include_url=False):
        path = locate(model, data, detail["loc"])
        by_path.setdefault((path, _is_about_key(detail, path, data)), []).append(detail)
    return [
        Problem(
            (*around, *path),
            partial(_tell, details, model, data, path, around, component),
            at_key,
            absent=details[0]["type"] == "missing",
        )
        for (path, at_key), details in by_path.items()
    ]


def locate(model: type[pydantic.BaseModel], data: Any, location: tuple[int | str, ...]) -> Path:
    """Convert a pydantic location to a path.

    Branches of unions are removed. The path ends at a missing field of the model.

    >>> class Digits(pydantic.BaseModel):
    ...     classes: list[int | str]
    >>> locate(Digits, {"classes": [1, 2.5]}, ("classes", 1, "int")), locate(Digits, {}, ("classes",))
    (('classes', 1), ('classes',))
    """
    path: Path = ()
    for part in location:
        try:
            data = get(data, (part,))
        except KeyError:
            owner, _ = schema_at(model, path)
            return (*path, part) if owner and part in owner.model_fields else path
        path = (*path, part)
    return path


def unknown_key(path: Path, known: list[str], *, expected: str | None = None) -> Problem:
    """Return the problem of an unknown key."""
    key = str(path[-1])

    def error() -> ElasticError:
        same, elsewhere = meant_by(key, known), [] if path[0] in NO_SECTIONS else homes(key, path[:-1])
        if not same and not elsewhere and path[0] not in NO_SECTIONS and (part := part_of_its_own(key, path[:-1])):
            elsewhere = [f"a part `{part}:` of its own, not in {dotted(path[:-1])}"]
        listed = f"one of {', '.join(known)}" if known else "leaving it out"
        hint = repr(same) if same else " or ".join(elsewhere) or nearest(key, known, fallback=listed)
        return ProtocolError(dotted(path), expected or f"be a key of {dotted(path[:-1])}", repr(key), hint)

    return Problem(path, error, at_key=True, absent=False)


def _is_about_key(detail: Any, path: Path, data: Any) -> bool:
    if detail["type"] == "extra_forbidden":
        return True
    if detail["type"] == "missing" or not path:
        return False
    owner = get(data, path[:-1])
    return isinstance(owner, dict) and detail["input"] == path[-1] != owner.get(path[-1])


def _tell(
    details: list[Any],
    model: type[pydantic.BaseModel],
    data: Any,
    path: Path,
    around: Path,
    component: str | None,
) -> ElasticError:
    full, kind = (*around, *path), details[0]["type"]
    if kind == "extra_forbidden":
        owner, _ = schema_at(model, path[:-1])
        own = [*owner.model_fields, *(() if len(full) > 1 else (EXTENDS,))] if owner else []
        return unknown_key(full, own).error
    _, field = schema_at(model, path)
    hint = f"elastic show {component or full[0]}" if component or full[0] in SHOWN else SCHEMA_HINT
    if field and field.examples and (kind != "missing" or not component):
        key = [part for part in full if isinstance(part, str)][-1]  # what is in a list has its key's example
        hint = f"{key}: {json.dumps(field.examples[0])}"
    if kind == "missing":
        expected = f"be given for {component!r}" if component else "be given"
        return ProtocolError(dotted(full), expected, NOTHING, f"adding it ({hint})" if component else hint)
    branches = dict.fromkeys(_WORDS.get(detail["type"]) or sentence(detail["msg"]) for detail in details)
    expected = " or ".join(branches).replace(" or be ", " or ").replace(" after validation", "")
    value = details[0]["input"]
    meant = getattr((details[0].get("ctx") or {}).get("error"), "hint", None)
    if value is None or not isinstance(value, str | int | list):
        meant = meant or _names(full)
    if meant is None and path and isinstance(data, dict):
        meant = suggestion(model, data, path, details, has_example=bool(field and field.examples))
    if meant is None and kind in _WORDS:
        meant = _with_space(value) or _example(model, full, path)
    return ProtocolError(dotted(full), expected, format_value(value), meant or hint)


def _names(path: Path) -> str | None:
    """Return the hint for a component's name that is not a string; None at other paths."""
    kind = COMPONENTS.get(tuple(map(str, path[:-1]))) if path[-1:] == ("name",) else None
    return kind and f"one of its names (elastic list {kind})"


def _with_space(value: Any) -> str | None:
    """Return ``key: value`` with a space; None if a text is not a key, a colon and a value."""
    meant = key_and_value(value) if isinstance(value, str) else None
    if meant is None:
        return None
    return f"{{{meant}}}" if "=" in value else f"{meant} (with a space after the colon)"


def _example(model: type[pydantic.BaseModel], full: Path, path: Path) -> str | None:
    """Return an example mapping for a path, with the first key that has an example."""
    inner = schema_at(model, path)[0] if path else model
    if inner is None or not full:
        return None
    _, field = schema_at(model, path) if path else (None, None)
    if field and field.examples and typing.get_origin(field.annotation) is dict:
        return None  # its keys are chosen by the user: show an example of the whole mapping
    if field and isinstance(field.default, Component):
        return f"{full[-1]}: {spelled(field.default.canonical())}"
    fields = inner.model_fields
    chosen = {} if "name" in fields else fields  # of a component its own name comes first
    known = {
        name: spelled(one.default.canonical()) for name, one in chosen.items() if isinstance(one.default, Component)
    }
    known |= {name: json.dumps(field.examples[0]) for name, field in fields.items() if field.examples}
    key = next(iter(known), "name")
    example = f"{{{key}: {known[key] if known else '…'}}}"
    return example if isinstance(full[-1], int) else f"{full[-1]}: {example}"
