"""Lists of the names that protocols can use, and of the protocols themselves, with one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from elastic.errors import ElasticError
from elastic.listing.prose import without_marks
from elastic.protocol.formatting import one_line
from elastic.protocol.shipped import SUFFIXES, shipped_protocols
from elastic.protocol.text import read_file
from elastic.registry import PACKAGES, registry

#: Kinds that are not registered functions: protocols, and sections of a protocol file.
PROTOCOLS, SECTIONS = "protocols", "sections"

#: The kinds that `elastic list` lists, in its order.
KINDS = (*PACKAGES, SECTIONS, PROTOCOLS)

Names = Mapping[str, Mapping[str, str]]


def names(kinds: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return {kind: {name: one-line summary}}."""
    special: dict[str, Callable[[], dict[str, str]]] = {PROTOCOLS: _protocols, SECTIONS: _sections}
    return {
        kind: special[kind]() if kind in special else {e.name: without_marks(e.summary) for e in registry(kind)}
        for kind in kinds
    }


def _sections() -> dict[str, str]:
    from elastic.listing.sections import sections

    return {name: section.summary for name, section in sections().items()}


def _protocols() -> dict[str, str]:
    """Return the titles of the shipped protocols by name, and of those in the folder ``protocols`` by path."""
    shipped = shipped_protocols()
    own = sorted(path for suffix in SUFFIXES for path in Path("protocols").glob(f"*{suffix}"))
    beside = {str(path): path for path in own if path.resolve() not in {file.resolve() for file in shipped.values()}}
    return {name: _title(path) for name, path in {**shipped, **beside}.items()}


def _title(path: Path) -> str:
    """Return the title of a protocol file, which is read but not checked."""
    try:
        _, tree = read_file(path)
    except ElasticError as error:
        return f"(not readable: {error})"
    title, base = tree.data.get("title"), tree.data.get("extends")
    if isinstance(title, str):
        return one_line(title)
    return f"(as {one_line(base)})" if isinstance(base, str) else "(without a title)"


def names_table(names: Names) -> RenderableType:
    """Return a table of names, kind by kind."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for kind, entries in names.items():
        table.add_row(Text(kind, style="underline"), "")
        for name, what in entries.items():
            table.add_row(f"  {escape(name)}", escape(what))
    return table
