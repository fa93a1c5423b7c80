"""claims.json, which `elastic check` can write again, and the history of the claims, which nothing can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elastic.display.verdicts import FILE
from elastic.study.claim_history import FILE as HISTORY
from elastic.study.claim_history import other_study
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.reading import attempted, read_object


def check_claims(folder: Path, name: str | None, digest: str | None) -> list[Finding]:
    """Return the findings for a study's claims.json; none if it does not exist.

    Parameters
    ----------
    folder
        Of the study.
    name, digest
        Of the study; None if they are not known.
    """
    facts, finding = read_object(folder / FILE, FILE)
    if facts is None or finding is None:
        return [] if finding is None else [finding]
    if name is not None and facts.get("study") != name:
        return [Finding(FILE, State.DAMAGED, f"verdicts on the study {facts.get('study')!r}")]
    if digest is not None and facts.get("digest") != digest:
        return [Finding(FILE, State.OUT_OF_DATE, f"verdicts on another state of the study: elastic check {folder}")]
    return [finding]


def check_history(
    folder: Path, name: str | None, claims: Sequence[Mapping[str, Any]], digest: str | None
) -> list[Finding]:
    """Return the findings for a study's claims_history.json; none if it does not exist (earlier releases).

    Parameters
    ----------
    folder
        Of the study.
    name, claims
        Of the study; no name if they are not known.
    digest
        Of its protocol; None of a recorded study.
    """
    stored, finding = read_object(folder / HISTORY, HISTORY)
    if stored is None or finding is None:
        return [] if finding is None else [finding]
    wrong, failed = (None, "") if name is None else attempted(lambda: other_study(stored, name, claims, digest))
    return [Finding(HISTORY, State.DAMAGED, wrong or failed) if wrong or failed else finding]
