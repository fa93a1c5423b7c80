"""Registered probes in a protocol: ``probes: {weights: {per_class: 100}}``, in addition to collapse and elasticity."""

from __future__ import annotations

from typing import Any

from elastic.protocol.components import complete_options
from elastic.protocol.later_options import Earlier, never
from elastic.protocol.paths import Path, put
from elastic.protocol.probes_section import Probes
from elastic.protocol.validation_errors import Problem, unknown_key
from elastic.registry import Entry, registry

#: Dims of many groups, which claims select by separate options.
COMMON = ("split", "layer")


def by_name() -> dict[str, Entry]:
    """Return the registered probes other than collapse and elasticity, in alphabetical order."""
    return {entry.name: entry for entry in registry("probes") if entry.name not in Probes.model_fields}


def dims_of_probes() -> tuple[str, ...]:
    """Return the dims of all probes' groups except ``split`` and ``layer``."""
    return tuple(sorted({dim for entry in registry("probes") for dim in entry.facts.dims} - {*COMMON}))


def names_of_probes() -> frozenset[str]:
    """Return the names of all probes' groups and dims, which are reserved in the cube."""
    return frozenset(dims_of_probes()).union(COMMON, (entry.facts.group for entry in registry("probes")))


def with_unseen_probe(written: dict[str, Any]) -> dict[str, Any]:
    """Enable the probe `unseen` in a protocol that holds out classes and does not mention the probe.

    Examples
    --------
    >>> with_unseen_probe({"data": {"name": "digits", "unseen": [8, 9]}})["probes"]
    {'unseen': {}}
    >>> with_unseen_probe({"data": {"unseen": [8, 9]}, "probes": {"unseen": None}})["probes"]
    {'unseen': None}
    """
    data, probes, axes = (written.get(key, {}) for key in ("data", "probes", "axes"))
    paths = [axis.get("path") for axis in axes.values() if isinstance(axis, dict)] if isinstance(axes, dict) else []
    asked = (isinstance(data, dict) and data.get("unseen") is not None) or "data.unseen" in paths
    if not asked or not isinstance(probes, dict) or "unseen" in probes:
        return written
    return {**written, "probes": {**probes, "unseen": {}}}


def complete_probes(written: dict[str, Any], earlier: Earlier = never) -> tuple[dict[str, Any], list[Problem]]:
    """Fill in the options of registered probes in ``{"probes": …}``; return it and its problems.

    Parameters
    ----------
    written
        ``{"probes": …}`` as written by the user, or empty. A probe that is null or not a mapping stays unchanged.
    earlier
        See `elastic.protocol.components.complete`.
    """
    probes = written.get("probes")
    further = {k: v for k, v in probes.items() if k not in Probes.model_fields} if isinstance(probes, dict) else {}
    entries, problems = by_name() if further else {}, []
    for name, options in further.items():
        path: Path = ("probes", name)
        if name not in entries:
            problems.append(unknown_key(path, [*Probes.model_fields, *entries]))
        elif isinstance(options, dict):
            completed, option_problems = complete_options(path, entries[name], options, earlier=earlier)
            problems += option_problems
            written = put(written, path, completed)
    return written, problems
