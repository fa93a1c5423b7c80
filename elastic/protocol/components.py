"""Components in a protocol: lookup in the registries, validation and default values of their options."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pydantic

from elastic.errors import NotAllowed, ProtocolError, UnknownName
from elastic.protocol.allowed import is_allowed
from elastic.protocol.canonical import plain
from elastic.protocol.formatting import dotted, format_value, one_line
from elastic.protocol.later_options import Earlier, never, with_earlier
from elastic.protocol.misplaced_keys import EXTERNAL
from elastic.protocol.paths import Path, put
from elastic.protocol.schema_paths import schema_at
from elastic.protocol.sections import COMPONENTS, Sections
from elastic.protocol.strict import Component
from elastic.protocol.validation_errors import NOTHING, Problem, explain, unknown_key
from elastic.registry import Entry, registry


def complete(section: str, written: dict[str, Any], earlier: Earlier = never) -> tuple[dict[str, Any], list[Problem]]:
    """Complete all components of a section; return the section and its problems.

    Parameters
    ----------
    section
        One of `Sections`.
    written
        ``{section: …}`` as written by the user, or empty.
    earlier
        Decides which later options, if not written, keep the behaviour of earlier releases.
    """
    problems: list[Problem] = []
    for path, kind in COMPONENTS.items():
        if path[0] != section:
            continue
        owner = written if len(path) == 1 else written.get(section, {})
        if not isinstance(owner, dict) or (len(path) > 1 and section not in written and _is_required(section)):
            continue
        component = owner.get(path[-1], default_component(path))
        model, _ = schema_at(Sections, path)
        shared = set(model.model_fields) if model else set()
        completed, component_problems = complete_component(path, kind, component, shared=shared, earlier=earlier)
        problems += component_problems
        if completed is not None:
            written = put(written, path, completed)
    return written, problems


def default_component(path: Path) -> dict[str, Any] | None:
    """Return the default component of a section, None if it must be given.

    >>> default_component(("optimizer", "schedule")), default_component(("model",))
    ({'name': 'constant'}, None)
    """
    _, field = schema_at(Sections, path)
    return field.default.canonical() if field and isinstance(field.default, Component) else None


def spell_out(written: dict[str, Any], path: Path) -> dict[str, Any]:
    """Expand component names along a path to mappings, so that the path can be set.

    >>> spell_out({"loss": "mse"}, ("loss", "scale"))
    {'loss': {'name': 'mse'}}
    """
    for component in COMPONENTS:
        if component == path[: len(component)] and component != path:
            owner = written if len(component) == 1 else written.get(str(component[0]), {})
            here = owner.get(component[-1], default_component(component)) if isinstance(owner, dict) else None
            if isinstance(here, str):
                here = {"name": here}
            if here is not None:
                written = put(written, component, here)
    return written


def refusal(section: dict[str, Any], allow: tuple[str, ...]) -> Problem | None:
    """Return the problem of a model whose code the command line does not allow, or None.

    Parameters
    ----------
    section
        Complete ``{"model": …}``.
    allow
        Allowed modules, including their submodules.
    """
    model = section.get("model")
    if not isinstance(model, dict) or model.get("name") != EXTERNAL:
        return None
    target = model.get("target")
    if not isinstance(target, str):
        return None  # the schema says what is wrong
    module = target.partition(":")[0]
    if is_allowed(module, allow):
        return None
    path: Path = ("model", "target")
    expected = "be of a module that the command line allows"
    hint = f"--allow {one_line(module) or 'package.module'} (it runs that module's code)"
    return Problem(path, NotAllowed(dotted(path), expected, format_value(target), hint))


def _is_required(section: str) -> bool:
    return Sections.model_fields[section].is_required()


def complete_component(
    path: Path, kind: str, written: Any, *, shared: set[str], earlier: Earlier = never
) -> tuple[Any, list[Problem]]:
    """Fill in the options of one component; return it and its problems.

    Parameters
    ----------
    path
        Path in the protocol.
    kind
        Kind of the registry.
    written
        The component as written by the user.
    shared
        Keys that belong to the section, not to the component (such as ``name``).
    earlier
        See `complete`.
    """
    component = {"name": written} if isinstance(written, str) else written
    name = (*path, "name")
    if isinstance(component, dict) and "name" not in component:
        nested = next((key for key in component if key in registry(kind).names()), None)
        beside = f"{{name: {nested}, …}}, its options beside the name"
        hint = beside if nested else f"one of its names (elastic list {kind})"
        return written, [Problem(name, ProtocolError(dotted(name), "be given", NOTHING, hint))]
    if not isinstance(component, dict) or not isinstance(component["name"], str):
        return written, []  # the schema says what is wrong
    try:
        entry = registry(kind).get(component["name"])
    except UnknownName as error:
        return component, [Problem(name, UnknownName(dotted(name), error.expected, error.found, error.hint))]
    options = {key: value for key, value in component.items() if key not in shared}
    completed, problems = complete_options(path, entry, options, shared=shared, earlier=earlier)
    return {key: value for key, value in component.items() if key in shared} | completed, problems


def complete_options(
    path: Path, entry: Entry, written: dict[str, Any], *, shared: Collection[str] = (), earlier: Earlier = never
) -> tuple[dict[str, Any], list[Problem]]:
    """Fill in the options of a registered function; return them and their problems.

    Parameters
    ----------
    path
        Path of the options in the protocol.
    entry
        The registered function.
    written
        Options as written by the user.
    shared
        Keys that belong to the section, not to the options.
    earlier
        See `complete`.
    """
    known = [*entry.options.model_fields, *sorted(set(shared) - {"name"})]
    expected = f"be an option of {entry.name!r}"
    problems = [unknown_key((*path, key), known, expected=expected) for key in written if key not in known]
    options = {key: value for key, value in written.items() if key in known}
    options = with_earlier(entry.options, options, earlier)
    try:
        completed = entry.options.model_validate(options).model_dump()
        options = {key: value for key, value in completed.items() if key not in shared}
    except pydantic.ValidationError as error:
        problems += explain(error, entry.options, options, around=path, component=entry.name)
    return dict(plain(options)), problems
