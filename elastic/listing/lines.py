"""Lines to copy that use a registered function in a protocol, on the command line or in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from elastic.errors import ElasticError
from elastic.listing.options import Option, options_of
from elastic.protocol.sections import COMPONENTS
from elastic.protocol.shipped import shipped_protocols
from elastic.protocol.text import read_file
from elastic.protocol.writing import as_yaml, spelled
from elastic.registry import Entry

#: Columns of a line to copy.
WIDTH = 76

#: The key of a protocol under which a component of a kind stands.
KEYS = {kind: path for path, kind in COMPONENTS.items()}


def lines_of(entry: Entry) -> list[str]:
    """Return lines that use a registered function, with its required options.

    >>> from elastic.registry import registry
    >>> lines_of(registry("schedules").get("cosine")), lines_of(registry("figures").get("depth_profile"))[:1]
    (['optimizer: {name: sgd, lr: 0.1, schedule: {name: cosine}}'], ['elastic plot STUDY --figure depth_profile'])
    """
    if entry.kind == "metrics":
        place = f'study.cube["{entry.facts.group}"]["{entry.name}"]'
        return [f"study = elastic.open_study(FOLDER); {place}", f"claims: [{_claim_on(entry)}]"]
    if entry.kind == "figures":
        return [f"elastic plot STUDY --figure {entry.name}", f"study.plot.{entry.name}()"]
    options = {"name": entry.name, **required_options(entry)}
    if entry.kind == "claims":
        line = f"  - {spelled(options)}"
        return ["claims:", *([line] if len(line) <= WIDTH else _entry(options))]
    if entry.kind == "probes":
        return _lines({"probes": {entry.name: shown_options(options_of(entry))}})
    path = KEYS[entry.kind]
    if len(path) == 1:
        return _lines({path[0]: options})
    around = {"name": "sgd", "lr": 0.1} if path[0] == "optimizer" else {}
    return _lines({path[0]: {**around, path[1]: options}})


def _lines(part: dict[str, Any]) -> list[str]:
    """Return a section of a protocol on one line, or on several if it is long."""
    ((key, value),) = part.items()
    line = f"{key}: {spelled(value)}"
    return [line] if len(line) <= WIDTH else as_yaml(part).splitlines()


def _entry(options: Mapping[str, Any]) -> list[str]:
    """Return the lines of one entry of a list, a key on each."""
    lines = [f"{key}: {spelled(value)}" for key, value in options.items()]
    return [f"  {'  ' if place else '- '}{line}" for place, line in enumerate(lines)]


def _claim_on(entry: Entry) -> str:
    """Return a claim on a metric: near its value at collapse, or else on its size."""
    least, collapsed = entry.facts.bounds[0], entry.facts.at_collapse
    if collapsed is not None and collapsed == least:
        return spelled({"name": "below", "variable": entry.name, "threshold": collapsed + 0.1})
    return spelled({"name": "above", "variable": entry.name, "threshold": float(least or 0.0)})


def shown_options(options: list[Option]) -> dict[str, Any]:
    """Return the required options with values, or else the first option with its default."""
    required = {option.name: option.example for option in options if option.is_required}
    return required or {option.name: option.value for option in options[:1]}


def required_options(entry: Entry) -> dict[str, Any]:
    """Return the required options with values: from examples, from a shipped protocol, or of the option's type."""
    required = [option for option in options_of(entry) if option.is_required]
    if all(option.example is not None for option in required):
        return {option.name: option.example for option in required}
    used = next((one for one in _used(entry) if all(option.name in one for option in required)), {})
    return {o.name: o.example if o.example is not None else used.get(o.name, o.placeholder) for o in required}


def _used(entry: Entry) -> Iterator[Mapping[str, Any]]:
    """Yield the options that shipped protocols pass to a function."""
    for path in shipped_protocols().values():
        if entry.name in path.read_text("utf-8"):
            try:
                _, tree = read_file(path)
            except ElasticError:
                continue
            yield from _named(tree.data, entry.name)


def _named(data: Any, name: str) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, Mapping):
        if data.get("name") == name and len(data) > 1:
            yield data
        data = list(data.values())
    for part in data if isinstance(data, list) else ():
        yield from _named(part, name)
