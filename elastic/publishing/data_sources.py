"""``data.json``: digests of the data of a study, how to get them, and their licence.

Each data set declares its source in its own module (`elastic.data.source.Source`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from elastic.data.source import OWN, UNKNOWN, Source
from elastic.errors import UnknownName
from elastic.registry import registry
from elastic.study import Study


def data_of(study: Study) -> dict[str, Any]:
    """Return the facts of a study's data: a digest for each run, and the source of a data set that elastic reads.

    The digest is the SHA-256 of the samples as the run used them, after the choice of classes, split and
    normalisation. `elastic reproduce` compares it before it trains.
    """
    digests: dict[str, list[str]] = {}
    for run in study.runs():
        if digest := study.run_report(run.cell).get("data_digest"):
            digests.setdefault(str(digest), []).append(run.cell)
    protocol = study.facts["protocol"]
    options = {} if study.recorded else dict(protocol.get("data") or {})
    name = str(options.get("name", ""))
    return {
        "name": name or None,
        "options": options,
        "source": asdict(_source_of(name)),
        "included": False,
        "digests": [{"sha256": digest, "runs": cells} for digest, cells in digests.items()],
    }


def _source_of(name: str) -> Source:
    """Return the declared source of a data set; for an unknown name, that of a user's own data."""
    if not name:
        return OWN
    try:
        facts = registry("data").get(name).facts
    except UnknownName:
        return OWN
    except ImportError:  # modules of data sets import torch, and studies are published without it
        return UNKNOWN
    return facts if isinstance(facts, Source) else OWN
