"""study.json and protocol.yaml: the description of a study, validated against itself.

A study.json contains its checksum (`elastic.cube.checked_files`). What follows from its protocol (digest, axes, cells)
is derived again and compared by `elastic.study.identity`. Files of earlier releases have no checksum, so that only
the derived parts are compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from elastic.cube.atomic import PARTIAL, read_regular, remove_partials, translate_os_errors
from elastic.cube.checked_files import decode_json, write_json
from elastic.errors import Damaged
from elastic.protocol.canonical import digest

FACTS, PROTOCOL = "study.json", "protocol.yaml"

#: A protocol.yaml that is being replaced, together with study.json, by that of the same study with more runs.
FORMER = f".{PROTOCOL}.former{PARTIAL}"

#: Exceptions that JSON, its digest and the models of a protocol raise on damaged contents.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the contents of study.json.

    Raises
    ------
    Damaged
        If it is no JSON object, or is damaged.
    StudyError
        If it cannot be read.
    FileNotFoundError, NotADirectoryError
        If there is none.
    """
    path = folder / FACTS
    try:
        raw = read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError:
        with translate_os_errors(path, "be readable"):
            raise
    try:
        return decode_json(raw)[0]
    except ValueError as error:
        raise damaged(folder, str(error)) from None


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write study.json with its checksum; the caller holds the study's lock, so that unfinished ones have no writer.

    Raises
    ------
    StudyError
        If it cannot be written.
    """
    remove_partials(folder, FACTS)
    write_json(folder / FACTS, facts)


def damaged(folder: Path, found: str) -> Damaged:
    """Return the error of a damaged study.json."""
    begin = "deleting it and running" if os.path.lexists(folder / FACTS) else "running"
    hint = (
        f"{begin} its protocol again: the runs are kept (a Recorder finds them again, too), or "
        f"elastic verify --repair {quote(str(folder))}"
    )
    return Damaged(f"`{FACTS}`", "be readable and as it was written", found, hint, place=str(folder / FACTS))


def check_protocol_file(folder: Path, text: str, asked: str | None = None) -> None:
    """Compare protocol.yaml with the text of the protocol; a missing file is not an error.

    Parameters
    ----------
    folder
        Of the study.
    text
        Expected contents of the file, from study.json.
    asked
        A text that is about to be written to the file, which may already be there.

    Raises
    ------
    Damaged
        If the file holds something else.
    """
    path = folder / PROTOCOL
    with translate_os_errors(path, "be readable"):
        data = read_regular(path) if path.exists() else None
    if data is None or data in {one.encode() for one in (text, asked) if one is not None}:
        return
    hint = (
        f"elastic verify {quote(str(folder))}, which shows which of the two is damaged; or deleting it and running "
        "the study's protocol again: it is written anew from study.json, and the runs are kept"
    )
    raise Damaged(f"`{PROTOCOL}`", f"be the text that {FACTS} holds", "another", hint, place=str(path))


def is_of(folder: Path, protocol_digest: str) -> bool:
    """Return whether a damaged study.json was that of a protocol: it still contains its digest, or the protocol."""
    try:
        raw = read_regular(folder / FACTS)
        return protocol_digest.encode() in raw or digest(json.loads(raw)["protocol"]) == protocol_digest
    except (OSError, *UNREADABLE):
        return False
