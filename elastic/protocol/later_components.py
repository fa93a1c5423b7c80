"""Later options of components: removed from a protocol when it is loaded, filled in when a run is set up.

A `Protocol` holds the canonical form, which can be read without registries when a study is opened. Options of
registered functions with the behaviour of earlier releases are therefore removed at loading, when the registries are
available, and filled in before the functions are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, TypeVar

import pydantic

from elastic.errors import UnknownName
from elastic.protocol.grid import Axis, axes_of, set_axes
from elastic.protocol.header import Header
from elastic.protocol.later_options import Earlier, is_before, named_options, with_earlier, without_later
from elastic.protocol.paths import Path, get, put
from elastic.protocol.probes_section import Probes
from elastic.protocol.registered_probes import by_name
from elastic.protocol.schema_paths import schema_at
from elastic.protocol.sections import COMPONENTS, Sections
from elastic.protocol.strict import Component
from elastic.registry import Entry, registry
from elastic.releases import Added, marks

Part = TypeVar("Part", bound=pydantic.BaseModel)


def leave_out(section: dict[str, Any], axes: Mapping[str, Axis]) -> tuple[dict[str, Any], dict[str, Axis]]:
    """Remove later options with the behaviour of earlier releases from the components of a section and its axes.

    Parameters
    ----------
    section
        Complete ``{name: …}``.
    axes
        Complete axes that set the section or parts of it.
    """
    # Keep an option if an axis sets a part of it: the path of the axis must exist.
    opened = {axis.parts[:length] for axis in axes.values() for length in range(len(axis.parts))}
    return _left_out(section, opened), {
        name: _axis_left_out(axis, section, axes, opened) for name, axis in axes.items()
    }


def _left_out(data: dict[str, Any], opened: set[Path]) -> dict[str, Any]:
    for path, entry, options in _components(data):
        left = without_later(entry.options, options)
        dropped = {key for key in options.keys() - left.keys() if (*path, key) not in opened}
        if dropped or left != options:
            kept = {key: left.get(key, value) for key, value in get(data, path).items() if key not in dropped}
            data = put(data, path, kept)
    return data


def _axis_left_out(axis: Axis, section: dict[str, Any], axes: Mapping[str, Axis], opened: set[Path]) -> Axis:
    """Remove later options from the values of an axis, and mark values that are themselves left out."""
    values, left_out = list(axis.values), list[int]()
    if _holds_components(axis.parts):
        values = [get(_left_out(put(section, axis.parts, value), opened), axis.parts) for value in values]
    elif mark := _mark(axis.parts, section, axes):
        left_out = [position for position, value in enumerate(values) if is_before(value, mark)]
    model, _ = schema_at(Sections, axis.parts)
    if model is not None:
        values = [without_later(model, v, in_axis=True) if isinstance(v, dict) else v for v in values]
    return Axis.model_construct(path=axis.path, values=values, labels=list(axis.labels), left_out=left_out)


def _mark(parts: Path, section: dict[str, Any], axes: Mapping[str, Axis]) -> Added | None:
    """Return the mark of the option that an axis sets, if it is the same in every component."""
    (name,) = section
    wholes = {n: axis for n, axis in axes_of(name, axes).items() if axis.parts == parts[: len(axis.parts)] != parts}
    marked = []
    for at in product(*(range(len(axis.values)) for axis in wholes.values())):
        met = set_axes(section, wholes, dict(zip(wholes, at, strict=True)))
        here = [entry for path, entry, options in _components(met) if (*path, parts[-1]) == parts]
        marked += [marks(entry.options).get(str(parts[-1])) for entry in here] or [None]
    return marked[0] if all(mark == marked[0] for mark in marked) else None


def _holds_components(parts: Path) -> bool:
    further = len(parts) <= 2 and parts[0] == "probes" and parts[-1] not in Probes.model_fields
    return parts == ("probes",) or further or any(path[: len(parts)] == parts for path in COMPONENTS)


def fill_in(part: Part) -> Part:
    """Fill in all options of every component, as arguments of the registered functions.

    Parameters
    ----------
    part
        Settings, or a part of a protocol with its sections.
    """
    data = part.model_dump()
    filled = _filled(data)
    return part if filled is data else type(part).model_validate(filled)


def unknown_to(canonical: Mapping[str, Any]) -> Earlier:
    """Return the later options that a canonical protocol does not name: it was written before they existed."""
    variants = [dict(canonical)]
    for name, axis in canonical["axes"].items():
        if name != "seed":
            variants += [put(variants[0], tuple(axis["path"].split(".")), value) for value in axis["values"]]
    known = {option for variant in variants for option in _named(variant)}
    return lambda owner, name: (owner, name) not in known


def _named(data: Mapping[str, Any]) -> Iterator[tuple[type[pydantic.BaseModel], str]]:
    for model in (Header, Sections):
        yield from named_options(model, data)
    for _, entry, options in _components(data):
        yield from named_options(entry.options, options)


def options_of(kind: str, component: Component) -> dict[str, Any]:
    """Return all options of one component of a protocol, including those left out of it.

    Raises
    ------
    UnknownName
        If no registry has the component.
    """
    return with_earlier(registry(kind).get(component.name).options, component.options)


def written_out(canonical: Mapping[str, Any], model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Return a canonical protocol with every later option written out; loading it gives the same protocol.

    Parameters
    ----------
    canonical
        Canonical form of a protocol.
    model
        Model of the whole protocol (`elastic.protocol.schema.Protocol`).
    """
    data = _filled(with_earlier(model, canonical))
    axes = dict(data["axes"])
    for name, axis in axes.items():
        if name != "seed":
            parts: Path = tuple(axis["path"].split("."))
            values = [_value_filled(data, parts, value) for value in axis["values"]]
            axes[name] = {"path": axis["path"], "values": values, "labels": axis["labels"]}
    return data | {"axes": axes}


def _value_filled(data: dict[str, Any], parts: Path, value: Any) -> Any:
    model, _ = schema_at(Sections, parts)
    if model is not None and isinstance(value, dict):
        value = with_earlier(model, value)
    return get(_filled(put(data, parts, value)), parts)


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    for path, entry, options in _components(data):
        filled = with_earlier(entry.options, options)
        if filled != options:
            data = put(data, path, get(data, path) | filled)
    return data


def _components(data: Mapping[str, Any]) -> Iterator[tuple[Path, Entry, dict[str, Any]]]:
    """Yield path, registry entry and options of each registered component."""
    for path, kind in COMPONENTS.items():
        try:
            component = get(data, path)
            entry = registry(kind).get(component["name"])
        except (KeyError, TypeError, UnknownName):  # of another section, or of a package that is not installed
            continue
        section, _ = schema_at(Sections, path)
        shared = section.model_fields if section else {}
        yield path, entry, {key: value for key, value in component.items() if key not in shared}
    for number, claim in enumerate(data.get("claims") or ()):
        if claim["name"] in registry("claims").names():
            entry = registry("claims").get(claim["name"])
            yield ("claims", number), entry, {key: value for key, value in claim.items() if key != "name"}
    probes = data.get("probes")
    further = {k: v for k, v in probes.items() if k not in Probes.model_fields} if isinstance(probes, dict) else {}
    for name, entry in by_name().items() if further else ():
        if isinstance(further.get(name), dict):
            yield ("probes", name), entry, further[name]
