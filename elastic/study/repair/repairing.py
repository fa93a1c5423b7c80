"""Repairing a study: single flipped bits, places, descriptions, runs, and the seal, in this order."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath
from shlex import quote

from elastic.cube import is_sealed, open_sealed, study_lock
from elastic.cube.coordinates import Axes
from elastic.cube.manifest import CUBE, FILE
from elastic.display.verdicts import FILE as CLAIMS
from elastic.study.completeness import named
from elastic.study.recorded import RUN
from elastic.study.repair.actions import Actions, Repaired
from elastic.study.repair.descriptions import repair_description
from elastic.study.repair.places import move_back
from elastic.study.repair.runs import Sealed, repair_run
from elastic.study.repair.single_flips import restore_flips
from elastic.study.study import Study
from elastic.study.study_file import FACTS, PROTOCOL
from elastic.study.verification import State, Verified, verify
from elastic.study.verification.reading import attempted, read_object
from elastic.study.verification.sealed_files import root_attributes
from elastic.study.verification.verifying import Tell


def repair(folder: Path | str, tell: Tell = lambda part, done, of: None) -> Repaired:
    """Rebuild what can be rebuilt of a study from what is intact, and move aside what is damaged.

    Nothing that is intact is changed or removed, and no number is made up: what is rebuilt has the checksum of the
    file that was lost, or equals the numbers of the sealed cube, or of the journals.

    Parameters
    ----------
    folder
        Of the study.
    tell
        Is told of progress, as by `elastic.study.verification.verify`.

    Raises
    ------
    StudyError
        If the folder holds no study, or cannot be written.
    """
    folder = Path(folder)
    actions = Actions(folder)
    found = verify(folder, tell)
    if found.damaged:
        with study_lock(folder):
            for step in (restore_flips, move_back, repair_description, _repair_runs, _repair_seal, _repair_claims):
                before = len(actions.done)
                step(actions, found)
                found = verify(folder, tell) if len(actions.done) > before else found
    return Repaired(tuple(actions.done), found, _next_step(actions, found))


def _repair_runs(actions: Actions, found: Verified) -> None:
    cells = sorted({PurePosixPath(one.path).parts[1] for one in found.damaged if one.path.startswith("runs/")})
    if not cells:
        return
    study, _ = attempted(lambda: Study(actions.folder))
    recorded = study.recorded if study else not (actions.folder / PROTOCOL).exists()
    sealed, _ = attempted(lambda: _sealed(actions.folder, found, None if recorded else study))
    for cell in cells:
        if (actions.folder / "runs" / cell).is_dir():
            repair_run(actions, cell, study, recorded, sealed)


def _sealed(folder: Path, found: Verified, study: Study | None) -> Sealed | None:
    """Return what the sealed cube tells of the runs, None unless it is whole and of this study.

    A recorded study loses its seal before anything of it changes; the cube of a protocol may be of fewer axes.
    """
    bad = [one.path for one in found.damaged if one.path.startswith((CUBE, FILE, FACTS))]
    if bad or not is_sealed(folder):
        return None
    cube = open_sealed(folder)
    if study is not None and cube.attrs.get("digest") != study.digest:
        return None
    if study is not None:
        runs = {cell["digest"]: cell["coordinates"] for cell in study.cells}
    else:
        told = {path.parent.name: read_object(path, RUN)[0] for path in (folder / "runs").glob(f"*/{RUN}")}
        runs = {name: facts["coordinates"] for name, facts in told.items() if facts}
    left_out = set(str(cube.attrs.get("left_out", "")).split("; "))
    group = cube["training"].to_dataset()
    axes = Axes({str(dim): group[dim].values.tolist() for dim in group["status"].dims if dim != "epoch"})
    positions = {}
    for name, coordinates in runs.items():
        at, _ = attempted(partial(axes.position, coordinates))
        if at is not None and named(coordinates) not in left_out:
            positions[name] = dict(zip(axes.names, at, strict=True))
    data = cube.attrs.get("data_digest")
    return Sealed(cube, positions, data if isinstance(data, str) and data else None)


def _repair_seal(actions: Actions, found: Verified) -> None:
    """Seal anew if the cube or its manifest is damaged, and the journals are whole; else the cube is kept as it is."""
    bad = [one for one in found.damaged if one.path.startswith(CUBE) or one.path == FILE]
    study, wrong = attempted(lambda: Study(actions.folder))
    changed = study is not None and study.recorded and actions.done and is_sealed(actions.folder)
    if not bad and not (changed and any(one.state is State.OUT_OF_DATE for one in found.files)):
        return
    extra = [one for one in bad if one.found.startswith("a file that")]
    for one in extra:
        actions.set_aside(one.path, "it is no part of the cube")
    if bad and len(extra) == len(bad):
        return
    others = [one for one in found.damaged if one not in bad]
    ended, wrong = (False, wrong) if study is None else attempted(lambda: study.recorded or not _unended(study))
    if study is None or others or not ended:
        because = wrong or (f"{others[0].path} is {others[0].state}" if others else "some runs have not ended")
        for one in bad:
            actions.say(one.path, f"left as it is: it can be sealed anew once the journals are whole ({because})")
        return
    left_out = [name for name in str(root_attributes(actions.folder).get("left_out", "")).split("; ") if name]
    for one in bad:
        if one.path == FILE:
            actions.set_aside(one.path)
        else:
            actions.keep_copy(one.path)
    absent = [cell["digest"] for cell in study.cells if named(cell["coordinates"]) in left_out]
    study.seal(leaving_out=absent)
    actions.say(CUBE, "sealed anew from the journals")


def _unended(study: Study) -> bool:
    left_out = set(str(root_attributes(study.folder).get("left_out", "")).split("; "))
    return any(not run.ended and named(run.coordinates) not in left_out for run in study.runs())


def _repair_claims(actions: Actions, found: Verified) -> None:
    if any(one.path == CLAIMS for one in found.damaged):
        actions.set_aside(CLAIMS, f"elastic check {actions.folder} writes it anew")


def _next_step(actions: Actions, left: Verified) -> str:
    if not actions.run_again or not (actions.folder / PROTOCOL).exists():
        return ""
    out = quote(str(actions.folder.parent))
    return f"elastic run {quote(str(actions.folder / PROTOCOL))} --out {out}"
