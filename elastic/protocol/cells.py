"""The cells of a grid: settings, coordinates and digest of each run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elastic.protocol.canonical import canonical_json
from elastic.protocol.dims import Grid
from elastic.protocol.grid import axes_of, set_axes
from elastic.protocol.later_options import with_earlier
from elastic.protocol.sections import Sections, Settings
from elastic.protocol.strict import CANONICAL, Strict


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes
    ----------
    index
        Index in the product of the dims, in which the last dim, seed, varies fastest.
    coordinates
        Label on each dim of the grid, in the order of the dims.
    settings
        Settings of the run.
    digest
        First 16 hexadecimal digits of the SHA-256 of the canonical settings.
    """

    index: int
    coordinates: dict[str, Any]
    settings: Settings
    digest: str


def build_cells(sections: Sections, grid: Grid) -> tuple[Cell, ...]:
    """Return all cells of a grid, in the order of their index.

    Parameters
    ----------
    sections
        Sections of a complete protocol.
    grid
        Grid of complete axes, whose values have all defaults filled in.
    """
    variants = {name: _variants(name, getattr(sections, name), grid) for name in Sections.model_fields}
    texts = {
        name: {at: canonical_json(part.canonical()) for at, part in table.items()}
        for name, (_, table) in variants.items()
    }
    cells = []
    for index, position in enumerate(grid.positions()):
        at = grid.at(position)
        places = {name: tuple(at[axis] for axis in own) for name, (own, _) in variants.items()}
        seed, parts = grid.axes.seed[at["seed"]], {name: variants[name][1][place] for name, place in places.items()}
        settings = Settings.model_validate({"seed": seed, **parts})
        name = _cell_digest(seed, {name: texts[name][place] for name, place in places.items()})
        cells.append(Cell(index, grid.coordinates(position), settings, name))
    return tuple(cells)


def cell_digests(sections: Mapping[str, Mapping[str, Any]], grid: Grid) -> Iterator[str]:
    """Yield the digest of each cell of canonical sections, in the order of the cells' index.

    Defaults are not filled in: the cells of a protocol that lacks an option keep the names that they had before the
    option existed. The text of each section is built once for all cells that share it.
    """
    texts = {}
    for name, section in sections.items():
        own = axes_of(name, grid.axes.named)
        positions = grid.occurring(list(own))
        variants = {at: set_axes({name: dict(section)}, own, dict(zip(own, at, strict=True)))[name] for at in positions}
        texts[name] = list(own), {at: canonical_json(variant) for at, variant in variants.items()}
    for position in grid.positions():
        at = grid.at(position)
        parts = {name: table[tuple(at[axis] for axis in own)] for name, (own, table) in texts.items()}
        yield _cell_digest(grid.axes.seed[at["seed"]], parts)


def _cell_digest(seed: int, sections: Mapping[str, str]) -> str:
    """Return the digest of settings whose sections have these canonical JSON texts."""
    parts = {**sections, "seed": str(seed)}
    text = "{" + ",".join(f'"{name}":{parts[name]}' for name in sorted(parts)) + "}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _variants(name: str, section: Strict, grid: Grid) -> tuple[list[str], dict[tuple[int, ...], Strict]]:
    """Return the names of the axes that set a section, and the section at each of their positions."""
    own, model = axes_of(name, grid.axes.named), type(section)
    written = {name: section.model_dump(context=CANONICAL)}
    return list(own), {
        at: model.model_validate(with_earlier(model, set_axes(written, own, dict(zip(own, at, strict=True)))[name]))
        for at in grid.occurring(list(own))
    }


def representatives(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells of one seed that together contain every label of every other dim.

    Each adds a new label, so that their number is at most the number of labels, not the size of the product.
    """
    seen: set[tuple[str, str]] = set()
    chosen: list[Cell] = []
    for cell in cells:
        labels = {(dim, str(label)) for dim, label in cell.coordinates.items() if dim != "seed"}
        if not chosen or labels - seen:
            chosen.append(cell)
            seen |= labels
    return chosen
