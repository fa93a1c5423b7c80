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

#: The protocol whose study a picture shows; the others are of the quickstart.
SHOWN = {"axis_comparison": "parameter_wise_decay"}


def pages(sources: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the page.

    Parameters
    ----------
    sources
        Folder of the pages, with that of the pictures.
    """
    opening = (
        "Figures are drawn from a cube: on the command line, as SVG, PDF and PNG, or in Python. Every figure takes "
        "``width``, ``caption``, ``ax`` and ``theme``. The studies shown are those of ``elastic run quickstart`` and "
        "``elastic run parameter_wise_decay``."
    )
    sections = [_figure(entry, sources) for entry in registry("figures")]
    yield "reference/figures.rst", page_of("Figures", opening, sections, "figures")


def _figure(entry: Entry, sources: Path) -> str:
    picture = sources / PICTURES / f"{entry.name}.png"
    study = f"results/{SHOWN.get(entry.name, 'quickstart')}"
    command, python = (line.replace("STUDY", study) for line in lines_of(entry))
    shown = f".. image:: /{PICTURES}/{picture.name}\n   :alt: {entry.summary}" if picture.is_file() else ""
    parts = [
        heading(entry.name, 1, label_of("figures", entry.name)),
        prose(entry.docstring),
        shown,
        code([command], "bash"),
        code([f'study = elastic.open_study("{study}")', python], "python"),
        options_table(options_of(entry)),
    ]
    return "\n\n".join(part for part in parts if part)
