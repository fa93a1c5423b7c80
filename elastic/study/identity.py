"""What follows from a study's canonical protocol: its digest, axes and cells, derived from it and compared.

Cells name the folders of runs. If they were read from a file they could be exchanged, and the numbers of one run would
get the labels of another; derived from the protocol they cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elastic.errors import ProtocolError
from elastic.protocol import Protocol
from elastic.protocol.canonical import digest
from elastic.protocol.cells import cell_digests
from elastic.protocol.dims import grid_of
from elastic.protocol.sections import Sections
from elastic.study.study_file import UNREADABLE, damaged

#: Keys of study.json other than the cells, which are derived when they are needed.
NEEDED = ("protocol", "digest", "text", "axes", "cells", "provenance")


def checked_facts(stored: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the contents of study.json for a protocol, if protocol, digest and axes agree.

    The digest is that of the stored protocol: one of an earlier release may lack options that exist now.

    Raises
    ------
    Damaged
        If they disagree, or a key is missing.
    """
    if missing := [key for key in NEEDED if key not in stored]:
        raise damaged(folder, f"no {missing[0]!r}")
    try:
        if digest(stored["protocol"]) != stored["digest"]:
            raise damaged(folder, "a digest of another protocol")
        axes = axis_labels(stored["protocol"])
        if axes != stored["axes"]:
            raise damaged(folder, "axes that are not those of its protocol")
        if not isinstance(stored["text"], str) or not isinstance(stored["provenance"], Mapping):
            raise damaged(folder, "a text or a provenance of another type")
    except UNREADABLE as error:
        raise damaged(folder, f"{type(error).__name__}: {error}") from None
    return {**stored, "axes": axes}


def axis_labels(protocol: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the labels on each axis of a canonical protocol, in the order of the cube: alphabetical, and seed last.

    >>> axis_labels({"axes": {"seed": [0], "width": {"path": "model.width", "values": [8], "labels": [8]}}})
    {'width': [8], 'seed': [0]}
    """
    if protocol.get("together"):
        return grid_of(protocol).labels
    axes = protocol["axes"]
    return {name: axes[name]["labels"] for name in sorted(axes) if name != "seed"} | {"seed": axes["seed"]}


def checked_cells(facts: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return coordinates and digest of each cell, derived from the protocol, if study.json lists the same.

    Raises
    ------
    Damaged
        If it lists others.
    """
    protocol, listed = facts["protocol"], facts["cells"]
    try:
        for derived in (stored_cells, todays_cells):
            if (cells := derived(protocol)) == listed:
                return cells
    except (ProtocolError, *UNREADABLE) as error:
        raise damaged(folder, f"cells that do not follow from its protocol: {error}") from None
    raise damaged(folder, "cells that are not those of its protocol")


def stored_cells(protocol: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of a canonical protocol with its stored options, as an earlier release named them."""
    sections = {name: protocol[name] for name in Sections.model_fields}
    grid = grid_of(protocol)
    coordinates = [grid.coordinates(position) for position in grid.positions()]
    digests = cell_digests(sections, grid)
    return [{"coordinates": at, "digest": one} for at, one in zip(coordinates, digests, strict=True)]


def todays_cells(protocol: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of a canonical protocol as this release names them.

    They differ from `stored_cells` if an axis sets an option to a value that the canonical form omits.
    """
    cells = Protocol.from_canonical(protocol).cells
    return [{"coordinates": dict(cell.coordinates), "digest": cell.digest} for cell in cells]
