"""study.json and protocol.yaml: each is rewritten from the other, from the sealed cube, or from the runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elastic.cube.atomic import read_regular, write_atomically
from elastic.cube.manifest import list_again
from elastic.errors import ElasticError, NotAllowed
from elastic.protocol.canonical import digest
from elastic.study.description import description
from elastic.study.identity import axis_labels, stored_cells
from elastic.study.provenance import provenance
from elastic.study.recorded import FORMAT, MARK, RUN, read_runs, recorded_facts
from elastic.study.repair.actions import Actions
from elastic.study.seal_state import ROOT, root_attributes
from elastic.study.sealed_facts import sealed_facts
from elastic.study.study_file import FACTS, FORMER, PROTOCOL, UNREADABLE, read_facts, write_facts
from elastic.study.verification import Finding, State, Verified
from elastic.study.verification.findings import ONE_OF_BOTH
from elastic.study.verification.protocol_file import read_protocol
from elastic.study.verification.reading import misfit, read_object


def repair_description(actions: Actions, verified: Verified) -> None:
    """Rewrite study.json and protocol.yaml if they are damaged or missing and their contents are known."""
    state = {one.path: one for one in verified.files}
    wrong = [name for name in (FACTS, PROTOCOL) if name in state and is_to_be_written(state[name])]
    if not wrong:
        return
    is_sealed = ROOT in state and state[ROOT].state is State.INTACT
    attrs = root_attributes(actions.folder) if is_sealed else {}
    if any((actions.folder / "runs").glob(f"*/{RUN}")) and not (actions.folder / PROTOCOL).exists():
        _write_recorded(actions, attrs)
    elif wrong == [PROTOCOL]:
        text = read_facts(actions.folder)["text"]
        _write_text(actions, text)
        (actions.folder / FORMER).unlink(missing_ok=True)
    elif wrong == [FACTS]:
        _write_from_protocol(actions, attrs)
    elif "canonical_protocol" in attrs and _runs_are_of(actions, json.loads(attrs["canonical_protocol"])):
        _write_from_cube(actions, attrs)
    else:
        for name in wrong:
            actions.say(name, f"left as it is: no intact file says what was asked; {_way_out(state)}")


def is_to_be_written(finding: Finding) -> bool:
    """Return whether a file is damaged or missing, or its writer was killed before writing it."""
    return finding.path in (FACTS, PROTOCOL) and (finding.is_bad or finding.state is State.LEFT_OVER)


def _way_out(state: Mapping[str, Finding]) -> str:
    if all(ONE_OF_BOTH in state[name].found for name in (FACTS, PROTOCOL)):
        return "move the one of both away that is of another study, and repair again"
    return "put back a copy of it, or run the protocol again"


def _write_from_protocol(actions: Actions, attrs: Mapping[str, Any]) -> None:
    """Write study.json from protocol.yaml, or from the sealed cube if that has the same text with another meaning."""
    begun = _begun(actions)
    is_sealed_text = attrs.get("protocol", "").encode() == read_regular(actions.folder / PROTOCOL)
    try:
        protocol = read_protocol(actions.folder, begun)
    except ElasticError as error:
        if is_sealed_text:
            _write_from_cube(actions, attrs)
        elif isinstance(error, NotAllowed):
            what = "a protocol with code of your own writes it anew when it is run (--allow)"
            actions.say(FACTS, f"left as it is: {what}")
        else:
            actions.say(FACTS, f"left as it is: {error}")
        return
    if is_sealed_text and protocol.digest != attrs["digest"]:  # another release sealed it
        _write_from_cube(actions, attrs)
        return
    if begun and {cell.digest for cell in protocol.cells}.isdisjoint(begun):
        actions.say(FACTS, f"left as it is: no run is of {PROTOCOL}, which may be damaged itself")
        return
    known = sealed_facts(actions.folder, protocol.digest) is not None
    versions = "as the sealed cube has them" if known else "those of now"
    what = f"written anew from {PROTOCOL}; its versions are {versions}"
    _write_facts(actions, description(actions.folder, protocol), attrs, what)


def _write_facts(actions: Actions, facts: Mapping[str, Any], attrs: Mapping[str, Any], what: str) -> None:
    """Write study.json, and protocol.yaml unless it holds the same text; at least one of them exists at any time."""
    actions.set_aside(FACTS)
    write_facts(actions.folder, facts)
    actions.say(FACTS, what)
    _write_text(actions, facts["text"])
    if facts["digest"] == attrs.get("digest"):  # written from the cube, the same contents may be in another order
        list_again(actions.folder, FACTS)


def _write_from_cube(actions: Actions, attrs: Mapping[str, Any]) -> None:
    """Write study.json and protocol.yaml from the attributes of the sealed cube."""
    try:
        protocol = json.loads(attrs["canonical_protocol"])
        facts = {
            "protocol": protocol,
            "digest": attrs["digest"],
            "text": attrs["protocol"],
            "axes": axis_labels(protocol),
            "cells": stored_cells(protocol),
            "provenance": _provenance(attrs),
        }
        if digest(protocol) != attrs["digest"]:
            raise ValueError("a digest of another protocol")
    except UNREADABLE as error:
        actions.say(FACTS, f"left as it is: the sealed cube does not say what was asked ({error})")
        return
    _write_facts(actions, facts, attrs, "written anew from the sealed cube")
    later = _begun(actions) - {cell["digest"] for cell in facts["cells"]}
    if later:
        what = f"{len(later)} runs were added after the cube was sealed: run the protocol that asks for them again"
        actions.say(FACTS, what)


def _write_text(actions: Actions, text: str) -> None:
    """Write protocol.yaml unless it holds this text."""
    path = actions.folder / PROTOCOL
    if not misfit(path) and read_regular(path) == text.encode():
        return
    actions.set_aside(PROTOCOL)
    write_atomically(path, text.encode())
    actions.say(PROTOCOL, f"written anew, as {FACTS} holds it")


def _write_recorded(actions: Actions, attrs: Mapping[str, Any]) -> None:
    """Write study.json of a recorded study from its runs, and from the sealed cube if there is one."""
    folder = actions.folder
    try:
        runs = read_runs(folder)
        names = list(runs[0].coordinates)
        if any(list(run.coordinates) != names for run in runs):
            raise ValueError("runs with different coordinates")
        name_in_records = next(filter(None, (_study_name(run.folder) for run in runs)), None)
    except (ElasticError, ValueError, IndexError) as error:
        actions.say(FACTS, f"left as it is: its runs do not say what it was ({error})")
        return
    name = attrs.get("name") or name_in_records or folder.resolve().name
    made_with = _provenance(attrs) if attrs else provenance()
    blank: dict[str, Any] = {"title": None, "question": None, "cites": [], "claims": []}
    facts = {MARK: FORMAT, "name": name, "coordinates": names, **blank, "provenance": made_with}
    for attempt in _attempts(folder, facts, attrs):
        if attrs and recorded_facts(folder, attempt)["digest"] == attrs.get("digest"):
            facts, is_known = attempt, True
            break
    else:
        is_known = False
        facts["title"] = None if attrs.get("title") == name else attrs.get("title")
    actions.set_aside(FACTS)
    write_facts(folder, facts)
    lost = "its digest is that of the sealed cube" if is_known else "title, question, cites and claims may be lost"
    actions.say(FACTS, f"written anew from the runs; {lost}")


def _attempts(folder: Path, facts: Mapping[str, Any], attrs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield candidates for the contents of study.json: the digest of the sealed cube identifies the right one."""
    checked, _ = read_object(folder / "claims.json", "claims.json")
    verdicts = (checked or {}).get("claims") or []
    claims: list[Any] = [[]]
    claims += [[{"name": one["name"], **one["options"]} for one in verdicts if {"name", "options"} <= one.keys()]]
    for title in (None, attrs.get("title"), ""):
        for of_claims in claims:
            yield {**facts, "title": title, "claims": of_claims}


def _provenance(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the versions in the attributes of a cube, where a mapping is JSON text."""
    return {
        key: json.loads(attrs[key]) if isinstance(value, dict) and isinstance(attrs[key], str) else attrs[key]
        for key, value in provenance().items()
        if key in attrs
    }


def _study_name(run: Path) -> str | None:
    facts, _ = read_object(run / RUN, RUN)
    name = (facts or {}).get("study")
    return name if isinstance(name, str) else None


def _begun(actions: Actions) -> set[str]:
    """Return the folder names of runs that have started."""
    return {path.parent.name for path in (actions.folder / "runs").glob("*/layout.json")}


def _runs_are_of(actions: Actions, protocol: Mapping[str, Any]) -> bool:
    """Return whether a run that has started is a cell of a canonical protocol, or none has started."""
    begun = _begun(actions)
    try:
        return not begun or not begun.isdisjoint(cell["digest"] for cell in stored_cells(protocol))
    except (ElasticError, *UNREADABLE):
        return False
