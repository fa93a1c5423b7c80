"""``status.json`` in a run's folder: the progress of the run, so that a study's status needs no records.

A run of a protocol writes it when it is taken up (under way, and in which environment) and when it ends; a Recorder
when it records its first new epoch and when it closes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.cube.atomic import open_regular, translate_os_errors
from elastic.cube.checked_files import read_json, write_json
from elastic.cube.epoch_files import COMPACT, FOLDER, epoch_of, record_files
from elastic.cube.journal import Journal
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.cube.layout_file import cell_of, read_layout
from elastic.cube.names import Status
from elastic.errors import Damaged

FILE = "status.json"

WAITING, UNDER_WAY = "waiting", "under way"

#: Key under which a repair lists the files of a run that are lost: records and checkpoints that are not there.
LOST = "lost"

#: Files of a run beside status.json and its records; run.json is of recorded studies, the checkpoint of protocols'.
OTHERS = ("layout.json", "run.json", "checkpoint.pt")

#: States in which a run has nothing left to do.
ENDED = (Status.DONE.name.lower(), Status.DIVERGED.name.lower())


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes
    ----------
    state
        "waiting", "under way", "done" or "diverged".
    epoch, epochs
        Last recorded epoch (None before the first) and last one planned (None if that is not known).
    report
        Contents of status.json.
    """

    state: str
    epoch: float | None
    epochs: int | None
    report: Mapping[str, Any]


def write_report(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the status.json of a run, with the cell that the folder names and a checksum.

    That of a run that has ended lists the SHA-256 of the run's other files, so that one of another study is noticed
    although it is of the same cell.

    Raises
    ------
    StudyError
        If it cannot be written.
    """
    files = {"files": digests(folder)} if facts.get("status") in ENDED else {}
    lost = _lost(folder) if facts.get("status") == UNDER_WAY else []
    write_json(folder / FILE, {"cell": cell_of(folder), **({LOST: lost} if lost else {}), **facts, **files})


def _lost(folder: Path) -> list[str]:
    """Return the files of a run that a repair has found to be lost and that are not there again."""
    try:
        lost = read_report(folder).get(LOST, [])
    except Damaged:
        return []
    return [name for name in lost if not (folder / name).exists()]


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files of a run that hold something of it, status.json aside, by path."""
    names = [*OTHERS, *(f"{FOLDER}/{name}" for name in record_files(folder / FOLDER))]
    checksums = {}
    for name in names:
        path = folder / name
        with (
            translate_os_errors(path, "be readable"),
            contextlib.suppress(FileNotFoundError),
            open_regular(path) as file,
        ):
            checksums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return checksums


def read_report(folder: Path) -> dict[str, Any]:
    """Return the contents of a run's status.json; empty if there is none.

    Raises
    ------
    Damaged
        If it differs from what was written, or belongs to another run.
    """
    path = folder / FILE
    hint = "deleting it and running (or recording) the run again: its records are kept, and the file is written anew"
    report = read_json(path, hint) or {}
    cell = report.get("cell", cell_of(folder))  # earlier releases named none
    if cell != cell_of(folder):
        raise Damaged(f"`{FILE}`", f"be of run {cell_of(folder)}", f"that of run {cell}", hint, place=str(path))
    return report


def check_is_folder(folder: Path) -> None:
    """Raise if something else than a folder has the name of a run; nothing there is a run that has not begun.

    Raises
    ------
    Damaged
        If it is a file, or a symbolic link that leads nowhere.
    """
    if wrong := no_folder(folder):
        hint = "putting the run's folder back, or moving this away and running again: the run is then made anew"
        raise Damaged(f"`{folder.name}`", "be the folder of a run", wrong, hint, place=str(folder))


def no_folder(path: Path) -> str:
    """Return what is in place of a folder; "" if it is one, or nothing is there."""
    with translate_os_errors(path, "be readable"):
        if path.is_dir() or not os.path.lexists(path):
            return ""
        return f"a link to {os.readlink(path)}, where there is no folder" if path.is_symlink() else "a file"  # noqa: PTH115


def read_progress(folder: Path) -> Progress:
    """Return the progress of a run, from its status.json and the names of its records.

    The layout is read only if status.json lacks the planned epochs, as in earlier releases.

    Raises
    ------
    Damaged
        If status.json is damaged, or the layout that is read, or a run has ended without a record, or is no folder.
    """
    check_is_folder(folder)
    report, names = read_report(folder), record_files(folder / FOLDER)
    # Without the layout the records cannot be read: it says so.
    is_stated = "epochs" in report and (folder / LAYOUT).exists()
    layout = None if is_stated else read_layout(folder)
    planned = report.get("epochs", layout.epochs if layout else None)
    is_begun = bool(report) or layout is not None
    if not names:
        if report.get("status") in ENDED and read_report(folder) == report:
            hint = f"putting them back, or deleting {folder} and running again: this run is trained anew"
            raise Damaged("the records", "be there once a run has ended", "none", hint, place=str(folder / FOLDER))
        return Progress(UNDER_WAY if is_begun else WAITING, None, planned, report)
    last = max((epoch for name in names if (epoch := epoch_of(name)) is not None), default=None)
    state = report.get("status")
    if COMPACT in names:
        # A run is compacted when it ends; records beside the compacted ones are of a run that is being extended.
        last = report["epoch"] if "epoch" in report and last is None else Journal(folder).epochs()[-1]
    has_ended = state in ENDED and (state != ENDED[0] or last == report.get("epoch", planned))
    return Progress(str(state) if has_ended else UNDER_WAY, last, planned, report)
