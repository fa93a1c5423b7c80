"""The layout of each run of a study, found by building one run of each kind without training it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from elastic.cube import Layout
from elastic.protocol import Cell, Protocol, Settings, canonical_json
from elastic.protocol.cells import representatives
from elastic.runs.setup import build_setup, resolve_device

#: Parts of the settings that do not affect the layout.
SILENT: Mapping[str, tuple[str, ...]] = {
    "data": ("seed", "label_noise"),
    "training": ("batch_size", "device", "deterministic", "threads", "init_scale", "penalties"),
}


def planned_layouts(
    protocol: Protocol, allow: Sequence[str], device: str | None, known: Mapping[str, Layout]
) -> dict[str, Layout]:
    """Return the layouts of the `representatives` of a study, by the cell's digest.

    Runs with the same relevant settings share a layout. A run that cannot be built has none: it fails when it is
    run, and the others are kept.

    Parameters
    ----------
    protocol
        Of the study.
    allow, device
        As `elastic.run` takes them.
    known
        Known layouts of cells, by digest.

    Raises
    ------
    ElasticError
        If no run can be built.
    """
    cells = representatives(protocol.cells)
    kinds = {cell.digest: _kind(cell.settings) for cell in cells}
    layouts = {kinds[digest]: layout for digest, layout in known.items() if digest in kinds}
    for cell in cells:
        if kinds[cell.digest] not in layouts:
            with suppress(*([Exception] if layouts else [])):
                layouts[kinds[cell.digest]] = _layout(cell, allow, device)
    return {digest: layouts[kind] for digest, kind in kinds.items() if kind in layouts}


def _layout(cell: Cell, allow: Sequence[str], device: str | None) -> Layout:
    return build_setup(cell.settings, resolve_device(device or cell.settings.training.device), tuple(allow)).layout


def _kind(settings: Settings) -> str:
    """Return the part of a run's settings that determines its layout."""
    canonical = {name: part for name, part in settings.canonical().items() if name != "seed"}
    canonical["optimizer"] = canonical["optimizer"]["name"]
    for section, silent in SILENT.items():
        canonical[section] = {key: value for key, value in canonical[section].items() if key not in silent}
    return canonical_json(canonical)
