"""study.json and protocol.yaml: what was asked, believed only as far as it agrees with itself.

A study.json ends with the SHA-256 of all that it says. What follows from its protocol (digest, axes, cells) is derived
once more and compared by `elastic.study.identity`. Files of earlier releases have no checksum, only the latter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elastic.cube import write_atomically
from elastic.cube.atomic import explained
from elastic.errors import Damaged, StudyError
from elastic.protocol.canonical import digest

FACTS, PROTOCOL = "study.json", "protocol.yaml"

#: Keys of study.json that are about the file itself, and the version of the format that has them.
VERSION, CHECKSUM = "format", "checksum"
FORMAT = 2

#: What json.loads and the digest of its result raise on damaged bytes.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what study.json says, without the keys that are about the file itself.

    Raises
    ------
    Damaged
        If it is no JSON object, or not as it was written.
    StudyError
        If it cannot be read, or a later release wrote it.
    FileNotFoundError, NotADirectoryError
        If there is none.
    """
    path = folder / FACTS
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError:
        with explained(path, "be readable"):
            raise
    try:
        facts = json.loads(raw)
        if not isinstance(facts, dict):
            raise TypeError(f"{type(facts).__name__} in place of an object")
        return _checked(facts, folder)
    except UNREADABLE as error:
        raise damaged(folder, f"{type(error).__name__}: {error}") from None


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write study.json with its checksum.

    Raises
    ------
    StudyError
        If it cannot be written.
    """
    whole = {**facts, VERSION: FORMAT}
    whole[CHECKSUM] = digest(whole)
    write_atomically(folder / FACTS, (json.dumps(whole, indent=1) + "\n").encode())


def damaged(folder: Path, found: str) -> Damaged:
    """Return the error of a study.json that is not as it was written."""
    hint = (
        "deleting it and running its protocol again: the runs are kept (a Recorder finds them again, too), or "
        f"elastic verify --repair {folder}"
    )
    return Damaged(f"`{FACTS}`", "be readable and as it was written", found, hint, place=str(folder / FACTS))


def check_protocol_file(folder: Path, text: str, asked: str | None = None) -> None:
    """Compare protocol.yaml with the text of the protocol; where the file is missing, nothing is wrong with it.

    Parameters
    ----------
    folder
        Of the study.
    text
        What study.json says that the file holds.
    asked
        A text that is about to be written to the file, which may stand there already.

    Raises
    ------
    Damaged
        If the file holds something else.
    """
    path = folder / PROTOCOL
    with explained(path, "be readable"):
        found = path.read_bytes() if path.exists() else None
    if found is None or found in {one.encode() for one in (text, asked) if one is not None}:
        return
    hint = (
        "deleting it and running the study's protocol again: it is written anew from study.json, and the runs are "
        f"kept; or elastic verify --repair {folder}"
    )
    raise Damaged(f"`{PROTOCOL}`", f"be the text that {FACTS} holds", "another", hint, place=str(path))


def is_of(folder: Path, protocol_digest: str) -> bool:
    """Return whether a damaged study.json was that of a protocol: it still holds its digest, or the protocol itself."""
    try:
        raw = (folder / FACTS).read_bytes()
        return protocol_digest.encode() in raw or digest(json.loads(raw)["protocol"]) == protocol_digest
    except (OSError, *UNREADABLE):
        return False


def _checked(facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the facts without the keys about the file, if its checksum is that of the rest."""
    told = {key: value for key, value in facts.items() if key != CHECKSUM}
    if (VERSION in facts or CHECKSUM in facts) and facts.get(CHECKSUM) != digest(told):
        raise damaged(folder, f"a checksum of other contents ({CHECKSUM})")
    if (version := told.pop(VERSION, FORMAT)) != FORMAT:
        found, hint = f"{VERSION} {version!r}", "the release of elastic that wrote it, or a later one"
        raise StudyError(f"`{FACTS}`", f"have {VERSION} {FORMAT}", found, hint, place=str(folder / FACTS))
    return told
