"""study.json: whether it agrees with itself, with protocol.yaml, and with the existing runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.study.identity import checked_cells, checked_facts
from elastic.study.recorded import MARK, RUN, check_header
from elastic.study.study_file import FACTS, PROTOCOL
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.protocol_file import alone, compared
from elastic.study.verification.reading import attempted, is_there, read_object


@dataclass(frozen=True)
class Description:
    """The description of a study, and its findings.

    Attributes
    ----------
    facts
        Contents of an intact study.json, else None.
    recorded
        Whether training loops recorded it.
    cells
        Digests of the runs of an intact protocol's study.
    findings
        Of study.json and protocol.yaml.
    """

    facts: Mapping[str, Any] | None
    recorded: bool
    cells: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def digest(self) -> str | None:
        """Digest of the protocol; None of a recorded study, or if it is not known."""
        return None if self.facts is None or self.recorded else str(self.facts["digest"])


def described(folder: Path, listed: Mapping[str, str]) -> Description:
    """Check study.json and protocol.yaml of a study.

    Parameters
    ----------
    folder
        Of the study.
    listed
        The SHA-256 of its sealed files, as an intact manifest has them.
    """
    stored, finding = read_object(folder / FACTS, FACTS)
    runs = sorted(path.name for path in (folder / "runs").iterdir()) if (folder / "runs").is_dir() else []
    if stored is None:
        recorded = any(is_there(folder / "runs" / run / RUN) for run in runs) and not is_there(folder / PROTOCOL)
        finding = finding or Finding(FACTS, State.MISSING)
        return Description(None, recorded, (), (finding,) if recorded else (finding, alone(folder, listed, runs)))
    assert finding is not None
    if MARK in stored:
        return _recorded(folder, stored, finding)
    facts, wrong = attempted(lambda: checked_facts(stored, folder))
    cells, wrong = (None, wrong) if facts is None else attempted(lambda: checked_cells(facts, folder))
    if facts is None or cells is None:
        return Description(None, False, (), (Finding(FACTS, State.DAMAGED, wrong), alone(folder, listed, runs)))
    digests = tuple(cell["digest"] for cell in cells)
    findings = compared(folder, facts, digests, finding, listed, runs)
    if any(one.is_bad and one.path == FACTS for one in findings):
        return Description(None, False, (), findings)
    return Description(facts, False, digests, findings)


def _of_others(name: str, runs: Mapping[str, Mapping[str, Any] | None]) -> Iterator[Finding]:
    """Yield the runs that were recorded in another study and copied here, perhaps intentionally."""
    for cell, facts in runs.items():
        if facts and (other := facts.get("study", name)) != name:
            yield Finding(f"runs/{cell}/{RUN}", State.FOREIGN, f"a run of the study {other!r}, copied here")


def _recorded(folder: Path, stored: dict[str, Any], finding: Finding) -> Description:
    try:
        check_header(stored)
    except (KeyError, TypeError, ValueError) as error:
        return Description(None, True, (), (Finding(FACTS, State.DAMAGED, f"{type(error).__name__}: {error}"),))
    names, name = stored["coordinates"], stored["name"]
    runs = {path.parent.name: read_object(path, RUN)[0] for path in sorted((folder / "runs").glob(f"*/{RUN}"))}
    given = [facts.get("coordinates") for facts in runs.values() if facts]
    others = [at for at in given if not isinstance(at, dict) or set(at) != set(map(str, names))]
    if others and len(others) == len(given):
        wrong = f"coordinates that no run has: {', '.join(map(str, names))}"
    elif runs and all(facts and facts.get("study", name) != name for facts in runs.values()):
        wrong = f"the study {name!r}, of which no run is"
    else:
        return Description(stored, True, (), (finding, *_of_others(name, runs)))
    return Description(None, True, (), (Finding(FACTS, State.DAMAGED, wrong),))
