"""Tables of options: name, type, default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pydantic
from rich.table import Table
from rich.text import Text

from elastic.listing.prose import without_marks
from elastic.protocol.writing import spelled
from elastic.registry import Entry
from elastic.releases import marks

#: Limits of a number in a JSON Schema, as the table shows them.
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

#: Limits that only prevent overflow; the table omits them.
FAR = 1e6

#: Names of JSON Schema's types in the table.
WORDS = {"boolean": "true or false", "string": "text", "object": "mapping", "null": "null"}

#: Entry in the column of defaults for an option without one.
REQUIRED = "required"


@dataclass(frozen=True)
class Option:
    """One option of a protocol.

    Attributes
    ----------
    name, type
        Name in the protocol; description of the values it takes.
    default
        Default in YAML, "required" if there is none.
    meaning
        Short description; "" if nothing declares it.
    example
        Example value, or None.
    value
        The default.
    placeholder
        Any value of the type.
    """

    name: str
    type: str
    default: str
    meaning: str
    example: Any = None
    value: Any = None
    placeholder: Any = None

    @property
    def is_required(self) -> bool:
        """Whether the option has no default."""
        return self.default == REQUIRED


def options_of(entry: Entry) -> list[Option]:
    """Return the options of a registered function.

    >>> from elastic.registry import registry
    >>> [option.name for option in options_of(registry("schedules").get("multistep"))]
    ['milestones', 'gamma']
    """
    return options_in(entry.options)


def options_in(model: type[pydantic.BaseModel]) -> list[Option]:
    """Return the fields of a model as options."""
    return list(_options_in(model))


@cache  # of a class, which does not change: its JSON Schema takes milliseconds
def _options_in(model: type[pydantic.BaseModel]) -> tuple[Option, ...]:
    schema = model.model_json_schema()
    parts, marked = schema.get("$defs", {}), marks(model)
    options = []
    for name, field in model.model_fields.items():
        own = schema["properties"].get(name, {})
        meaning = without_marks(field.description or "")
        if name in marked:
            meaning = f"{meaning} (since {marked[name].version}; before: {spelled(marked[name].before)})".strip()
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        default = REQUIRED if field.is_required() else spelled(value)
        example = field.examples[0] if field.examples else None
        options.append(Option(name, type_in_words(own, parts), default, meaning, example, value, fitting(own, name)))
    return tuple(options)


def fitting(schema: Mapping[str, Any], name: str) -> Any:
    """Return any value that a JSON Schema accepts.

    >>> fitting({"type": "array", "items": {"type": "integer", "minimum": 8}, "minItems": 2}, "widths")
    [8, 8]
    """
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0], name)
    match schema.get("type"):
        case "array":
            return [fitting(schema.get("items", {}), name)] * schema.get("minItems", 1)
        case "integer" | "number" as kind:
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
            return least if kind == "integer" or "maximum" in schema else 0.5 if least <= 0.5 else float(least)
        case "boolean":
            return True
        case "object":
            return {}
    return f"a {name}"


def options_table(options: list[Option], what: str = "option") -> Table:
    """Return a table with one row per option; meanings are wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(what, no_wrap=True)
    for column in ("type", "default", "meaning"):
        table.add_column(column)
    for option in options:
        table.add_row(*(Text(cell) for cell in (option.name, option.type, option.default, option.meaning)))
    return table


def type_in_words(schema: Mapping[str, Any], parts: Mapping[str, Any] = {}) -> str:
    """Describe the type of a JSON Schema in a few words.

    Parameters
    ----------
    schema
        The schema of the value.
    parts
        The definitions that it may refer to, by name.

    Examples
    --------
    >>> type_in_words({"type": "array", "items": {"type": "integer", "minimum": 1}})
    'list of integer ≥ 1'
    >>> type_in_words({"anyOf": [{"enum": ["max", "none"]}, {"type": "null"}]})
    'max | none | null'
    >>> type_in_words({"type": "array", "items": {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {}]}})
    'list of (number ≥ 0, ≤ 1 | any value)'
    """
    if "$ref" in schema:
        return type_in_words(parts.get(schema["$ref"].rpartition("/")[2], {}), parts)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_in_words(part, parts) for part in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " | ".join(spelled(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        items = type_in_words(schema.get("items", {}), parts)
        return f"list of ({items})" if " | " in items else f"list of {items}"
    kind = str(schema.get("type", "any value"))
    limits = [(sign, schema[key]) for key, sign in LIMITS.items() if key in schema and abs(schema[key]) < FAR]
    return " ".join([WORDS.get(kind, kind), ", ".join(f"{sign} {limit:g}" for sign, limit in limits)]).strip()
