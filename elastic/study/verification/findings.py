"""Findings of a verification: one per file, and their summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any


class State(StrEnum):
    """State of a file of a study."""

    INTACT = "intact"
    DAMAGED = "damaged"
    MISSING = "missing"
    LOST = "lost"
    NOT_CHECKABLE = "not checkable"
    FOREIGN = "foreign"
    OUT_OF_DATE = "out of date"
    NOT_COVERED = "not covered"
    LEFT_OVER = "left over"
    SET_ASIDE = "set aside"


#: States of damaged or missing files.
BAD = (State.DAMAGED, State.MISSING)

#: Message for two intact files that do not belong together.
ONE_OF_BOTH = "one of both is of another study"

#: Meaning of the states other than damage.
MEANINGS = {
    State.LOST: "missing, as a repair has noted",
    State.NOT_CHECKABLE: "written by an earlier release, without a checksum",
    State.FOREIGN: "no file of elastic's",
    State.NOT_COVERED: "written from the cube, without a checksum",
    State.LEFT_OVER: "half-written by a process that was killed; the next one removes it",
    State.SET_ASIDE: "moved here by a repair or a run, not read",
}


@dataclass(frozen=True)
class Finding:
    """Finding for one file, or for a folder as a whole.

    Attributes
    ----------
    path
        Path in the study's folder.
    state
        Of the file.
    found
        What was found in place of what is expected, or other details.
    files
        Number of files that it stands for.

    Examples
    --------
    >>> print(Finding("study.json", State.DAMAGED, "a wrong checksum"))
    study.json: damaged: a wrong checksum
    """

    path: str
    state: State
    found: str = ""
    files: int = 1

    def __str__(self) -> str:
        path = f"{self.path} ({self.files} files)" if self.files > 1 else self.path
        detail = self.found or MEANINGS.get(self.state, "")
        return f"{path}: {self.state}{f': {detail}' if detail else ''}"

    @property
    def is_bad(self) -> bool:
        """Whether the file is damaged or missing."""
        return self.state in BAD


@dataclass(frozen=True)
class Verified:
    """The state of every file of a study.

    Attributes
    ----------
    folder
        Of the study.
    files
        One finding per file, including intact ones, sorted by path.
    """

    folder: Path
    files: tuple[Finding, ...]

    @property
    def findings(self) -> list[Finding]:
        """The files that are not intact."""
        return [one for one in self.files if one.state is not State.INTACT]

    @property
    def damaged(self) -> list[Finding]:
        """The files that are damaged or missing."""
        return [one for one in self.files if one.is_bad]

    def lines(self) -> list[str]:
        """Return one line per finding; similar files of one folder share a line if they are no damage."""
        return [str(one) for one in _together(self.findings)]

    def summary(self) -> str:
        """Return the number of files in each state.

        >>> files = (Finding("a", State.INTACT), Finding("b", State.INTACT), Finding("c", State.DAMAGED))
        >>> Verified(Path("s"), files).summary(), Verified(Path("s"), files[:1]).summary()
        ('2 files intact, 1 damaged', '1 file intact')
        """
        count = Counter(dict.fromkeys(State, 0))
        for one in self.files:
            count[one.state] += one.files
        intact = count.pop(State.INTACT)
        named = [f"{n} {state}" for state, n in count.items() if n]
        return ", ".join([f"{intact} {'file' if intact == 1 else 'files'} intact", *named])

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain data."""
        entries = [{"path": one.path, "state": str(one.state), "found": one.found} for one in self.findings]
        counts = Counter(str(one.state) for one in self.files)
        return {"folder": str(self.folder), "damaged": bool(self.damaged), "counts": counts, "findings": entries}


def of_all(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding per path, sorted: damage takes precedence, then the first finding."""
    kept: dict[str, Finding] = {}
    for one in findings:
        before = kept.get(one.path)
        if before is None or (one.is_bad and not before.is_bad):
            kept[one.path] = one
    return [kept[path] for path in sorted(kept)]


def _together(findings: Sequence[Finding]) -> list[Finding]:
    """Merge similar findings of a folder that are no damage."""

    def alike(one: Finding) -> tuple[str, ...]:
        parent = str(PurePosixPath(one.path).parent)
        return (one.path,) if one.is_bad or parent == "." else (parent, one.state, one.found)

    grouped = []
    for _, group in groupby(findings, alike):
        several = list(group)
        first = several[0]
        parent = str(PurePosixPath(first.path).parent)
        grouped.append(
            first
            if len(several) == 1
            else Finding(f"{parent}/", first.state, first.found, sum(f.files for f in several))
        )
    return grouped
