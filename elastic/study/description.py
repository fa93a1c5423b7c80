"""study.json and protocol.yaml of a protocol: their contents, and the order in which they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elastic.cube import remove_partials, write_atomically
from elastic.cube.atomic import sync_folder, translate_os_errors
from elastic.protocol import Protocol
from elastic.study.provenance import provenance
from elastic.study.sealed_facts import sealed_facts
from elastic.study.study_file import FORMER, PROTOCOL, write_facts


def description(folder: Path, protocol: Protocol) -> dict[str, Any]:
    """Return the contents of study.json for a protocol, with text and versions of its sealed cube if there is one."""
    text, made_with = sealed_facts(folder, protocol.digest) or (protocol.text, provenance())
    return {
        "protocol": protocol.canonical(),
        "digest": protocol.digest,
        "text": text,
        "axes": protocol.axis_labels,
        "cells": [{"coordinates": dict(cell.coordinates), "digest": cell.digest} for cell in protocol.cells],
        "provenance": made_with,
    }


def write_description(folder: Path, protocol: Protocol) -> None:
    """Write study.json and protocol.yaml; the caller holds the study's lock.

    A former protocol.yaml is moved aside first and removed last. A process killed in between leaves no protocol.yaml,
    never that of another study.json; `FORMER` then shows that the new one has not been written yet. It is removed with
    the unfinished files of processes that were killed while they wrote a protocol.yaml.
    """
    facts = description(folder, protocol)
    with translate_os_errors(folder / PROTOCOL):
        if (folder / PROTOCOL).exists():
            (folder / PROTOCOL).replace(folder / FORMER)
            sync_folder(folder)
    write_facts(folder, facts)
    write_atomically(folder / PROTOCOL, facts["text"].encode())
    remove_partials(folder, PROTOCOL)
