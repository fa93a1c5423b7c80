"""``claims_history.json``: when each set of claims was registered, and which results existed at that time.

Entries are only appended. An entry is one of four events:

- ``claims``: claims were registered, with their digest, and how many runs had records;
- ``verdicts``: verdicts were computed, on which seeds; before all runs had ended, or without a run, ``recorded`` has
  the seeds that had records;
- ``restart``: runs were dropped;
- ``published``: first publication of a study without any other recorded time.

The times come from the clock of this machine and prove nothing by themselves. A digest published elsewhere
before the first run does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elastic._version import __version__
from elastic.cube import read_manifest, remove_partials, study_lock
from elastic.cube.checked_files import read_json, write_json
from elastic.cube.epoch_files import FOLDER, record_files
from elastic.errors import Damaged, StudyError
from elastic.protocol.canonical import digest
from elastic.study.folders import RUNS

FILE = "claims_history.json"

#: Events.
CLAIMS, VERDICTS, RESTART, PUBLISHED = "claims", "verdicts", "restart", "published"

#: Key of an entry of verdicts: the seeds that had records, if runs of the study had none or had not ended.
RECORDED = "recorded"

#: File whose presence shows that verdicts were computed before there was a history.
CHECKED = "claims.json"

Entry = Mapping[str, Any]


def claims_digest(claims: Iterable[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of claims with all options written out; it is independent of the seeds and other parts.

    Parameters
    ----------
    claims
        As the canonical protocol lists them.

    Examples
    --------
    >>> claims_digest([])[:16] == digest({"claims": []})[:16]
    True
    """
    return digest({"claims": [dict(claim) for claim in claims]})


def read_history(folder: Path) -> tuple[Entry, ...]:
    """Return the entries of a study's history, oldest first; none for a study of an earlier release.

    Raises
    ------
    Damaged
        If the file is damaged.
    StudyError
        If it cannot be read.
    """
    return tuple(_stored(folder).get("entries", ()))


def _stored(folder: Path) -> dict[str, Any]:
    hint = "putting a copy back, or deleting it: then the time of the claims is unknown"
    stored = read_json(folder / FILE, hint, checked=True) or {}
    entries = stored.get("entries", [])
    if not isinstance(entries, list) or not all(isinstance(one, dict) and "event" in one for one in entries):
        raise Damaged(f"`{FILE}`", "list events", "something else", hint, place=str(folder / FILE))
    return stored


def other_study(
    stored: Mapping[str, Any], name: str, claims: Sequence[Mapping[str, Any]], study_digest: str | None
) -> str:
    """Return why a history belongs to another study; "" if it belongs to this one, or contains no evidence.

    Parameters
    ----------
    stored
        Contents of the file.
    name, claims, study_digest
        Of the study; None for the digest of a recorded one.
    """
    if stored.get("study") != name:
        return f"the history of the study {stored.get('study')!r}"
    known = [one for one in stored.get("entries", ()) if one.get("event") == CLAIMS]
    # A process killed before it wrote study.json leaves an additional entry.
    digests = {(one.get("claims_digest"), one.get("study_digest")) for one in known}
    if known and (claims_digest(claims), study_digest) not in digests:
        return "claims that were registered for another study.json"
    return ""


def register_claims(
    folder: Path, name: str, claims: Sequence[Mapping[str, Any]], study_digest: str | None, axes: Mapping[str, Any]
) -> Entry | None:
    """Append an entry for claims about to be written to study.json; the caller holds the study's lock.

    Parameters
    ----------
    folder, name
        Of the study.
    claims
        As the canonical protocol lists them.
    study_digest
        Of the protocol; None of a recorded study, whose digest depends on its records.
    axes
        Labels on each axis.

    Returns
    -------
    mapping or None
        The new entry; None if the same is registered already, or the history is damaged.
    """
    try:
        before = read_history(folder)
    except Damaged:  # kept as it is: `elastic check` and `elastic verify` say so
        return None
    last = next((one for one in reversed(before) if one["event"] == CLAIMS), None)
    known = claims_digest(claims)
    same = last is not None and (last["claims_digest"], last["study_digest"], last["axes"]) == (
        known,
        study_digest,
        dict(axes),
    )
    if same and before[-1]["event"] != RESTART:
        return None
    entry = {
        "event": CLAIMS,
        "claims_digest": known,
        "study_digest": study_digest,
        "claims": [dict(claim) for claim in claims],
        "axes": dict(axes),
        **_evidence(folder, before),
    }
    return _append(folder, before, entry, name)


def register_restart(folder: Path) -> None:
    """Append an entry for a restart, which drops the runs of a study, if there are any."""
    with suppress(Damaged):
        before = read_history(folder)
        evidence = _evidence(folder, before)
        if evidence["runs_with_records"] or evidence["cube_seen"]:
            with study_lock(folder):
                _append(folder, read_history(folder), {"event": RESTART, **evidence})


def register_verdicts(
    folder: Path, claims: Sequence[Mapping[str, Any]], seeds: Sequence[Any], recorded: Sequence[Any] | None = None
) -> None:
    """Append an entry for verdicts, unless it equals the last one; do nothing in a read-only folder.

    Parameters
    ----------
    folder, claims
        Of the study.
    seeds
        All seeds of the study.
    recorded
        Those with records, if the verdicts are not on all runs to their ends. Without any there are no verdicts.
    """
    if recorded is not None and not recorded:
        return
    asked = {"claims_digest": claims_digest(claims), "seeds": list(seeds)}
    partial = {} if recorded is None else {RECORDED: list(recorded)}
    with suppress(StudyError):
        before = read_history(folder)
        last = next((one for one in reversed(before) if one["event"] == VERDICTS), None)
        known = last and {key: last[key] for key in (*asked, RECORDED) if key in last}
        if not before or known == {**asked, **partial}:
            return
        with study_lock(folder):
            _append(folder, read_history(folder), {"event": VERDICTS, **asked, **partial})


def register_publication(folder: Path, name: str) -> None:
    """Append an entry for the publication of a study with an empty history; do nothing in a read-only folder."""
    with suppress(StudyError):
        if not read_history(folder):
            with study_lock(folder):
                if not read_history(folder):  # another process may have begun it meanwhile
                    _append(folder, (), {"event": PUBLISHED}, name)


def write_history(folder: Path, name: str | None, entries: Sequence[Entry]) -> None:
    """Write a history with its checksum; the caller holds the study's lock, so that unfinished ones have no writer."""
    remove_partials(folder, FILE)
    write_json(folder / FILE, {"study": name, "entries": [dict(entry) for entry in entries]})


def _evidence(folder: Path, before: Sequence[Entry]) -> dict[str, Any]:
    """Return which results of the study existed so far, including those of runs dropped since."""
    runs = sorted((folder / RUNS).iterdir()) if (folder / RUNS).is_dir() else []
    begun = sum(bool(record_files(run / FOLDER)) for run in runs if (run / FOLDER).is_dir())
    # A history has entries of its own for verdicts; a claims.json is also written where no run has records yet.
    seen = bool(read_manifest(folder)) or (not before and (folder / CHECKED).exists())
    return {
        "runs_with_records": max(begun, *(one.get("runs_with_records", 0) for one in before), 0),
        "cube_seen": seen or any(one.get("cube_seen", False) or one["event"] == VERDICTS for one in before),
    }


def _append(folder: Path, before: Sequence[Entry], entry: dict[str, Any], name: str | None = None) -> Entry:
    made = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "elastic_version": __version__}
    entry = {**entry, **made}
    write_history(folder, name or _stored(folder).get("study"), [*before, entry])
    return entry
