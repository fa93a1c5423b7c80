"""Page of the papers: each entry of ``references.bib``, and what rests on it."""

from __future__ import annotations

from collections.abc import Iterator

from elastic.protocol import load_protocol
from elastic.protocol.references import Reference, references
from elastic.protocol.shipped import shipped_protocols
from elastic.registry import registry
from elastic.site.entries import link, page_of
from elastic.site.markup import escaped, heading


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the page."""
    users = _users()
    known = sorted(references().values(), key=lambda one: one.text.casefold())
    opening = (
        "The papers behind metrics, claims and protocols. ``elastic/references.bib`` holds them as BibTeX; the key in "
        "brackets is the ``source`` of a variable or claim and what ``cites`` of a protocol names."
    )
    sections = [_paper(one, users.get(one.key, [])) for one in known]
    yield "reference/papers.rst", page_of("References", opening, sections, "papers")


def _users() -> dict[str, list[str]]:
    """Return links to what cites each paper: metrics, claims and protocols that ship."""
    users: dict[str, list[str]] = {}
    for kind in ("metrics", "claims"):
        for entry in registry(kind):
            users.setdefault(entry.facts.source, []).append(link(kind, entry.name))
    for name, path in shipped_protocols().items():
        for key in load_protocol(path).cites:
            users.setdefault(key, []).append(link("protocols", name))
    return users


def _paper(known: Reference, users: list[str]) -> str:
    address = f" `doi:{known.doi} <https://doi.org/{known.doi}>`__" if known.doi else ""
    cited = f"\n\nCited by {', '.join(users)}." if users else ""
    title = heading(known.short, 1, f"paper-{known.key.lower()}")
    return f"{title}\n\n{escaped(known.text)}{address} [``{known.key}``]{cited}"
