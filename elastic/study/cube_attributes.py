"""Attributes of the root of a study's cube: the protocol, versions, and the runs that are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from elastic.cube.names import HOW_TO_OPEN
from elastic.study.completeness import named
from elastic.study.recorded import MARK

#: Attribute that lists the runs that a cube leaves out.
LEFT_OUT = "left_out"

#: Attribute that lists the points of the grid that the protocol excludes.
EXCLUDED = "excluded"


def cube_attributes(
    facts: Mapping[str, Any], data_digests: Iterable[str], absent: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the attributes of the root of a study's cube.

    Parameters
    ----------
    facts
        Description of the study: name and title, digest, axes, provenance, and its protocol or settings.
    data_digests
        Of the data of its runs.
    absent
        Cells without data in the cube.
    """
    protocol = facts["protocol"]
    return {
        **HOW_TO_OPEN,
        "title": protocol["title"] or protocol["name"],
        "name": protocol["name"],
        "digest": str(facts["digest"]),
        **_of_source(facts),
        "seeds": facts["axes"]["seed"],
        "data_digest": sorted(set(data_digests)),
        **facts["provenance"],
        **of_absent(absent),
        **_of_excluded(facts),
    }


def axes_along(facts: Mapping[str, Any]) -> dict[str, tuple[str, list[Any]]]:
    """Return the axes of a study that vary together, each with its dim and its labels along it."""
    protocol = facts["protocol"]
    together = {} if MARK in facts else protocol.get("together", {})
    return {name: (dim, protocol["axes"][name]["labels"]) for dim, group in together.items() for name in group["axes"]}


def of_absent(cells: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attribute for cells that are left out; empty if there are none.

    >>> of_absent([{"coordinates": {"seed": 1}}, {"coordinates": {"seed": 2}}]), of_absent([])
    ({'left_out': 'seed=1; seed=2'}, {})
    """
    absent = [named(cell["coordinates"]) for cell in cells]
    return {LEFT_OUT: "; ".join(absent)} if absent else {}


def _of_excluded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attribute for points in the product of the dims that the protocol excludes."""
    conditions = () if MARK in facts else facts["protocol"].get("exclude", ())
    excluded = [named({name: ", ".join(map(str, labels)) for name, labels in one.items()}) for one in conditions]
    return {EXCLUDED: "; ".join(excluded)} if excluded else {}


def _of_source(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes for the origin of the runs."""
    if MARK in facts:
        settings = facts["protocol"]["settings"]
        said = {"features": settings["features"]} if "features" in settings else {}  # from 0.2 on
        return {MARK: facts[MARK], "settings": json.dumps(settings, sort_keys=True), **said}
    return {
        "protocol": facts["text"],
        "canonical_protocol": json.dumps(facts["protocol"], sort_keys=True),
    }
