"""The JSON Schema of protocol files, by which editors complete and check them while they are written."""

from __future__ import annotations

from typing import Any

from elastic.protocol.registered_probes import by_name
from elastic.protocol.schema import Protocol
from elastic.registry import Entry, registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Kinds of components, and the definition that tells what all components of the kind have in common.
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

    What an axis may give instead (``optimizer.lr``, a whole ``model``) is not required by it: whether a protocol is
    whole is found out by reading it.
    """
    schema = Protocol.model_json_schema()
    parts, properties = schema["$defs"], schema["properties"]
    parts["Optimizer"]["properties"]["schedule"] = _one_of("schedules", "constant")
    probes = parts["Probes"]["properties"]
    probes |= {"at": _one_of("probe_schedules", "log, count 12")} | {
        name: {"anyOf": [_options(entry, parts), {"type": "null"}], "default": None}
        for name, entry in by_name().items()
    }
    parts["Probes"]["additionalProperties"] = False
    properties |= {
        "data": _one_of("data"),
        "model": _one_of("models"),
        "loss": _one_of("losses", "cross_entropy"),
        "optimizer": _one_of("optimizers"),
    }
    properties["claims"]["items"] = _one_of("claims")
    parts["Axis"]["required"] = ["path", "values"]
    del parts["Axis"]["properties"]["left_out"]  # found while a file is read
    del parts["Training"]["required"]
    group = properties["together"]["additionalProperties"]
    properties["together"]["additionalProperties"] = {"anyOf": [parts["Together"]["properties"]["axes"], group]}
    for kind, base in _BASES.items():
        parts[kind] = _components(kind, parts[base], parts)
    del parts["Data"], parts["Optimizer"]
    for part in parts.values():
        if "description" in part:  # a docstring, of which editors show the first line
            part["description"] = part["description"].partition("\n")[0]
    return schema | {"$schema": DIALECT, "title": "elastic protocol", "required": ["name", "title"]}


def _one_of(kind: str, otherwise: str | None = None) -> dict[str, Any]:
    description = {"description": f"left out: {otherwise}"} if otherwise else {}
    return {"$ref": f"#/$defs/{kind}", **description}


def _components(kind: str, base: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a component of a kind: a name alone, or a name and its options."""
    return {
        "anyOf": [
            {"enum": registry(kind).names()},
            *(_component(entry, base["properties"], parts) for entry in registry(kind)),
        ]
    }


def _component(entry: Entry, shared: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    schema = _options(entry, parts)
    properties = {**schema["properties"], **shared, "name": {"const": entry.name}}
    return {**schema, "properties": properties, "required": ["name"]}


def _options(entry: Entry, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a registered function's options; an axis may give those that are required."""
    options = entry.options.model_json_schema()
    parts |= options.get("$defs", {})
    return {
        "type": "object",
        "title": entry.name,
        "description": entry.summary,
        "properties": options.get("properties", {}),
        "additionalProperties": False,
    }
