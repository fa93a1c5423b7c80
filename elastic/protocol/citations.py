"""Cite keys: the entries of ``elastic/references.bib``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from elastic.errors import ProtocolError
from elastic.protocol.formatting import dotted
from elastic.protocol.paths import Path
from elastic.protocol.validation_errors import Problem
from elastic.registry import nearest


@cache
def cite_keys() -> tuple[str, ...]:
    """Return the keys of all entries, in the order of the file.

    >>> "papyan2020prevalence" in cite_keys()
    True
    """
    text = resources.files("elastic").joinpath("references.bib").read_text("utf-8")
    return tuple(re.findall(r"^@\w+\{\s*([^\s,]+)\s*,", text, re.MULTILINE))


def unknown_citations(cites: Sequence[object]) -> list[Problem]:
    """Return a problem for each cite that no entry has as its key."""
    known = list(cite_keys())
    if len(cites) > len(known):
        expected = f"be at most {len(known):,} keys, as many as there are"
        error = ProtocolError("`cites`", expected, f"{len(cites):,}", "each key once (elastic/references.bib)")
        return [Problem(("cites",), error)]
    problems = []
    for number, key in enumerate(cites):
        if isinstance(key, str) and key not in known:
            path: Path = ("cites", number)
            hint = f"{nearest(key, known, fallback='another key')} (elastic/references.bib)"
            error = ProtocolError(dotted(path), "be a key of elastic/references.bib", repr(key), hint)
            problems.append(Problem(path, error))
    return problems
