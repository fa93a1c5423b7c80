"""Pages of what a protocol names: models, data, losses, optimizers, schedules, probes, claims."""

from __future__ import annotations

from collections.abc import Iterator

from elastic.registry import Entry, registry
from elastic.site.entries import entry_section, page_of, summaries
from elastic.site.markup import escaped, paper

#: Kinds, with title and opening of their pages.
KINDS = {
    "models": ("Models", "Named under ``model`` in a protocol. Keys are the options of the table."),
    "data": ("Data sets", "Named under ``data`` in a protocol. Nothing is downloaded when a protocol runs."),
    "losses": ("Losses", "Named under ``loss`` in a protocol, or as ``loss`` of a Recorder."),
    "optimizers": ("Optimizers", "Named under ``optimizer`` in a protocol."),
    "schedules": ("Learning-rate schedules", "Named under ``optimizer.schedule`` in a protocol."),
    "probes": ("Probes", "Keys of ``probes`` in a protocol. Each writes a group of the cube."),
    "probe_schedules": ("Probe schedules", "Named under ``probes.at``: the epochs at which probes run."),
    "claims": (
        "Claims",
        "Named in the list ``claims`` of a protocol. ``elastic check STUDY`` decides each of them on the cube.",
    ),
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield names and texts of pages."""
    for kind, (title, opening) in KINDS.items():
        entries = list(registry(kind))
        sections = [entry_section(entry, list(_facts(entry))) for entry in entries]
        shown = f"{opening}\n\n{summaries(kind, entries)}"
        yield f"reference/{kind}.rst", page_of(title, shown, sections, kind.replace("_", "-"))


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    if entry.kind == "claims":
        yield "Source", paper(entry.facts.source)
        yield "Sentence", escaped(entry.facts.sentence)
        if entry.facts.own:
            yield "Elastic's own", escaped(entry.facts.own)
    if entry.kind == "probes":
        yield "Group", f"``{entry.facts.group}``"
        measured = [metric.name for metric in registry("metrics") if metric.facts.group == entry.facts.group]
        yield "Metrics", ", ".join(f":ref:`{n} <metric-{n}>`" for n in measured) or "declared by the probe itself"
