"""The verdicts on a study's claims, and their file claims.json."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elastic._version import __version__
from elastic.claims.decision import LEVEL, REFUTED
from elastic.claims.verdicts import ERROR, Verdict
from elastic.cube import write_atomically
from elastic.cube.atomic import is_forbidden
from elastic.cube.checked_files import encode_json
from elastic.display import claims_html
from elastic.errors import StudyError
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
        What is missing in the numbers of the study, or not counted: runs whose folder is gone, copies of runs. Of a
        study that this user may not write, that its claims.json is not written.
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
    """Write verdicts, with a checksum, if the file has others."""
    data = encode_json(checked.to_json())
    with suppress(OSError):  # what this user may not read is to be replaced
        if path.is_file() and path.read_bytes() == data:
            return
    write_atomically(path, data)


def keep_checked(path: Path, checked: Checked) -> Checked:
    """Write verdicts into the folder of their study, and return them; with a note where this user may not write.

    Raises
    ------
    StudyError
        For every other error: a full disk, …
    """
    try:
        write_checked(path, checked)
    except StudyError as error:
        if not is_forbidden(error):
            raise
        return replace(checked, notes=(*checked.notes, f"{path} is not written: {error.found}"))
    return checked
