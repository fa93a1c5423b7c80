"""study.json and protocol.yaml: what was asked, and which of the two is wrong where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.study.identity import checked_cells, checked_facts
from elastic.study.recorded import MARK, RUN
from elastic.study.study_file import FACTS, PROTOCOL
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.reading import attempted, is_there, misfit, read_object, sha256


@dataclass(frozen=True)
class Description:
    """What a study says that it is.

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
    stored, found = read_object(folder / FACTS, FACTS)
    runs = sorted(path.name for path in (folder / "runs").iterdir()) if (folder / "runs").is_dir() else []
    if stored is None:
        recorded = any(is_there(folder / "runs" / run / RUN) for run in runs) and not is_there(folder / PROTOCOL)
        found = found or Finding(FACTS, State.MISSING)
        return Description(None, recorded, (), (found, *([] if recorded else _unread_protocol(folder, listed))))
    assert found is not None
    if MARK in stored:
        return _recorded(folder, stored, found)
    facts, wrong = attempted(lambda: checked_facts(stored, folder))
    cells, wrong = (None, wrong) if facts is None else attempted(lambda: checked_cells(facts, folder))
    if facts is None or cells is None:
        protocol = _unread_protocol(folder, listed)
        return Description(None, False, (), (Finding(FACTS, State.DAMAGED, wrong), *protocol))
    digests = tuple(cell["digest"] for cell in cells)
    findings = _compared(folder, facts["text"].encode(), found, listed, bool(runs) and not set(runs) & set(digests))
    if any(one.is_bad and one.path == FACTS for one in findings):
        return Description(None, False, (), findings)
    return Description(facts, False, digests, findings)


def _recorded(folder: Path, stored: dict[str, Any], found: Finding) -> Description:
    names, name = stored.get("coordinates"), stored.get("name")
    if not isinstance(names, list) or not isinstance(name, str) or not isinstance(stored.get("provenance"), dict):
        return Description(None, True, (), (Finding(FACTS, State.DAMAGED, "no coordinates, name or provenance"),))
    runs = {path.parent.name: read_object(path, RUN)[0] for path in sorted((folder / "runs").glob(f"*/{RUN}"))}
    given = [facts.get("coordinates") for facts in runs.values() if facts]
    others = [at for at in given if not isinstance(at, dict) or set(at) != set(map(str, names))]
    if others and len(others) == len(given):
        wrong = f"coordinates that no run has: {', '.join(map(str, names))}"
    elif runs and all(facts and facts.get("study", name) != name for facts in runs.values()):
        wrong = f"the study {name!r}, of which no run is"
    else:
        return Description(stored, True, (), (found,))
    return Description(None, True, (), (Finding(FACTS, State.DAMAGED, wrong),))


def _unread_protocol(folder: Path, listed: Mapping[str, str]) -> list[Finding]:
    """Return what is found of protocol.yaml where no study.json tells its text."""
    path = folder / PROTOCOL
    if not is_there(path):
        return [Finding(PROTOCOL, State.MISSING)]
    if wrong := misfit(path):
        return [Finding(PROTOCOL, State.DAMAGED, wrong)]
    if PROTOCOL in listed:
        is_listed = sha256(path) == listed[PROTOCOL]
        return [
            Finding(PROTOCOL, State.INTACT if is_listed else State.DAMAGED, "" if is_listed else "a wrong checksum")
        ]
    return [Finding(PROTOCOL, State.NOT_CHECKABLE, f"compared with {FACTS} only, which is damaged")]


def _compared(
    folder: Path, text: bytes, found: Finding, listed: Mapping[str, str], no_run_is_its: bool
) -> tuple[Finding, ...]:
    """Return what is found of both files, given the text that study.json holds."""
    path = folder / PROTOCOL
    if not is_there(path):
        return found, Finding(PROTOCOL, State.MISSING)
    if wrong := misfit(path):
        return found, Finding(PROTOCOL, State.DAMAGED, wrong)
    if path.read_bytes() == text:
        return found, Finding(PROTOCOL, State.INTACT)
    other = f"another text than {FACTS} holds"
    if listed.get(FACTS) == sha256(folder / FACTS):
        return found, Finding(PROTOCOL, State.DAMAGED, other)
    wrong_facts = Finding(FACTS, State.DAMAGED, f"another study than that of {PROTOCOL}")
    if listed.get(PROTOCOL) == sha256(path):
        return wrong_facts, Finding(PROTOCOL, State.INTACT)
    if no_run_is_its:
        return wrong_facts, Finding(PROTOCOL, State.NOT_CHECKABLE, other)
    if _is_changed(path.read_bytes(), text):
        return found, Finding(PROTOCOL, State.DAMAGED, other)
    return wrong_facts, Finding(PROTOCOL, State.DAMAGED, f"another study than that of {FACTS}")


def _is_changed(found: bytes, text: bytes) -> bool:
    """Return whether bytes are a text with a changed byte or without its end, and not the text of another study."""
    if len(found) != len(text):
        return text.startswith(found)
    return sum(one != other for one, other in zip(found, text, strict=True)) == 1
