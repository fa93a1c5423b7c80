"""Founding a study: its folder, what is asked in it, and what may change when it is taken up again."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elastic.cube import run_lock, study_lock, withdraw_store, write_atomically
from elastic.cube.atomic import explained, read_regular, sync_folder
from elastic.errors import Damaged, StudyError
from elastic.protocol import Protocol, explain_difference
from elastic.protocol.later_components import written_out
from elastic.study.growth import EPOCHS, check_growth, drop_grown, grow
from elastic.study.provenance import provenance
from elastic.study.recorded import MARK, RUN
from elastic.study.sealed_facts import sealed_facts
from elastic.study.study import RUNS, Study
from elastic.study.study_file import FACTS, PROTOCOL, is_of, write_facts

#: Folder of runs that are being dropped, in that of the study.
DISCARDED = ".discarded"

#: Parts of a protocol that may change without making another study of it: runs are kept, new ones are added.
EXTENSIBLE = ("axes", "together", "exclude", "claims", "cites", "question", "title")


def make_study(
    folder: Path, protocol: Protocol, *, restart: bool = False, note: Callable[[str], None] = lambda _: None
) -> Study:
    """Make a study's folder, or take up the one that is there.

    Parameters
    ----------
    folder
        Made where it is missing.
    protocol
        What is asked. A study that is there already may differ in its axes and in words, and may end earlier
        (`elastic.study.growth`): its runs are kept. A damaged study.json of the same protocol is written anew.
    restart
        Whether to drop all runs that are there first.
    note
        Is told of a study.json that is written anew, and of runs that go on to a later end.

    Raises
    ------
    StudyError
        If the folder holds a study that asked something else, or cannot be written.
    Damaged
        If study.json cannot be told to be of this protocol, or protocol.yaml is not as it was written.
    RunBusy
        If runs are to be dropped that another process owns.
    """
    check_not_recorded(folder)
    remove_discarded(folder)
    if restart:
        discard_runs(folder)
    elif study := taken_up(folder, protocol):
        return study
    with study_lock(folder):
        if study := taken_up(folder, protocol, note):  # another process may have made it meanwhile
            return study
        grown = _growing_from(folder, protocol)
        if grown and (count := grow(folder / RUNS, grown, protocol)):
            note(f"{count} runs go on to epoch {protocol.training.epochs}")
        write_description(folder, protocol)
        if grown:
            drop_grown(folder / RUNS, grown, protocol)
    return Study(folder)


def _growing_from(folder: Path, protocol: Protocol) -> dict[str, Any] | None:
    """Return the canonical protocol of the study in a folder, if it ends at another epoch than the one asked."""
    begun = protocol_of(folder, unless=protocol.digest)
    return begun if begun and begun["training"]["epochs"] != protocol.training.epochs else None


def taken_up(folder: Path, protocol: Protocol, note: Callable[[str], None] = lambda _: None) -> Study | None:
    """Return the study in a folder if it is of a protocol, None if it is to be written (for the first time, or anew).

    Raises
    ------
    StudyError, Damaged
        As `make_study`.
    """
    if not (folder / FACTS).exists():
        return None
    try:
        study = Study(folder, asked=protocol.text)
        _ = study.cells  # derived, and compared
    except Damaged as error:
        if error.place != str(folder / FACTS) or not is_of(folder, protocol.digest):
            raise
        note(f"{error.place} was damaged, and is written anew from its protocol; found {error.found}")
        return None
    if study.digest != protocol.digest:
        _ = study.protocol  # this release knows all of it
        _check_same_question(study, protocol)
    if study.digest != protocol.digest or not (folder / PROTOCOL).exists():
        return None
    return Study(folder)  # sealed or not, both files stay: the manifest of a sealed cube lists their digests


def description(folder: Path, protocol: Protocol) -> dict[str, Any]:
    """Return what study.json of a protocol holds; text and versions are those of the sealed cube, if it is its."""
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
    """Write study.json and protocol.yaml; whoever dies on the way leaves no protocol.yaml, never that of another."""
    facts = description(folder, protocol)
    with explained(folder / PROTOCOL):
        if (folder / PROTOCOL).exists():
            (folder / PROTOCOL).unlink()
            sync_folder(folder)
    write_facts(folder, facts)
    write_atomically(folder / PROTOCOL, facts["text"].encode())


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
        withdraw_store(folder)  # never deleted: whoever has the cube open would read NaN
        if (folder / RUNS).is_dir():
            remove_discarded(folder)
            (folder / RUNS).replace(folder / DISCARDED)  # at once: half a run cannot be resumed
            sync_folder(folder)
        (folder / FACTS).unlink(missing_ok=True)  # the study is one until all else is gone
    remove_discarded(folder)


def remove_discarded(folder: Path) -> None:
    """Remove runs that were dropped, also those that a process left that died meanwhile."""
    with explained(folder / DISCARDED), contextlib.suppress(FileNotFoundError):  # another process removes them, too
        shutil.rmtree(folder / DISCARDED)


def check_not_recorded(folder: Path) -> None:
    """Raise a StudyError if training loops recorded the study in a folder, or runs whose study.json does not tell."""
    try:
        recorded = MARK in json.loads(read_regular(folder / FACTS))
    except (OSError, ValueError, TypeError):
        recorded = False
    if recorded or any((folder / RUNS).glob(f"*/{RUN}")):
        found, hint = "one that training loops recorded", "another folder (--out DIR), or another name in the protocol"
        raise StudyError("the study", "be of a protocol", found, hint, place=str(folder))


def protocol_of(folder: Path, *, unless: str) -> dict[str, Any] | None:
    """Return the canonical protocol of the study that a folder holds.

    None if there is none, it has the digest ``unless``, or it cannot be taken up at all (`make_study` tells why).

    Raises
    ------
    StudyError
        If a later release wrote what this one does not know.
    """
    try:
        study = Study(folder) if (folder / FACTS).exists() else None
        if study is None or study.recorded or study.digest == unless:
            return None
        _ = study.protocol  # this release knows all of it
    except Damaged:
        return None
    return dict(study.facts["protocol"])


def _check_same_question(study: Study, asked: Protocol) -> None:
    # Options that one of them leaves out are compared by what they mean.
    lines = explain_difference(written_out(study.facts["protocol"]), written_out(asked.canonical()))
    begun = study.facts["protocol"]
    set_by_axes = _paths_of_axes(begun["axes"]) & _paths_of_axes(asked.canonical()["axes"])
    different = [line for line in lines if _is_fixed(line.partition(":")[0].split("."), set_by_axes)]
    if [line.partition(":")[0] for line in different] == [EPOCHS]:
        check_growth(study.folder, begun, asked, different[0])
    elif different:
        raise StudyError(
            "the study",
            "be of the protocol that began it (only axes, claims, words and the last epoch may change)",
            shown(different),
            f"another name (--set name={study.name}-2) or folder (--out DIR): the runs of this study are kept",
            place=str(study.folder),
        )


def _paths_of_axes(axes: Mapping[str, Any]) -> set[tuple[str, ...]]:
    return {tuple(axis["path"].split(".")) for name, axis in axes.items() if name != "seed"}


def _is_fixed(path: Sequence[str], set_by_axes: Collection[tuple[str, ...]]) -> bool:
    """Return whether a part of a protocol is the same for all runs that a study may ever have.

    The sections of a canonical protocol are those of its first run: what an axis sets changes with the first value.
    """
    return path[0] not in EXTENSIBLE and not any(tuple(path[: len(axis)]) == axis for axis in set_by_axes)


def shown(lines: Sequence[str], limit: int = 3) -> str:
    """Return the first few of many lines, and how many more there are.

    >>> shown(["a", "b", "c"], limit=2)
    'a; b; and 1 more'
    """
    more = [f"and {len(lines) - limit} more"] if len(lines) > limit else []
    return "; ".join([*lines[:limit], *more])
