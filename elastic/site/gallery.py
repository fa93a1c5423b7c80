"""Gallery of figures: each with a picture, the line that makes it, and its options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from elastic.listing.lines import lines_of
from elastic.listing.options import options_of
from elastic.registry import Entry, registry
from elastic.site.entries import label_of, options_table, page_of
from elastic.site.markup import code, heading, prose

#: Folder of pictures beside the pages: ``<figure>.png``.
PICTURES = "gallery"


def pages(sources: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the page.

    Parameters
    ----------
    sources
        Folder of the pages, with that of the pictures.
    """
    opening = (
        "Figures are drawn from a cube: on the command line, as SVG, PDF and PNG, or in Python. Every figure takes "
        "``width``, ``caption``, ``ax`` and ``theme``."
    )
    sections = [_figure(entry, sources) for entry in registry("figures")]
    yield "reference/figures.rst", page_of("Figures", opening, sections, "figures")


def _figure(entry: Entry, sources: Path) -> str:
    picture = sources / PICTURES / f"{entry.name}.png"
    command, python = lines_of(entry)
    shown = f".. image:: /{PICTURES}/{picture.name}\n   :alt: {entry.summary}" if picture.is_file() else ""
    parts = [
        heading(entry.name, 1, label_of("figures", entry.name)),
        prose(entry.docstring),
        shown,
        code([command], "bash"),
        code(["study = elastic.open_study(STUDY)", python], "python"),
        options_table(options_of(entry)),
    ]
    return "\n\n".join(part for part in parts if part)
