"""Facts of a registered function that `elastic show` prints: formula, source, claimed statement, place in the cube."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from elastic.protocol.references import references
from elastic.registry import Entry, registry


def facts_of(entry: Entry) -> list[RenderableType]:
    """Return a table of facts in a list, which is empty for kinds without facts."""
    rows = {"metrics": _metric, "claims": _claim, "probes": _probe}.get(entry.kind, _none)(entry)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(name, Text(text))
    return [table] if table.row_count else []


def _none(entry: Entry) -> Iterator[tuple[str, str]]:
    return iter(())


def _metric(entry: Entry) -> Iterator[tuple[str, str]]:
    facts = entry.facts
    yield "formula", facts.formula
    yield "source", source_in_words(facts.source)
    yield "units", "none, a pure number" if facts.units == "1" else facts.units
    yield "values", bounds_in_words(*facts.bounds)
    if facts.at_collapse is not None:
        yield "at collapse", f"{facts.at_collapse:g}"
    yield "dims", f"axes of the study, {', '.join(dims_of(entry))}"
    yield "in the cube", f"{facts.group}/{entry.name}"


def dims_of(metric: Entry) -> list[str]:
    """Return the dims of a metric's variable other than the axes of the study."""
    facts = metric.facts
    group = registry("probes").get(facts.group).facts if facts.group in registry("probes").names() else None
    shared = [dim for dim in getattr(group, "dims", ()) if dim in ("split", "layer")]
    return ["epoch", *(dim for dim in shared if not (facts.layerless and dim == "layer")), *facts.dims]


def bounds_in_words(least: float | None, greatest: float | None) -> str:
    """Return the range of values in words.

    >>> bounds_in_words(0.0, None), bounds_in_words(-1.0, 1.0), bounds_in_words(None, None)
    ('0 or more', '-1 to 1', 'any')
    """
    if least is None:
        return "any" if greatest is None else f"{greatest:g} or less"
    return f"{least:g} or more" if greatest is None else f"{least:g} to {greatest:g}"


def _claim(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "source", source_in_words(entry.facts.source)
    if entry.facts.own:
        yield "elastic's own", entry.facts.own


def _probe(entry: Entry) -> Iterator[tuple[str, str]]:
    group: Any = entry.facts.group
    yield "in the cube", f"group {group}"
    measured = [metric.name for metric in registry("metrics") if metric.facts.group == group]
    yield "metrics", ", ".join(measured) or "those that the probe declares itself"


def source_in_words(key: str) -> str:
    """Return a paper as text, with its cite key.

    >>> source_in_words("he2020local").partition(".")[0]
    'He, Hangfeng; Su, Weijie J'
    """
    known = references().get(key)
    return f"{known.text} [{key}]" if known else key
