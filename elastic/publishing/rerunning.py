"""Running cells of a published study again: their selection, their data, and their settings."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from elastic.errors import DataError, NotAllowed, OptionError, StudyError
from elastic.progress import Watcher
from elastic.protocol import Cell, Protocol
from elastic.protocol.allowed import allow_beside, is_allowed
from elastic.publishing.own_parts import parts_of
from elastic.registry import registry
from elastic.report.citation import modules
from elastic.study import RUNS, Study
from elastic.study.completeness import named
from elastic.study.creation import make_study
from elastic.study.executors.attempts import Work
from elastic.study.executors.board import Board
from elastic.study.executors.choice import Way
from elastic.study.executors.execution import execute
from elastic.study.growth import probed_in_each
from elastic.study.runner import has_ended, unsealed
from elastic.study.stopping import stopping_cleanly

#: Options of data sets that locate files, which differ between machines.
PLACES = ("folder", "file")


def protocol_to_run(study: Study, data: Path | None) -> Protocol:
    """Return the protocol of a published study, with the path of its data replaced if one is given.

    Raises
    ------
    StudyError
        If training loops recorded the study.
    OptionError
        If a path is given for data without one.
    """
    if study.recorded:
        found = "one that was recorded from a training loop, which is not part of the archive"
        hint = "elastic verify, and elastic check on the unpacked archive: the verdicts follow from the cube"
        raise StudyError("the study", "be one that a protocol runs", found, hint)
    protocol = study.protocol
    if data is None:
        return protocol
    canonical = copy.deepcopy(dict(study.facts["protocol"]))
    place = next((name for name in PLACES if name in canonical["data"]), None)
    if place is None:
        found = f"the data {canonical['data']['name']!r}, which are read from no place of their own"
        raise OptionError("`--data`", "be given for data of a folder or a file", found, "leaving it out")
    canonical["data"][place] = str(data)
    return Protocol.from_canonical(canonical)


def check_allowed(protocol: Protocol, allow: Sequence[str]) -> None:
    """Raise unless every module that a published protocol names is allowed: its code is untrusted.

    Raises
    ------
    NotAllowed
        If one is not. Nothing is imported then.
    """
    missing = sorted(name for name in modules(protocol.canonical()) if not is_allowed(name, allow))
    if missing:
        hint = (
            "getting the code from the authors, reading it, and then "
            + " ".join(f"--allow {module}" for module in missing)
            + "; elastic verify and elastic check need none"
        )
        found = f"code of the {'module' if len(missing) == 1 else 'modules'} {', '.join(missing)}"
        raise NotAllowed("the protocol", "name code only that was allowed", found, hint)


def check_registered(cells: Sequence[Cell]) -> None:
    """Raise unless all parts of the runs (model, loss, …) are registered here: an archive holds no code.

    Raises
    ------
    StudyError
        If one is not; `--allow` registers none.
    """
    if unknown := {(kind, name) for kind, name in parts_of(cells) if name not in registry(kind).names()}:
        found = "parts of its authors: " + ", ".join(f"{kind} {name}" for kind, name in sorted(unknown))
        hint = (
            "getting their code from the authors, reading it, and importing it before reproduce(…) in Python, or "
            f"installing it with an entry point of the group elastic.{min(unknown)[0]}"
            "; elastic verify and elastic check need none"
        )
        raise StudyError("the protocol", "name registered parts only", found, hint)


def sample_of(cells: Sequence[Cell], count: int | None, archive: str) -> list[Cell]:
    """Return the cells to run again: all, or a sample determined by the digest of the archive.

    Neither publishers nor users choose the sample, and it is the same for everyone.

    Raises
    ------
    OptionError
        If there are fewer cells.
    """
    if count is None:
        return list(cells)
    if not 1 <= count <= len(cells):
        raise OptionError("`--runs`", f"be from 1 to {len(cells)}, the runs of the study", str(count), "--runs 1")
    drawn = sorted(cells, key=lambda cell: hashlib.sha256(f"{archive} {cell.index}".encode()).digest())[:count]
    return sorted(drawn, key=lambda cell: cell.index)


def check_data(cells: Sequence[Cell], published: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the digests of the data of cells, after comparing them with the published ones; nothing is trained.

    Parameters
    ----------
    cells
        Cells to run.
    published
        Reports of the published runs by `named` coordinates.

    Raises
    ------
    DataError
        If the data differ, or are missing.
    """
    from elastic.runs.setup import forget_data, prepared_data

    forget_data()
    digests: list[str] = []
    for cell in cells:
        published_digest = published[named(cell.coordinates)].get("data_digest")
        digest = prepared_data(cell.settings.data).digest
        if published_digest and digest != published_digest:
            name = cell.settings.data.name
            expected = f"be those of the run {named(cell.coordinates)} (SHA-256 {published_digest})"
            hint = "the data of the authors (data.json says where to get them; --data PATH); nothing was trained"
            raise DataError(f"the data {name!r}", expected, f"SHA-256 {digest}", hint)
        digests.append(digest)
    return list(dict.fromkeys(digests))


def run_again(
    protocol: Protocol,
    cells: Sequence[Cell],
    out: Path,
    published: Mapping[str, Mapping[str, Any]],
    way: Way,
    allow: Sequence[str],
    watch: Watcher,
) -> Study:
    """Run cells of a protocol with their published number of torch's threads; existing runs are kept.

    Parameters
    ----------
    protocol, cells
        Protocol and cells to run.
    out
        Parent of the study's folder.
    published
        Reports of the published runs by `named` coordinates.
    way, allow, watch
        As in `elastic.study.runner.run`.

    Raises
    ------
    RunFailed
        If runs failed, after all others have ended.
    """
    from elastic.runs.threads import cpu_threads

    study = make_study(out / protocol.name, protocol, note=watch.note)
    work = Work(study.folder / RUNS, allow_beside(allow, Path.cwd()))

    def threads(cell: Cell) -> int | None:
        return threads_of(published[named(cell.coordinates)])

    left = [cell for cell in cells if not has_ended(work, cell)]
    with watch, stopping_cleanly(watch) as stop:
        epochs = sum(cell.settings.training.epochs for cell in left)
        watch.study_started(study.name, len(cells), len(cells) - len(left), epochs, probed_in_each(left))
        failed = []
        for count, group in groupby(sorted(left, key=lambda cell: threads(cell) or 0), key=threads):
            board = Board(list(group), work)
            with cpu_threads(count):
                execute(board, way, work, watch, stop)
            failed += [error for cell, error in board.failed if not has_ended(work, cell)]
    if failed:
        raise unsealed(failed)
    return study


def threads_of(report: Mapping[str, Any]) -> int | None:
    """Return the number of torch's threads that a published run reports; None for one that no machine has.

    >>> [threads_of({"environment": {"threads": threads}}) for threads in ("4", "0", "²", "9" * 5000)]
    [4, None, None, None]
    """
    threads = str((report.get("environment") or {}).get("threads", ""))
    return int(threads) if re.fullmatch(r"[1-9][0-9]{0,2}", threads) else None
