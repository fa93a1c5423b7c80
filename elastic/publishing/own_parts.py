"""Parts of a study that its authors registered: an archive names them, and holds no code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from elastic.errors import ElasticError
from elastic.protocol import Cell
from elastic.protocol.sections import COMPONENTS
from elastic.registry import registry
from elastic.study import Study


def parts_of(cells: Sequence[Cell]) -> set[tuple[str, str]]:
    """Return what runs name: (kind, name) of each model, loss, probe and so on."""
    parts = set[tuple[str, str]]()
    for settings in (cell.settings.canonical() for cell in cells):
        for path, kind in COMPONENTS.items():
            parts.add((kind, reduce(lambda part, key: part[key], path, settings)["name"]))
        asked = settings["probes"].items()
        parts |= {("probes", name) for name, options in asked if isinstance(options, dict) and "name" not in options}
    return parts


def own_parts(study: Study) -> list[str]:
    """Return the parts of a study's runs that elastic does not have, such as "losses brier".

    Without torch, and for a protocol that cannot be read here, none is known.
    """
    try:
        parts = sorted(parts_of(study.protocol.cells))
        return [f"{kind} {name}" for kind, name in parts if _is_own(kind, name)]
    except (ElasticError, ImportError):
        return []


def _is_own(kind: str, name: str) -> bool:
    return name not in registry(kind).names() or registry(kind).get(name).is_own
