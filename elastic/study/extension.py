"""What may change in a protocol of an existing study."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from elastic.protocol.canonical import explain_difference

#: Parts of a protocol that may change in an existing study: its runs are kept, new ones are added.
EXTENSIBLE = ("axes", "together", "exclude", "claims", "cites", "question", "title")


def fixed_differences(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return where two canonical protocols differ in parts that must be the same for all runs of a study.

    Returns
    -------
    list of str
        Lines as `explain_difference` gives them: the path, a colon, and both values.
    """
    set_by_axes = _paths_of_axes(begun["axes"]) & _paths_of_axes(asked["axes"])
    lines = explain_difference(begun, asked)
    return [line for line in lines if _is_fixed(line.partition(":")[0].split("."), set_by_axes)]


def _paths_of_axes(axes: Mapping[str, Any]) -> set[tuple[str, ...]]:
    return {tuple(axis["path"].split(".")) for name, axis in axes.items() if name != "seed"}


def _is_fixed(path: Sequence[str], set_by_axes: Collection[tuple[str, ...]]) -> bool:
    """Return whether a part of a protocol must be the same for all runs of a study.

    The sections of a canonical protocol are those of its first run: what an axis sets changes with the first value.
    """
    return path[0] not in EXTENSIBLE and not any(tuple(path[: len(axis)]) == axis for axis in set_by_axes)
