"""The cube: storage of measurements, which separates measuring from reading. Needs no torch.

A run writes a `Layout` before it trains and one record per epoch to its `Journal`. `assemble` combines the journals of
a study's runs into one labelled tree, `seal` writes that tree to a Zarr store, `open_sealed` reads it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from elastic.cube.atomic import remove_partials, write_atomically
from elastic.cube.compaction import compact_journal
from elastic.cube.journal import Journal
from elastic.cube.layout import Layout
from elastic.cube.layout_file import read_layout, write_layout
from elastic.cube.manifest import is_sealed, read_manifest, remove_seal, verify_manifest
from elastic.cube.names import RESERVED, TRAINING, Status
from elastic.cube.ownership import run_lock, study_lock, waiting_lock
from elastic.cube.report_file import read_progress, read_report, write_report
from elastic.cube.variable import Layer, Variable

if TYPE_CHECKING:
    from elastic.cube.assembly import assemble
    from elastic.cube.coordinates import with_axes_along
    from elastic.cube.opening import open_sealed
    from elastic.cube.replacing import withdraw_store
    from elastic.cube.sealing import seal

#: Modules of names that are imported on first use, because they import xarray and zarr, which takes long and is not
#: needed for recording.
_HOMES = {
    "assemble": "assembly",
    "open_sealed": "opening",
    "seal": "sealing",
    "with_axes_along": "coordinates",
    "withdraw_store": "replacing",
}

__all__ = [
    "RESERVED",
    "TRAINING",
    "Journal",
    "Layer",
    "Layout",
    "Status",
    "Variable",
    "assemble",
    "compact_journal",
    "is_sealed",
    "open_sealed",
    "read_layout",
    "read_manifest",
    "read_progress",
    "read_report",
    "remove_partials",
    "remove_seal",
    "run_lock",
    "seal",
    "study_lock",
    "verify_manifest",
    "waiting_lock",
    "with_axes_along",
    "withdraw_store",
    "write_atomically",
    "write_layout",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'elastic.cube' has no attribute {name!r}")
    return getattr(importlib.import_module(f"elastic.cube.{_HOMES[name]}"), name)
