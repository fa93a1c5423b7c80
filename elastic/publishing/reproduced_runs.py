"""Results of a reproduction: how each run, variable and verdict compares with the published one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elastic._version import __version__
from elastic.publishing.variable_comparison import DIFFERS, IDENTICAL, UNDECIDED, WITHIN, Compared
from elastic.publishing.verdict_comparison import ComparedVerdict


@dataclass(frozen=True)
class ReproducedRun:
    """One run that was repeated.

    Attributes
    ----------
    coordinates
        Position in the cube.
    environment
        {name: (published, here)} of the differences.
    variables
        Comparison of each variable.
    seconds
        (published, here); None if unknown.
    bits
        Whether values were compared bit by bit.
    """

    coordinates: Mapping[str, Any]
    environment: Mapping[str, tuple[str, str]]
    variables: tuple[Compared, ...]
    seconds: tuple[float | None, float | None]
    bits: bool = True

    @property
    def counts(self) -> dict[str, int]:
        """Number of variables with each outcome."""
        words = [one.outcome for one in self.variables]
        return {word: words.count(word) for word in dict.fromkeys(sorted(words))}

    @property
    def outcome(self) -> str:
        """The worst outcome of its variables."""
        words = {one.outcome for one in self.variables}
        return next((word for word in (DIFFERS, UNDECIDED, WITHIN, IDENTICAL) if word in words), UNDECIDED)


@dataclass(frozen=True)
class Reproduction:
    """Result of running an archive again.

    Attributes
    ----------
    study, study_digest, archive_digest
        Of the published study and its archive.
    folder
        Of the repeated study.
    total
        Number of runs of the published study.
    sample
        How the runs were selected.
    data
        SHA-256 of the data, which equal those of the archive.
    runs, verdicts
        Comparison of each verdict.
    """

    study: str
    study_digest: str
    archive_digest: str
    folder: Path
    total: int
    sample: str
    data: tuple[str, ...]
    runs: tuple[ReproducedRun, ...]
    verdicts: tuple[ComparedVerdict, ...]

    @property
    def reproduced(self) -> bool:
        """Whether every run is identical or within tolerance, and every verdict the same."""
        same = all(run.outcome not in (DIFFERS, UNDECIDED) for run in self.runs)
        return bool(self.runs) and same and all(verdict.same for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Return the contents of reproduction.json."""
        runs = [
            {
                "coordinates": dict(run.coordinates),
                "outcome": run.outcome,
                "compared": "bits" if run.bits else "within tolerance",
                "environment": {name: list(pair) for name, pair in run.environment.items()},
                "seconds": list(run.seconds),
                "variables": [asdict(one) for one in run.variables],
            }
            for run in self.runs
        ]
        return {
            "study": self.study,
            "study_digest": self.study_digest,
            "archive_digest": self.archive_digest,
            "elastic_version": __version__,
            "reproduced": self.reproduced,
            "runs_of_the_study": self.total,
            "sample": self.sample,
            "data": list(self.data),
            "runs": runs,
            "verdicts": [{**asdict(one), "same": one.same} for one in self.verdicts],
        }


def environment_differences(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the differences of two environments that affect bits; an unknown one differs from all.

    >>> environment_differences({"torch": "2.13.0", "threads": "1"}, {"torch": "2.13.0", "threads": "2"})
    {'threads': ('1', '2')}
    >>> environment_differences({}, {"threads": "2"})
    {'threads': ('not recorded', '2')}
    """
    pairs = {name: (before.get(name, "not recorded"), now.get(name, "not recorded")) for name in {**before, **now}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
