"""Removal of the runs of a study, all or none, and of what killed processes left behind."""

from __future__ import annotations

import contextlib
import json
import shutil
from contextlib import ExitStack
from pathlib import Path

from elastic.cube import run_lock, withdraw_store
from elastic.cube.atomic import read_regular, sync_folder, translate_os_errors
from elastic.errors import StudyError
from elastic.study.folders import RUNS
from elastic.study.recorded import MARK, RUN
from elastic.study.study_file import FACTS

#: Folder, in that of the study, of runs that are being dropped.
DISCARDED = ".discarded"


def discard_runs(folder: Path) -> None:
    """Remove the runs and the cube of a study, and nothing else of its folder; do nothing if it is no study.

    Raises
    ------
    StudyError
        If training loops recorded the study: no protocol can run it again.
    RunBusy
        If another process owns one of the runs; then nothing is removed.
    StudyError
        If the folder cannot be written.
    """
    if not (folder / FACTS).exists():
        return
    check_not_recorded(folder)
    with translate_os_errors(folder), ExitStack() as owned:
        for run in sorted((folder / RUNS).glob("*/")):
            owned.enter_context(run_lock(run))
        withdraw_store(folder)  # never deleted: processes that have opened the cube would read NaN
        if (folder / RUNS).is_dir():
            remove_discarded(folder)
            (folder / RUNS).replace(folder / DISCARDED)  # at once: half a run cannot be resumed
            sync_folder(folder)
        (folder / FACTS).unlink(missing_ok=True)  # last: the folder is a study until all else is removed
    remove_discarded(folder)


def remove_discarded(folder: Path) -> None:
    """Remove the files of dropped runs, including those that a killed process left behind."""
    with (
        translate_os_errors(folder / DISCARDED),
        contextlib.suppress(FileNotFoundError),
    ):  # another process removes them, too
        shutil.rmtree(folder / DISCARDED)


def check_not_recorded(folder: Path) -> None:
    """Raise a StudyError if training loops recorded the study in a folder, or runs without a readable study.json."""
    try:
        recorded = MARK in json.loads(read_regular(folder / FACTS))
    except (OSError, ValueError, TypeError):
        recorded = False
    if recorded or any((folder / RUNS).glob(f"*/{RUN}")):
        found, hint = "one that training loops recorded", "another folder (--out DIR), or another name in the protocol"
        raise StudyError("the study", "be of a protocol", found, hint, place=str(folder))
