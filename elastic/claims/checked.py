"""The verdicts on a study's claims, and their file claims.json."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic._version import __version__
from elastic.claims.decision import LEVEL, REFUTED
from elastic.claims.verdicts import ERROR, Verdict
from elastic.cube import write_atomically
from elastic.cube.checked_files import encode_json
from elastic.display import claims_html
from elastic.study.claim_standing import Standing


@dataclass(frozen=True, repr=False)
class Checked:
    """The verdicts on a study's claims; a notebook shows them as a table.

    Attributes
    ----------
    study, digest
        Name and protocol digest of the study.
    verdicts
        One for each claim, in the order of the protocol.
    level
        Confidence level of the intervals.
    standing
        When the study's claims were registered; None for claims of another protocol, which are always exploratory.
    notes
        What is missing in the numbers of the study, or not counted: runs whose folder is gone, copies of runs.
    """

    study: str
    digest: str
    verdicts: tuple[Verdict, ...]
    level: float = LEVEL
    standing: Standing | None = None
    notes: tuple[str, ...] = ()

    @property
    def exploratory(self) -> bool:
        """Whether the claims are not the study's own."""
        return self.standing is None

    @property
    def refuted(self) -> bool:
        """Whether a claim is refuted."""
        return any(verdict.verdict == REFUTED for verdict in self.verdicts)

    @property
    def mistaken(self) -> bool:
        """Whether a claim has an error, so that it could not be checked."""
        return any(verdict.verdict == ERROR for verdict in self.verdicts)

    def __repr__(self) -> str:
        counts = Counter(verdict.verdict for verdict in self.verdicts)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), reverse=True))
        return f"<Checked {self.study!r}: {verdicts or 'nothing claimed'}>"

    def _repr_html_(self) -> str:
        return claims_html(self.to_json()["claims"], "the study has no claims")

    def to_json(self) -> dict[str, Any]:
        """Return the contents of claims.json, as plain data."""
        return {
            "study": self.study,
            "digest": self.digest,
            "level": self.level,
            "elastic_version": __version__,
            "exploratory": self.exploratory,
            "standing": self.standing.to_json() if self.standing else None,
            "claims": [verdict.to_json() for verdict in self.verdicts],
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def write_checked(path: Path, checked: Checked) -> None:
    """Write verdicts, with a checksum, if the file has others: a study in a read-only folder can be checked."""
    data = encode_json(checked.to_json())
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
