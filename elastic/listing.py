"""What the command line lists and shows: registered names, options, the state of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from elastic.cube import is_sealed
from elastic.display.numbers import epoch_of
from elastic.errors import ElasticError, UnknownName
from elastic.protocol import load_protocol
from elastic.registry import ROOMS, Entry, nearest, registry
from elastic.releases import marks
from elastic.study import RunStatus, Study

#: Where protocols that ship or that a user keeps beside them are looked for.
PROTOCOLS = Path("protocols")

#: Limits of a number in a JSON Schema, as they are shown.
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

Names = Mapping[str, Mapping[str, str]]


def names(kinds: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return {kind: {name: what it is in one line}}."""
    return {
        kind: _protocols() if kind == "protocols" else {e.name: e.summary for e in registry(kind)} for kind in kinds
    }


def _protocols() -> dict[str, str]:
    """Return the protocol files under ``protocols`` with their titles."""
    found = {}
    for path in sorted(PROTOCOLS.glob("*.yaml")):
        try:
            found[str(path)] = load_protocol(path).title
        except ElasticError as error:
            found[str(path)] = f"(not readable: {error})"
    return found


def names_table(found: Names) -> RenderableType:
    """Return a table of names, kind by kind."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for kind, entries in found.items():
        table.add_row(Text(kind, style="underline"), "")
        for name, what in entries.items():
            table.add_row(f"  {escape(name)}", escape(what))
    return table


def description(name: str) -> RenderableType:
    """Return what is known of a registered name, whatever its kind.

    Raises
    ------
    UnknownName
        If no registry holds it.
    """
    known = {kind: registry(kind).names() for kind in ROOMS}
    parts = [part for kind in ROOMS if name in known[kind] for part in _description(registry(kind).get(name))]
    if not parts:
        everything = [n for of_kind in known.values() for n in of_kind]
        hint = f"{nearest(name, everything, fallback='another name')} (elastic list)"
        raise UnknownName("`NAME`", "be registered", repr(name), hint)
    return Group(*parts)


def _description(entry: Entry) -> list[RenderableType]:
    heading = Text(f"{entry.name} ({entry.kind}, {entry.function.__module__})", style="bold")
    return [heading, Text(entry.docstring), *_facts(entry), *_options(entry), Text("")]


def _facts(entry: Entry) -> list[RenderableType]:
    if not is_dataclass(entry.facts) or isinstance(entry.facts, type):
        return []
    # The options have a table of their own.
    lines = [f"  {name}: {value}" for name, value in asdict(entry.facts).items() if name != "options"]
    return [Text("facts:\n" + "\n".join(lines))]


def _options(entry: Entry) -> list[RenderableType]:
    fields = entry.options.model_fields
    if not fields:
        return []
    table = Table(title="options", title_justify="left", box=None, pad_edge=False)
    for column in ("name", "type", "default"):
        table.add_column(column)
    schema = entry.options.model_json_schema()["properties"]
    marked = marks(entry.options)
    for name, info in fields.items():
        default = "required" if info.is_required() else repr(info.default)
        if name in marked:
            default += f" (since {marked[name].version}; before: {marked[name].before!r})"
        table.add_row(escape(name), escape(type_in_words(schema[name])), escape(default))
    return [table]


def type_in_words(schema: Mapping[str, Any]) -> str:
    """Return what a JSON Schema asks of a value, in a few words.

    >>> type_in_words({"type": "array", "items": {"type": "integer", "minimum": 1}})
    'list of integer ≥ 1'
    >>> type_in_words({"anyOf": [{"enum": ["max", "none"]}, {"type": "null"}]})
    "'max' | 'none' | null"
    """
    if "anyOf" in schema:
        return " | ".join(type_in_words(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(repr(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_in_words(schema.get('items', {}))}"
    limits = [(sign, schema[key]) for key, sign in LIMITS.items() if key in schema]
    return " ".join([str(schema.get("type", "any")), *(f"{sign} {limit:g}" for sign, limit in limits)])


def study_facts(study: Study) -> dict[str, Any]:
    """Return a study's state, as JSON can hold it."""
    return {
        "name": study.name,
        "folder": str(study.folder),
        "digest": study.digest,
        "recorded": study.recorded,
        "sealed": is_sealed(study.folder),
        "cube": str(study.folder / "cube.zarr"),
        "runs": [asdict(run) for run in study.runs()],
    }


def status_table(study: Study) -> RenderableType:
    """Return a table of the runs of a study, one a row."""
    runs = study.runs()
    table = Table(box=None, pad_edge=False)
    for column in (*map(escape, runs[0].coordinates if runs else ()), "state", "epoch", "seconds", "folder"):
        table.add_column(column)
    for run in runs:
        seconds = f"{sum(run.seconds.values()):.1f}" if run.seconds else "–"
        values = [Text(str(value)) for value in run.coordinates.values()]
        table.add_row(*values, run.state, epoch_of(run.epoch, run.epochs, "/"), seconds, f"runs/{run.cell}")
    return Group(Text(study_state(study, runs), style="bold"), table)


def study_state(study: Study, runs: Sequence[RunStatus]) -> str:
    """Return in one line how many runs have ended, and whether the cube is sealed."""
    ended = sum(run.ended for run in runs)
    sealed = "sealed" if is_sealed(study.folder) else "not sealed"
    return f"{study.name}: {ended} of {len(runs)} runs ended, cube {sealed}"
