"""Documentation of one registry entry: its text, options, and lines to copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from elastic.listing.lines import lines_of
from elastic.listing.options import Option, options_of
from elastic.registry import Entry
from elastic.site.markup import code, escaped, examples, heading, prose, running, table

#: What one of a kind is called in the name of a label: ``metric-nc1``.
SINGULAR = {
    "data": "data",
    "models": "model",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "probe_schedules": "probe-schedule",
    "metrics": "metric",
    "probes": "probe",
    "claims": "claim",
    "figures": "figure",
    "sections": "section",
    "protocols": "protocol",
}


def label_of(kind: str, name: str) -> str:
    """Return the label of an entry's heading, in lower case as Sphinx keeps labels.

    >>> label_of("metrics", "nc1"), label_of("probe_schedules", "log")
    ('metric-nc1', 'probe-schedule-log')
    """
    return f"{SINGULAR[kind]}-{name}".lower()


def link(kind: str, name: str) -> str:
    """Return a link to an entry, which shows its name."""
    return f":ref:`{name} <{label_of(kind, name)}>`"


def entry_section(entry: Entry, facts: Sequence[tuple[str, str]] = (), level: int = 1) -> str:
    """Return the section of a registered function.

    Parameters
    ----------
    entry
        The registered function.
    facts
        Names and markup of what is known of it.
    level
        Of its heading.
    """
    language = {"metrics": "python", "figures": "text"}.get(entry.kind, "yaml")
    parts = [
        heading(entry.name, level, label_of(entry.kind, entry.name)),
        prose(entry.docstring, examples=False),
        table(facts, widths="16 84", kind="facts"),
        examples(entry.docstring),
        options_table(options_of(entry) if entry.kind != "metrics" else []),
        code(lines_of(entry), language) if entry.kind not in ("metrics", "figures") else "",
    ]
    return "\n\n".join(part for part in parts if part)


def options_table(options: Sequence[Option], what: str = "Option") -> str:
    """Return the table of options."""
    rows = [[f"``{o.name}``", escaped(o.type), literal(o.default), running(o.meaning)] for o in options]
    return table(rows, (what, "Type", "Default", "Meaning"), "20 22 20 38", "options")


def literal(value: Any) -> str:
    """Return a value as code; nothing for an empty one."""
    text = str(value)
    return f"``{text}``" if text else ""


def summaries(kind: str, entries: Sequence[Entry]) -> str:
    """Return the table of contents of a kind: each name with its summary."""
    return table(([link(kind, e.name), running(e.summary)] for e in entries), widths="34 66", kind="summaries")


def page_of(title: str, opening: str, sections: Iterator[str] | Sequence[str], label: str = "") -> str:
    """Return a page: title, opening and sections."""
    return "\n\n".join(part for part in [heading(title, 0, label), opening, *sections] if part) + "\n"
