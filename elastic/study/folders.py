"""Folders of studies and of their runs."""

from __future__ import annotations

from pathlib import Path

from elastic.study.study_file import FACTS

#: Default folder of studies.
RESULTS = Path("results")

#: Folder of the runs, in that of their study.
RUNS = "runs"


def study_folder(path: Path | str) -> Path:
    """Return the folder of a study, given its folder or its name under ``results``; it need not exist."""
    folder = Path(path)
    named = RESULTS / folder
    if (folder / FACTS).exists() or not named.is_dir():
        return folder
    return named if (named / FACTS).exists() or not folder.exists() else folder
