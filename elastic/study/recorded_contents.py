"""What a recorded run holds: digests of its records and samples, compared with its status.json."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from elastic.cube import read_report
from elastic.cube.atomic import open_regular, readable
from elastic.cube.epoch_files import FOLDER, record_files
from elastic.cube.labels import read_checksum
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.cube.report_file import FILE as REPORT
from elastic.cube.report_file import digests
from elastic.errors import Damaged
from elastic.protocol.canonical import digest

#: Returns the digests of the records and of the samples of the run in a folder.
Contents = Callable[[Path], tuple[str, str]]


def contents(run: Path) -> tuple[str, str]:
    """Return the digests of a run's records and of its samples.

    Raises
    ------
    Damaged
        If its status.json lists other records, or is damaged.
    """
    report = read_report(run)
    facts, stated = journal_facts(run), report.get("journal") or {}
    # Earlier releases, which listed no files, could resume a run without changing its report.
    if stated and stated != facts and (other := _other_records(run, report)) and read_report(run) == report:
        raise other
    return facts["sha256"], str(report.get("data_digest", ""))


def journal_facts(run: Path) -> dict[str, Any]:
    """Return the SHA-256 of the names of a run's records, and that of its layout and of all its records.

    A sealed cube belongs to these journals only if they hold the same numbers at the same epochs: a run may have
    been removed and recorded again. Of a record that contains its own checksum only that is read.
    """
    total, names = hashlib.sha256(), record_files(run / FOLDER)
    for path in (run / LAYOUT, *(run / FOLDER / name for name in names)):
        try:
            with readable(path), open_regular(path) as file:
                size = file.seek(0, os.SEEK_END)
                total.update(f"{path.name} {size} ".encode())
                if (checksum := read_checksum(file)) is not None:
                    total.update(checksum)
                    continue
                file.seek(0)
                while block := file.read(2**20):
                    total.update(block)
        except FileNotFoundError:  # another process removes the run
            total.update(f"{path.name} 0 ".encode())
    return {"names": digest(names), "sha256": total.hexdigest()}


def _other_records(run: Path, report: Mapping[str, Any]) -> Damaged | None:
    """Return the error of a run whose records differ from its status.json, None if they agree."""
    listed, stored = (
        {name: one for name, one in files.items() if name.startswith(f"{FOLDER}/")}
        for files in (report.get("files") or {}, digests(run))
    )
    if not listed or listed == stored:
        return None
    path = run / next(name for name in (*listed, *stored) if listed.get(name) != stored.get(name))
    expected, hint = f"be the one that {REPORT} lists", "putting it back, or recording the run again (restart=True)"
    what = "another" if path.exists() else "no such file"
    return Damaged(f"`{path.name}`", expected, what, f"{hint}; elastic verify names all", place=str(path))
