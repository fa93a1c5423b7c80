"""Recorded studies: folders whose runs come from training loops, without a protocol. Reading them needs no torch.

<study>/study.json                      title, question, claims and the names of the coordinates
        runs/<digest>/run.json          coordinates and settings of each run, beside its journal

Runs and their axes are read from the runs' folders: several processes may add to one study.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.cube.atomic import read_regular, translate_os_errors
from elastic.cube.checked_files import decode_json
from elastic.cube.epoch_files import FOLDER, record_files
from elastic.cube.report_file import check_is_folder
from elastic.errors import Damaged
from elastic.protocol.canonical import digest
from elastic.study.copies import run_in
from elastic.study.recorded_contents import Contents, contents

RUN = "run.json"

#: Names of the folders of runs (`run_digest`, and of cells).
NAME = "[0-9a-f]{16}"

#: Key of study.json that marks a recorded study; its value is the version of the format.
MARK, FORMAT = "recorded", 1


@dataclass(frozen=True)
class RecordedRun:
    """One run of a recorded study, as its folder describes it.

    Attributes
    ----------
    folder
        Of the run.
    coordinates
        Position of the run in the cube.
    settings
        Settings given to the Recorder.
    """

    folder: Path
    coordinates: Mapping[str, Any]
    settings: Mapping[str, Any]


def run_digest(coordinates: Mapping[str, Any]) -> str:
    """Return the folder name of the run at these coordinates; 1 and 1.0 are the same coordinate.

    >>> run_digest({"lr": 1, "seed": 0}) == run_digest({"seed": 0, "lr": 1.0}), len(run_digest({"seed": 0}))
    (True, 16)
    """
    plain = {name: float(v) if type(v) is int and abs(v) <= 2**53 else v for name, v in coordinates.items()}
    return digest(plain)[:16]


def read_runs(folder: Path, leave_out: str = "") -> list[RecordedRun]:
    """Return the runs of a study in the order of their coordinates, without copies and runs that are being removed.

    A Recorder writes the description of a run before its first record, and removes its records first.

    Parameters
    ----------
    folder
        Of the study.
    leave_out
        Folder name of a run to skip.

    Raises
    ------
    Damaged
        If a run's description is damaged, belongs to another folder, or is missing although there are records.
    """
    with translate_os_errors(folder / "runs", "be readable"):
        names = sorted(path.name for path in (folder / "runs").iterdir()) if os.path.lexists(folder / "runs") else []
    names = [name for name in names if name != leave_out]
    for name in filter(re.compile(NAME).fullmatch, names):
        check_is_folder(folder / "runs" / name)
    paths = [folder / "runs" / name / RUN for name in names]
    runs = [run for path in paths if (run := _read_run(path)) is not None]
    return sorted(runs, key=lambda run: [_order(value) for value in run.coordinates.values()])


def _read_run(path: Path, *, is_original: bool = False) -> RecordedRun | None:
    """Return the run that a file describes; None for a copy of another run, or if there is none (being removed)."""
    hint = "moving the run's folder away, or recording the run again"
    try:
        with translate_os_errors(path, "be readable"):
            data = _bytes(path)
            if data is None:
                if record_files(path.parent / FOLDER) and not path.exists():
                    raise ValueError("no such file beside the run's records")
                return None
            facts, _ = decode_json(data)
        run = RecordedRun(path.parent, dict(facts["coordinates"]), dict(facts["settings"]))
    except (ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise Damaged(f"`{RUN}`", "describe a run", found, hint, place=str(path)) from None
    name = run_digest(run.coordinates)
    if name == path.parent.name:
        return run
    original = path.parents[1] / name / RUN
    is_whole = run_in(path.parent) == name  # not a run.json alone
    if is_original or (is_whole and original.is_file() and _read_run(original, is_original=True)):
        return None  # a copy, or a backup: `elastic.study.copies` names it
    hint = f"renaming the folder to {name}, or moving it away"
    raise Damaged(f"`{RUN}`", f"describe the run {path.parent.name}", f"that of the run {name}", hint, place=str(path))


def recorded_facts(folder: Path, stored: Mapping[str, Any], contents: Contents = contents) -> dict[str, Any]:
    """Return the description of a recorded study, with the keys of a protocol's: what `elastic.study.Study` reads.

    Parameters
    ----------
    folder
        Of the study.
    stored
        The contents of its study.json.
    contents
        Of a run, which the study's digest names.

    Raises
    ------
    Damaged
        As `read_runs` and `contents`.
    """
    check_header(stored)
    runs, names = read_runs(folder), list(stored["coordinates"])
    if others := [run for run in runs if set(run.coordinates) != set(names)]:
        raise ValueError(f"coordinates {', '.join(names)}, of a run {', '.join(others[0].coordinates)}")
    described = {name: stored.get(name) for name in ("name", "title", "question", "cites", "claims")}
    described |= {"settings": together([run.settings for run in runs])}
    cells = [
        {"coordinates": {name: run.coordinates[name] for name in names}, "digest": run.folder.name} for run in runs
    ]
    return {
        MARK: stored[MARK],
        "protocol": described,
        "digest": digest({"study": described, "runs": [[run.folder.name, *contents(run.folder)] for run in runs]}),
        "text": json.dumps(described, indent=1, ensure_ascii=False) + "\n",
        "axes": {name: _labels(run.coordinates[name] for run in runs) for name in names},
        "cells": cells,
        "provenance": stored["provenance"],
    }


def check_header(stored: Mapping[str, Any]) -> None:
    """Raise a ValueError if a part of study.json has another type than a Recorder writes; claims are checked elsewhere.

    >>> check_header({"name": "a", "coordinates": [], "provenance": {}})
    Traceback (most recent call last):
    ...
    ValueError: 'coordinates' of another type: []
    """
    names = stored["coordinates"]
    are_texts = {key: isinstance(stored.get(key), str | None) for key in ("title", "question")}
    fit = {
        "name": isinstance(stored["name"], str),
        "coordinates": isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names),
        "provenance": isinstance(stored["provenance"], Mapping),
        "cites": all(isinstance(key, str) for key in stored.get("cites") or ()),
        "claims": all(isinstance(claim, Mapping) and "name" in claim for claim in stored.get("claims") or ()),
        **are_texts,
    }
    for key, is_fit in fit.items():
        if not is_fit:
            raise ValueError(f"{key!r} of another type: {stored.get(key)!r:.100}")


def together(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the settings of several runs; a setting that differs becomes the list of its values.

    >>> together([{"epochs": 5, "loss": "mse"}, {"epochs": 9, "loss": "mse"}])
    {'epochs': [5, 9], 'loss': 'mse'}
    """
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in settings for name in one):
        values = [one[name] for one in settings if name in one]
        if all(isinstance(value, Mapping) for value in values):
            merged[name] = together(values)
        else:
            different = [value for number, value in enumerate(values) if value not in values[:number]]
            merged[name] = different[0] if len(different) == 1 else different
    return merged


def _bytes(path: Path) -> bytes | None:
    """Return the contents of a file, None if it is gone: another process may remove a run."""
    try:
        return read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _labels(values: Iterator[Any] | Sequence[Any]) -> list[Any]:
    return sorted(set(values), key=_order)


def _order(value: Any) -> tuple[bool, Any]:
    """Return a key that sorts numbers by value, then strings alphabetically."""
    return (isinstance(value, str), value)
