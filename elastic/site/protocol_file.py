"""Pages of protocol files: each part with its keys, and the protocols that ship."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from elastic.claims.sentence import stated
from elastic.listing.options import options_in
from elastic.listing.protocols import comment_of
from elastic.listing.sections import Section, sections
from elastic.protocol import Protocol, load_protocol
from elastic.protocol.later_components import options_of
from elastic.protocol.shipped import shipped_protocols
from elastic.protocol.text import read_text
from elastic.registry import registry
from elastic.site.entries import label_of, link, options_table, page_of
from elastic.site.markup import code, escaped, heading, paper, running

#: Comments with the results of a run are long; a page holds the beginning and links to the file.
MOST = 12


def pages() -> Iterator[tuple[str, str]]:
    """Yield names and texts of pages."""
    yield "reference/protocol_file.rst", _schema_page()
    yield "reference/protocols.rst", _protocols_page()


def _schema_page() -> str:
    required = ", ".join(f"``{name}``" for name in sections() if _is_required(name))
    opening = (
        f"A protocol is a YAML file with the parts below. Required are {required}. Unknown keys are "
        "refused with the nearest known one. ``elastic schema`` prints the JSON Schema, with which editors complete "
        "a file; ``elastic new FILE`` writes a file that names every option."
    )
    return page_of(
        "Protocol files", opening, [_section(name, part) for name, part in sections().items()], "protocol-files"
    )


def _is_required(name: str) -> bool:
    part = Protocol.model_fields.get(name)
    return part is not None and part.is_required()


def _section(name: str, section: Section) -> str:
    hidden = ("left_out", "name")
    keys = [] if section.keys is None else [o for o in options_in(section.keys) if o.name not in hidden]
    keys = [replace(option, default=section.defaults.get(option.name, option.default)) for option in keys]
    named = [link(section.kind, one) for one in registry(section.kind).names()] if section.kind else []
    parts = [
        heading(name, 1, label_of("sections", name)),
        f"{running(section.summary)}.",
        running(section.further),
        f"Names: {', '.join(named)}." if named else "",
        options_table(keys, "Key"),
        code(section.example.splitlines(), "yaml"),
    ]
    return "\n\n".join(part for part in parts if part)


def _protocols_page() -> str:
    opening = (
        "Protocols that ship with elastic; commands find them by name in any folder: ``elastic run NAME``, "
        "``elastic show NAME``, ``elastic new mine.yaml --from NAME``. :doc:`/findings` lists their results."
    )
    return page_of("Shipped protocols", opening, [_protocol(name, path) for name, path in shipped_protocols().items()])


def _protocol(name: str, path: Path) -> str:
    text = read_text(path)
    protocol = load_protocol(path)
    claims = [f"- {escaped(sentence)} ({paper(source)})" for sentence, source in _claims(protocol)]
    cites = ", ".join(map(paper, protocol.cites))
    parts = [
        heading(name, 1, label_of("protocols", name)),
        f"**{escaped(protocol.title)}**",
        escaped(" ".join(protocol.question.split())) if protocol.question else "",
        f"Runs: {len(protocol.cells):,}. Cites: {cites}." if cites else f"Runs: {len(protocol.cells):,}.",
        "Claims:\n\n" + "\n".join(claims) if claims else "",
        *(running(one.replace("`", "``")) for one in comment_of(text)[:MOST]),
        _folded(path.name, text),
    ]
    return "\n\n".join(part for part in parts if part)


def _folded(title: str, text: str) -> str:
    """Return a file that is shown when its title is clicked."""
    opened = f".. raw:: html\n\n   <details><summary><code>{title}</code></summary>"
    return f"{opened}\n\n{code(text.splitlines(), 'yaml')}\n\n.. raw:: html\n\n   </details>"


def _claims(protocol: Protocol) -> Iterator[tuple[str, str]]:
    for claim in protocol.claims:
        entry = registry("claims").get(claim.name)
        options = entry.complete(options_of("claims", claim))
        yield stated(entry, options).rstrip("."), str(options.get("source", entry.facts.source))
