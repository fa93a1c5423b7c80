"""The JSON Schema of protocol files, for completion and validation in editors.

The options of a component depend on its name: the schema uses ``if``/``then`` on the name, so that editors mark the
invalid option. (With ``anyOf`` they could only report that no alternative matches.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic.protocol.claims import names_of_variables
from elastic.protocol.formatting import EXTENDS
from elastic.protocol.registered_probes import by_name
from elastic.protocol.schema import Protocol
from elastic.protocol.sections import COMPONENTS
from elastic.registry import Entry, registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Kinds of components, and the definition that all components of the kind share.
_BASES = {
    "data": "Data",
    "models": "Component",
    "losses": "Component",
    "schedules": "Component",
    "optimizers": "Optimizer",
    "probe_schedules": "Component",
    "claims": "Component",
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a protocol file, with every registered name and its options.

    Values that an axis may provide instead (``optimizer.lr``, a whole ``model``) are not required: whether a protocol
    is complete is checked when it is loaded.
    """
    schema = Protocol.model_json_schema()
    parts, properties = schema["$defs"], schema["properties"]
    parts["Optimizer"]["properties"]["schedule"] |= _reference("schedules")
    probes = parts["Probes"]["properties"]
    probes["at"] |= _reference("probe_schedules")
    probes |= {
        name: {"anyOf": [_options(entry, parts), {"type": "null"}], "default": None, "description": entry.summary}
        for name, entry in by_name().items()
    }
    parts["Probes"]["additionalProperties"] = False
    for section, kind in {"data": "data", "model": "models", "loss": "losses", "optimizer": "optimizers"}.items():
        properties[section] = {**properties[section], **_reference(kind)}
    properties["claims"]["items"] = _reference("claims")
    parts["Axis"]["required"] = ["path", "values"]
    axis = parts["Axes"]["additionalProperties"]
    parts["Axes"]["additionalProperties"] = {"anyOf": [axis, {"type": "null"}]}  # null: not the axis that is extended
    del parts["Axis"]["properties"]["left_out"]  # found while a file is read
    del parts["Training"]["required"]
    group = properties["together"]["additionalProperties"]
    properties["together"]["additionalProperties"] = {"anyOf": [parts["Together"]["properties"]["axes"], group]}
    for kind, base in _BASES.items():
        parts[kind] = _components(kind, parts[base], parts)
    parts["variable"] = {"enum": [*names_of_variables(), *_with_groups()]}
    del parts["Data"], parts["Optimizer"], parts["Component"]
    for part in parts.values():
        if "description" in part:  # a docstring, of which editors show the first line
            part["description"] = part["description"].partition("\n")[0]
    simple: dict[str, Any] = _simplified(schema, parts)
    simple["properties"][EXTENDS] = {
        "type": "string",
        "minLength": 1,
        "description": "Protocol that this one extends: the name of a shipped one, or the path of a file.",
        "examples": ["quickstart"],
    }
    del simple["required"]
    return simple | {"$schema": DIALECT, "title": "elastic protocol"} | _whole_unless_extending()


def _whole_unless_extending() -> dict[str, Any]:
    """Return the required keys of a protocol without ``extends``: name, title and names of components."""
    named: dict[str, Any] = {"if": {"type": "object"}, "then": {"required": ["name"]}}
    required: dict[str, Any] = {"required": ["name", "title"], "properties": {}}
    for path in COMPONENTS:
        owner = required
        for part in path[:-1]:
            owner = owner["properties"].setdefault(part, {})
            owner.setdefault("properties", {})
        owner["properties"].setdefault(path[-1], {}).update(named)
    return {"if": {"required": [EXTENDS]}, "else": required}


def _with_groups() -> list[str]:
    """Return the names of the metrics, also prefixed with their groups."""
    return [f"{entry.facts.group}/{entry.name}" for entry in registry("metrics")]


def _reference(kind: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{kind}"}


def _components(kind: str, base: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a component of a kind: a name, or a name with options."""
    entries = list(registry(kind))
    names = {"enum": [entry.name for entry in entries], "enumDescriptions": [entry.summary for entry in entries]}
    return {
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": names,
        "else": {
            **({"required": ["name"]} if kind == "claims" else {}),
            "properties": {"name": {"description": base["properties"]["name"]["description"], **names}},
            "allOf": [_when_named(entry, base["properties"], parts) for entry in entries],
        },
    }


def _when_named(entry: Entry, shared: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Return the conditional schema of a component with the name of an entry."""
    is_named = {"properties": {"name": {"const": entry.name}}, "required": ["name"]}
    schema = _options(entry, parts)
    if entry.kind == "claims":  # which no axis sets
        schema["required"] = [name for name, field in entry.options.model_fields.items() if field.is_required()]
    shared = {key: value for key, value in shared.items() if key != "name"}
    return {"if": is_named, "then": {**schema, "properties": {**schema["properties"], **shared, "name": True}}}


def _options(entry: Entry, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a registered function's options; none is required, because an axis may set it."""
    options = entry.options.model_json_schema()
    parts |= options.get("$defs", {})
    properties = options.get("properties", {})
    for option in properties.values():
        if option.pop("names", None) == "variable":
            option |= _reference("variable")
            del option["type"]
    return {
        "type": "object",
        "title": entry.name,
        "description": entry.summary,
        "properties": properties,
        "additionalProperties": False,
    }


def _is_generated(key: str, value: Any) -> bool:
    """Return whether a keyword is a title that pydantic generates from the name of a field."""
    return key == "title" and isinstance(value, str) and (value[:1].isupper() or " " in value)


def _simplified(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Replace ``anyOf`` of a type and null by a list of types.

    >>> _simplified({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": 3}, {})
    {'type': ['integer', 'null'], 'minimum': 1, 'default': 3}
    """
    if isinstance(schema, list):
        return [_simplified(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    simple = {key: _simplified(value, parts) for key, value in schema.items() if not _is_generated(key, value)}
    alternatives = simple.get("anyOf")
    if not isinstance(alternatives, list) or len(alternatives) != 2 or {"type": "null"} not in alternatives:
        return simple
    other = next(one for one in alternatives if one != {"type": "null"})
    if "$ref" in other:
        other = _simplified(parts[other["$ref"].rpartition("/")[2]], parts)
    if not isinstance(other.get("type"), str):
        return simple
    nullable = {"enum": [*other["enum"], None]} if "enum" in other else {}
    rest = {key: value for key, value in simple.items() if key != "anyOf"}
    return {**other, "type": [other["type"], "null"], **nullable, **rest}
