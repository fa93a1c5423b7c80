"""Gallery of figures: each with a picture, the line that makes it, and its options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from elastic.figures.contract import SHARED_TYPES
from elastic.listing.lines import lines_of
from elastic.listing.options import options_of
from elastic.registry import Entry, registry
from elastic.site.entries import label_of, options_table, page_of
from elastic.site.markup import code, heading, prose

#: Folder of pictures beside the pages: ``<figure>.png``.
PICTURES = "gallery"

#: Studies of figures that the quickstart has no data for: that of a tutorial, and a shipped protocol with dense probes.
SHOWN = {"axis_comparison": "decay", "closure": "closed_account"}


def pages(sources: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the page.

    Parameters
    ----------
    sources
        Folder of the pages, with that of the pictures.
    """
    opening = (
        "Figures are drawn from a cube: on the command line, as SVG, PDF and PNG, or in Python. The studies shown are "
        "those of ``elastic run quickstart`` and of :doc:`the tutorial </tutorial_protocol>`; pictures on dark pages "
        "are drawn with ``--theme dark``. Every figure takes these options:"
    )
    entries = list(registry("figures"))
    shared = [option for option in options_of(entries[0]) if option.name in SHARED_TYPES]
    sections = [options_table(shared), *(_figure(entry, sources) for entry in entries)]
    yield "reference/figures.rst", page_of("Figures", opening, sections, "figures")


def _figure(entry: Entry, sources: Path) -> str:
    picture = sources / PICTURES / f"{entry.name}.png"
    study = f"results/{SHOWN.get(entry.name, 'quickstart')}"
    command, python = (line.replace("STUDY", study) for line in lines_of(entry))
    shown = [
        f".. image:: /{PICTURES}/{name}\n   :alt: {entry.summary}\n   :class: only-{theme}"
        for theme, name in (("light", picture.name), ("dark", f"{entry.name}_dark.png"))
        if picture.is_file()
    ]
    parts = [
        heading(entry.name, 1, label_of("figures", entry.name)),
        prose(entry.docstring),
        *shown,
        code([command], "bash"),
        code([f'study = elastic.open_study("{study}")', python], "python"),
        options_table([option for option in options_of(entry) if option.name not in SHARED_TYPES]),
    ]
    return "\n\n".join(part for part in parts if part)
