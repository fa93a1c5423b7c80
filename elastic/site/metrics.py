"""Pages of metrics: one for each group of the cube, and a table of all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from elastic.listing.facts import bounds_in_words, dims_of
from elastic.registry import Entry, registry
from elastic.site.entries import entry_section, link, page_of, summaries
from elastic.site.markup import formula, paper, table


def pages() -> Iterator[tuple[str, str]]:
    """Yield names and texts of pages."""
    groups = {group: list(members) for group, members in groupby(sorted(registry("metrics"), key=_place), key=_group)}
    names = registry("metrics").names()
    rows = ([link("metrics", e.name), formula(e.facts.formula, names), e.facts.group] for e in registry("metrics"))
    opening = (
        "Each metric is a variable of the cube, in the group that its probe writes. Its formula, source, units and "
        "bounds are attributes of the variable, too, and ``elastic show NAME`` prints them.\n\n.. toctree::\n"
        "   :maxdepth: 1\n\n" + "\n".join(f"   metrics_{group}" for group in groups)
    )
    every = table(rows, ("Metric", "Formula", "Group"), "30 54 16", "summaries")
    yield "reference/metrics.rst", page_of("Metrics", opening, [every], "metrics")
    for group, entries in groups.items():
        yield f"reference/metrics_{group}.rst", _group_page(group, entries, names)


def _place(entry: Entry) -> tuple[str, str]:
    return entry.facts.group, entry.name


def _group(entry: Entry) -> str:
    return str(entry.facts.group)


def _group_page(group: str, entries: list[Entry], names: list[str]) -> str:
    probe = f" Measured by the probe {link('probes', group)}." if group in registry("probes").names() else ""
    opening = f'Variables of ``study.cube["{group}"]``.{probe}\n\n{summaries("metrics", entries)}'
    sections = [entry_section(entry, list(_facts(entry, names))) for entry in entries]
    return page_of(f"Metrics: {group}", opening, sections)


def _facts(entry: Entry, names: list[str]) -> Iterator[tuple[str, str]]:
    facts = entry.facts
    yield "Formula", formula(facts.formula, [name for name in names if name != entry.name])
    yield "Source", paper(facts.source)
    yield "Units", "none, a pure number" if facts.units == "1" else facts.units
    yield "Values", bounds_in_words(*facts.bounds)
    if facts.at_collapse is not None:
        yield "At collapse", f"{facts.at_collapse:g}"
    yield "Dims", f"axes of the study, {', '.join(dims_of(entry))}"
    yield "Readings", ", ".join(f"``{name}``" for name in entry.parameters)
    yield "Defined in", f"``{entry.function.__module__}``"
