"""``CITATION.cff``: how to cite a study, elastic, and the papers that the study cites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elastic._version import AUTHORS, LICENSE, RELEASED, TITLE, __version__
from elastic.display.recorded import study_title
from elastic.protocol.writing import as_yaml

MESSAGE = (
    "If you use elastic in your work, please cite it, and the papers whose measures you report "
    "(elastic/references.bib)."
)
KEYWORDS = ("neural collapse", "local elasticity", "deep learning theory")


def software_citation() -> dict[str, Any]:
    """Return the citation of elastic, from the repository's CITATION.cff."""
    return {
        "cff-version": "1.2.0",
        "message": MESSAGE,
        "title": TITLE,
        "type": "software",
        "authors": [{"name": author} for author in AUTHORS],
        "version": __version__,
        "date-released": RELEASED,
        "license": LICENSE,
        "keywords": list(KEYWORDS),
    }


def study_citation(protocol: Mapping[str, Any], authors: Sequence[str], date: str, version: str) -> str:
    """Return the CITATION.cff of a study.

    Parameters
    ----------
    protocol
        Canonical; for a recorded study its name, title and the like.
    authors
        Of the study.
    date
        YYYY-MM-DD; "" if unknown.
    version
        Version of elastic that made it.
    """
    software = software_citation()
    used = {key: software[key] for key in ("type", "title", "authors", "license")}
    cited = {
        "cff-version": "1.2.0",
        "message": "Please cite this study, elastic, and the papers whose measures you report.",
        "title": study_title(protocol),
        "type": "dataset",
        "authors": [{"name": author} for author in authors],
        **({"date-released": date} if date else {}),
        "keywords": list(KEYWORDS),
        "references": [{**used, "version": version}],
    }
    return as_yaml(cited)
