"""Founding a study: its folder, what is asked in it, and what may change when it is taken up again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elastic.cube import run_lock, write_atomically
from elastic.cube.atomic import explained
from elastic.errors import StudyError
from elastic.protocol import Protocol, explain_difference
from elastic.protocol.later_components import written_out
from elastic.study.provenance import provenance
from elastic.study.recorded import MARK, RUN
from elastic.study.study import FACTS, PROTOCOL, RUNS, Study

#: Parts of a protocol that may change without making another study of it: runs are kept, new ones are added.
EXTENSIBLE = ("axes", "claims", "cites", "question", "title")


def make_study(folder: Path, protocol: Protocol, *, restart: bool = False) -> Study:
    """Make a study's folder, or take up the one that is there.

    Parameters
    ----------
    folder
        Made where it is missing.
    protocol
        What is asked. A study that is there already may differ in its axes and in words: its runs are kept.
    restart
        Whether to drop all runs that are there first.

    Raises
    ------
    StudyError
        If the folder holds a study that asked something else, or cannot be written.
    RunBusy
        If runs are to be dropped that another process owns.
    """
    asked = protocol.canonical()
    check_not_recorded(folder)
    if restart:
        discard_runs(folder)
    elif (folder / FACTS).exists():
        study = Study(folder)
        _check_same_question(study, asked)
        if study.digest == protocol.digest and (folder / PROTOCOL).exists():
            return study  # a sealed cube lists the digests of both files
    facts = {
        "protocol": asked,
        "digest": protocol.digest,
        "text": protocol.text,
        "axes": protocol.axis_labels,
        "cells": [{"coordinates": dict(cell.coordinates), "digest": cell.digest} for cell in protocol.cells],
        "provenance": provenance(),
    }
    write_atomically(folder / PROTOCOL, protocol.text.encode())
    write_atomically(folder / FACTS, (json.dumps(facts, indent=1) + "\n").encode())
    return Study(folder)


def discard_runs(folder: Path) -> None:
    """Remove the runs and the cube of a study, nothing else of its folder (and nothing of one that is no study).

    Raises
    ------
    StudyError
        If the study was recorded by training loops, which no protocol brings back.
    RunBusy
        If another process owns one of the runs; then none is removed.
    StudyError
        If the folder cannot be written.
    """
    if not (folder / FACTS).exists():
        return
    check_not_recorded(folder)
    with explained(folder), ExitStack() as owned:
        for run in sorted((folder / RUNS).glob("*/")):
            owned.enter_context(run_lock(run))
        for name in ("manifest.sha256", "cube.zarr", RUNS, FACTS):  # the study is one until all else is gone
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def check_not_recorded(folder: Path) -> None:
    """Raise a StudyError if training loops recorded the study in a folder, or runs whose study.json does not tell."""
    try:
        recorded = MARK in json.loads((folder / FACTS).read_bytes())
    except (OSError, ValueError, TypeError):
        recorded = False
    if recorded or any((folder / RUNS).glob(f"*/{RUN}")):
        found, hint = "one that training loops recorded", "another folder (--out DIR), or another name in the protocol"
        raise StudyError("the study", "be of a protocol", found, hint, place=str(folder))


def protocol_of(folder: Path, *, unless: str) -> dict[str, Any] | None:
    """Return the canonical protocol of the study in a folder; None if there is none, or it has the digest told.

    Raises
    ------
    StudyError
        If training loops recorded the study, or its study.json is damaged.
    """
    if not (folder / FACTS).exists():
        return None
    check_not_recorded(folder)
    study = Study(folder)
    return None if study.digest == unless else dict(study.facts["protocol"])


def _check_same_question(study: Study, asked: Mapping[str, Any]) -> None:
    # Options that one of them leaves out are compared by what they mean.
    lines = explain_difference(written_out(study.facts["protocol"]), written_out(asked))
    different = [line for line in lines if line.partition(":")[0].split(".")[0] not in EXTENSIBLE]
    if different:
        raise StudyError(
            "the study",
            "be of the protocol that began it (only axes, claims and words may change)",
            shown(different),
            f"another name (--set name={study.name}-2) or folder (--out DIR): the runs of this study are kept",
            place=str(study.folder),
        )


def shown(lines: Sequence[str], limit: int = 3) -> str:
    """Return the first few of many lines, and how many more there are.

    >>> shown(["a", "b", "c"], limit=2)
    'a; b; and 1 more'
    """
    more = [f"and {len(lines) - limit} more"] if len(lines) > limit else []
    return "; ".join([*lines[:limit], *more])
