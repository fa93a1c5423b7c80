"""Files of a study's folder without its numbers: locks, leftovers of killed writers, derived files and others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from elastic.cube.atomic import PARTIAL
from elastic.cube.manifest import CUBE
from elastic.cube.ownership import is_lock_file
from elastic.study.growth import GROWING
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.journal_files import SET_ASIDE
from elastic.study.verification.reading import files_below

#: Folder of the files that a repair moved aside.
DAMAGED = "damaged"

#: Files and folders that commands write from the cube: figures and reports add no data to it.
DERIVED = ("figures", "export", "report.html", "analysis.ipynb", "analysis.py", "reproduction.json")

#: File in which `elastic run` writes an error of a user's model.
TRACEBACK = "traceback.txt"

_LEFT = re.compile(rf"{re.escape(CUBE)}\.(partial|replaced)-\d+")


def others(folder: Path, known: Iterable[str]) -> Iterator[Finding]:
    """Yield findings for the files of a study's folder that no other check has read."""
    seen = set(known)
    for name in files_below(folder):
        if name in seen:
            continue
        state = state_of(PurePosixPath(name))
        if state is not None:
            yield Finding(name, state)


def state_of(name: PurePosixPath) -> State | None:
    """Classify a file by its path in the study; None for a lock.

    >>> [state_of(PurePosixPath(n)) for n in ("runs/ab/.layout.json.7-1a.partial", "figures/a.svg", "x.txt")]
    [<State.LEFT_OVER: 'left over'>, <State.NOT_COVERED: 'not covered'>, <State.FOREIGN: 'foreign'>]
    """
    parts = name.parts
    if name.name.endswith(PARTIAL) and name.name.startswith("."):
        return State.LEFT_OVER
    if _LEFT.fullmatch(parts[0]) or parts[0] == GROWING or ".discarded" in parts[:3]:
        return State.LEFT_OVER
    if parts[0] == DAMAGED or SET_ASIDE in parts[:4]:
        return State.SET_ASIDE
    if parts[0] in DERIVED or (parts[0] == "runs" and parts[2:] == (TRACEBACK,)):
        return State.NOT_COVERED
    if is_lock_file(Path(name)) and len(parts) == (3 if parts[0] == "runs" else 1):
        return None
    return State.FOREIGN
