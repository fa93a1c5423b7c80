"""Repair of a study: single flipped bits, places, descriptions, runs, and the seal, in this order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from shlex import quote

from elastic.cube import is_sealed, open_sealed, study_lock
from elastic.cube.coordinates import Axes
from elastic.cube.manifest import CUBE, FILE
from elastic.cube.ownership import waiting_lock
from elastic.cube.sealing import LOCK
from elastic.display.verdicts import FILE as CLAIMS
from elastic.study.claim_history import FILE as HISTORY
from elastic.study.completeness import named
from elastic.study.recorded import RUN
from elastic.study.repair.actions import Actions, Repaired
from elastic.study.repair.descriptions import is_to_be_written, repair_description
from elastic.study.repair.places import are_moving, move_back
from elastic.study.repair.runs import Sealed, repair_run
from elastic.study.repair.seals import clear_seal, next_step
from elastic.study.repair.single_flips import restore_flips
from elastic.study.study import Study
from elastic.study.study_file import FACTS, PROTOCOL
from elastic.study.verification import Verified, verify
from elastic.study.verification.reading import attempted, read_object
from elastic.study.verification.sealed_files import left_out
from elastic.study.verification.verifying import Tell


def repair(folder: Path | str, tell: Tell = lambda part, done, of: None) -> Repaired:
    """Rebuild from intact files what can be rebuilt of a study, and move damaged files aside.

    Intact files are neither changed nor removed, and no number is invented: what is rebuilt has the checksum of the
    lost file, or equals the numbers of the sealed cube, or of the journals.

    Parameters
    ----------
    folder
        Of the study.
    tell
        Receives progress, as in `elastic.study.verification.verify`.

    Raises
    ------
    StudyError
        If the folder holds no study, or cannot be written.
    """
    folder = Path(folder)
    verified = verify(folder, tell)
    actions = Actions(folder)
    if verified.damaged or are_moving(folder) or any(map(is_to_be_written, verified.files)):
        with study_lock(folder), actions.owning():
            seal = _repaired(actions, verified, tell)
            if seal is not None:
                seal()
                actions.say(CUBE, "sealed anew from the journals")
            verified = verify(folder, tell)
    return Repaired(tuple(actions.done), verified, next_step(actions, verified))


def _repaired(actions: Actions, verified: Verified, tell: Tell) -> Callable[[], None] | None:
    """Repair everything but the seal and return a function that seals the study again, None if it keeps its seal.

    No other process seals or changes a run under repair at the same time. Changes since the damage was found show when
    everything is verified again.
    """
    with waiting_lock(actions.folder / LOCK, "repair the cube"):
        verified = _owned(actions, verified, tell)
        for step in (restore_flips, move_back, repair_description, _repair_runs, _repair_claims):
            before = len(actions.done)
            step(actions, verified)
            verified = verify(actions.folder, tell) if len(actions.done) > before else verified
        return clear_seal(actions, verified)


def _owned(actions: Actions, verified: Verified, tell: Tell) -> Verified:
    """Acquire the runs that are damaged, and verify everything while no other process changes them."""
    while True:
        for one in verified.damaged:
            actions.owns(one.path)
        verified = verify(actions.folder, tell)
        if all(map(actions.has_tried, (one.path for one in verified.damaged))):
            return verified


def _repair_runs(actions: Actions, verified: Verified) -> None:
    cells = sorted({PurePosixPath(one.path).parts[1] for one in verified.damaged if one.path.startswith("runs/")})
    if not cells:
        return
    study, _ = attempted(lambda: Study(actions.folder))
    recorded = study.recorded if study else not (actions.folder / PROTOCOL).exists()
    sealed, _ = attempted(lambda: _sealed(actions.folder, verified, None if recorded else study))
    for cell in cells:
        if (actions.folder / "runs" / cell).is_dir() and actions.owns(f"runs/{cell}"):
            repair_run(actions, cell, study, recorded, sealed)


def _sealed(folder: Path, verified: Verified, study: Study | None) -> Sealed | None:
    """Return the facts that the sealed cube holds of the runs, None unless it is intact and belongs to this study.

    A recorded study loses its seal before anything of it changes; the cube of a protocol may be of fewer axes.
    """
    bad = [one.path for one in verified.damaged if one.path.startswith((CUBE, FILE, FACTS))]
    if bad or not is_sealed(folder):
        return None
    cube = open_sealed(folder)
    if study is not None and cube.attrs.get("digest") != study.digest:
        return None
    if study is not None:
        runs = {cell["digest"]: cell["coordinates"] for cell in study.cells}
    else:
        reports = {path.parent.name: read_object(path, RUN)[0] for path in (folder / "runs").glob(f"*/{RUN}")}
        runs = {name: facts["coordinates"] for name, facts in reports.items() if facts}
    absent = left_out({"left_out": cube.attrs.get("left_out", "")})
    group = cube["training"].to_dataset()
    axes = Axes({str(dim): group[dim].values.tolist() for dim in group["status"].dims if dim != "epoch"})
    positions = {}
    for name, coordinates in runs.items():
        at, _ = attempted(partial(axes.position, coordinates))
        if at is not None and named(coordinates) not in absent:
            positions[name] = dict(zip(axes.names, at, strict=True))
    data = cube.attrs.get("data_digest")
    return Sealed(cube, positions, data if isinstance(data, str) and data else None)


def _repair_claims(actions: Actions, verified: Verified) -> None:
    if any(one.path == CLAIMS for one in verified.damaged):
        actions.set_aside(CLAIMS, f"elastic check {quote(str(actions.folder))} writes it anew")
    if any(one.path == HISTORY for one in verified.damaged):
        actions.set_aside(HISTORY, "lost: the time of the claims' registration is unknown; put back a copy")
