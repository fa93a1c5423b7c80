"""protocol.yaml of a study: whether it is the text in study.json, and if not, which of the two is of another study."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.cube.atomic import read_regular
from elastic.errors import ElasticError, NotAllowed, UnknownName
from elastic.protocol.canonical import digest
from elastic.study.seal_state import root_attributes
from elastic.study.study_file import FACTS, FORMER, PROTOCOL, UNREADABLE
from elastic.study.verification.findings import ONE_OF_BOTH, Finding, State
from elastic.study.verification.reading import is_there, misfit, sha256

if TYPE_CHECKING:
    from elastic.protocol import Protocol

#: Message for a protocol.yaml whose writer was killed before writing it.
NOT_YET = "not written yet: the process that {} the study was killed; its next run or verify --repair writes it"


def compared(
    folder: Path,
    facts: Mapping[str, Any],
    cells: Collection[str],
    finding: Finding,
    listed: Mapping[str, str],
    runs: Collection[str],
) -> tuple[Finding, ...]:
    """Return the findings for both files, if study.json agrees with itself.

    Parameters
    ----------
    folder
        Of the study.
    facts, cells
        Contents of study.json, and its names of runs.
    finding
        Of study.json so far.
    listed
        The SHA-256 of the study's sealed files.
    runs
        Names of the folders of runs.
    """
    text, asked = facts["text"].encode(), facts["digest"]
    path = folder / PROTOCOL
    if not is_there(path):
        if is_there(folder / FORMER):
            return finding, Finding(PROTOCOL, State.LEFT_OVER, NOT_YET.format("extended"))
        if runs or listed:
            return finding, Finding(PROTOCOL, State.MISSING)
        return finding, Finding(PROTOCOL, State.LEFT_OVER, NOT_YET.format("began"))
    if wrong := misfit(path):
        return finding, Finding(PROTOCOL, State.DAMAGED, wrong)
    if read_regular(path) == text:
        return finding, Finding(PROTOCOL, State.INTACT)
    other = Finding(PROTOCOL, State.DAMAGED, f"another text than {FACTS} holds")
    if listed.get(FACTS) == sha256(folder / FACTS):
        return finding, other
    wrong_facts = Finding(FACTS, State.DAMAGED, f"another study than that of {PROTOCOL}")
    if listed.get(PROTOCOL) == sha256(path):
        return wrong_facts, Finding(PROTOCOL, State.INTACT)
    if runs and not set(runs) & set(cells):
        return wrong_facts, Finding(PROTOCOL, State.NOT_CHECKABLE, other.found)
    if _is_changed(read_regular(path), text) or _digest_of_asked(folder, runs) in ("", asked):
        return finding, other
    return (
        Finding(FACTS, State.DAMAGED, f"{wrong_facts.found}: {ONE_OF_BOTH}"),
        Finding(PROTOCOL, State.DAMAGED, f"{other.found}: {ONE_OF_BOTH}"),
    )


def alone(folder: Path, listed: Mapping[str, str], runs: Collection[str]) -> Finding:
    """Return the findings for protocol.yaml if no study.json has its text."""
    path = folder / PROTOCOL
    if not is_there(path):
        return Finding(PROTOCOL, State.MISSING)
    if wrong := misfit(path):
        return Finding(PROTOCOL, State.DAMAGED, wrong)
    if PROTOCOL in listed and sha256(path) == listed[PROTOCOL]:
        return Finding(PROTOCOL, State.INTACT)
    # It differs from the sealed one: a study that has been extended since has another text.
    if _digest_of_asked(folder, runs) == "":
        return Finding(PROTOCOL, State.DAMAGED, "no protocol of the runs that are there")
    return Finding(PROTOCOL, State.NOT_CHECKABLE, f"compared with {FACTS} only, which is damaged")


def read_protocol(folder: Path, runs: Collection[str]) -> Protocol:
    """Return the protocol in protocol.yaml, as the existing runs were begun. This needs torch.

    Options that a later release added have their former meaning if the sealed cube, or else the names of the runs,
    show that the study was begun without them (`elastic.protocol.load_protocol`).

    Raises
    ------
    ElasticError
        If it is no protocol, or needs the user's code.
    """
    candidates = _beginnings(folder)
    first = protocol = next(candidates)
    while runs and {cell.digest for cell in protocol.cells}.isdisjoint(runs):
        if (other := next(candidates, None)) is None:
            return first
        protocol = other
    return protocol


def _beginnings(folder: Path) -> Iterator[Protocol]:
    """Yield the protocol as the cube's study was begun, and as any release may have begun it."""
    from elastic.protocol import load_protocol
    from elastic.protocol.earlier_defaults import beginnings

    attrs, begun = root_attributes(folder), None
    with contextlib.suppress(*UNREADABLE):
        stored = json.loads(attrs["canonical_protocol"])
        begun = stored if digest(stored) == attrs["digest"] else None
    if begun is not None:
        yield load_protocol(folder / PROTOCOL, begun=begun)
    yield from beginnings(lambda earlier: load_protocol(folder / PROTOCOL, begun=earlier))


def _digest_of_asked(folder: Path, runs: Collection[str]) -> str | None:
    """Return the digest of protocol.yaml; "" if it is no protocol of the runs, None if that cannot be determined."""
    try:
        protocol = read_protocol(folder, runs)
    except (NotAllowed, UnknownName, ImportError):  # the user's code is not available, or torch is not
        return None
    except ElasticError as error:
        return None if isinstance(error.__cause__, FileNotFoundError) else ""  # another process is rewriting it
    is_of_runs = not runs or not {cell.digest for cell in protocol.cells}.isdisjoint(runs)
    return protocol.digest if is_of_runs else ""


def _is_changed(data: bytes, text: bytes) -> bool:
    """Return whether bytes are a text with a changed byte or without its end, and not the text of another study."""
    if len(data) != len(text):
        return text.startswith(data)
    return sum(one != other for one, other in zip(data, text, strict=True)) == 1
