"""Verification of a study, sealed or in progress, also while processes run it. It writes nothing, without torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import sleep

from elastic.cube.liveness import is_held_elsewhere
from elastic.cube.manifest import CUBE, FILE
from elastic.cube.report_file import no_folder
from elastic.cube.sealing import LOCK
from elastic.errors import StudyError
from elastic.study.recorded import NAME
from elastic.study.study_file import FACTS, PROTOCOL
from elastic.study.verification.belonging import others
from elastic.study.verification.conflicting_recordings import resolve_conflicts
from elastic.study.verification.description import described
from elastic.study.verification.findings import Finding, State, Verified, of_all
from elastic.study.verification.reading import is_there, refuse_unreadable
from elastic.study.verification.run_files import RunFiles
from elastic.study.verification.seal import check_seal
from elastic.study.verification.sealed_files import read_sealed

#: Most checks of a part of a study while another process changes it.
ATTEMPTS = 5

#: Seconds between two checks of a study that another process seals.
PAUSE = 1.0

RUNS = "runs"

#: Receives the next part to check, the number of parts that are done, and their total.
Tell = Callable[[str, int, int], None]


def verify(folder: Path | str, tell: Tell = lambda part, done, of: None) -> Verified:
    """Read every file of a study and compare it with its checksum, its name and the other files.

    Parameters
    ----------
    folder
        Of the study, which may be sealed or in progress, and may be run by other processes meanwhile.
    tell
        Receives progress.

    Returns
    -------
    Verified
        One finding per file.

    Raises
    ------
    StudyError
        If the folder holds no study, or this user may not read all of it.
    """
    folder = Path(folder)
    _check_is_study(folder)
    result = _settled(folder, tell)
    refuse_unreadable(folder, (one.path for one in result.damaged))
    return result


def _settled(folder: Path, tell: Tell) -> Verified:
    """Check every file; again if another process changes the study meanwhile."""
    paths = [folder / name for name in (FACTS, PROTOCOL, FILE)]
    for _ in range(ATTEMPTS):
        before = _state(paths)
        with suppress(FileNotFoundError):
            result = _checked(folder, tell)
            is_sealing = bool(result.damaged) and is_held_elsewhere(folder / LOCK)
            if not result.damaged or (_state(paths) == before and not is_sealing):
                return result
            if is_sealing:
                sleep(PAUSE)
    return _checked(folder, tell, being_sealed=is_held_elsewhere(folder / LOCK))


def _checked(folder: Path, tell: Tell, *, being_sealed: bool = False) -> Verified:
    """Check every file once; a cube that another process is sealing is not damage."""
    in_place = sorted((folder / RUNS).iterdir()) if (folder / RUNS).is_dir() else []
    runs = [path for path in in_place if path.is_dir()]
    steps = len(runs) + 2
    tell("study.json and the cube's files", 0, steps)
    manifest = read_sealed(folder)
    description = described(folder, manifest.listed)
    findings = [*description.findings, *manifest.cube, *([manifest.found] if manifest.found else [])]
    findings += [
        Finding(f"{RUNS}/{path.name}", State.DAMAGED, f"{no_folder(path)}, in place of a run's folder")
        for path in in_place
        if re.fullmatch(NAME, path.name) and no_folder(path)
    ]
    for number, run in enumerate(runs):
        tell(f"{RUNS}/{run.name}", number + 1, steps)
        findings += _settled_run(run, description.recorded)
    tell("the numbers of the cube", steps - 1, steps)
    findings = resolve_conflicts(folder, manifest, of_all(findings))
    findings += check_seal(folder, manifest, description, findings)
    findings += others(folder, {one.path for one in findings})
    tell("", steps, steps)
    if being_sealed:
        sealing = "another process seals it at this moment"
        of_seal = [one.is_bad and one.path.startswith((CUBE, FILE)) for one in findings]
        findings = [
            Finding(one.path, State.NOT_CHECKABLE, sealing) if is_of_seal else one
            for one, is_of_seal in zip(findings, of_seal, strict=True)
        ]
    return Verified(folder, tuple(of_all(findings)))


def _check_is_study(folder: Path) -> None:
    """Raise a StudyError unless a folder holds a study, or what is left of one."""
    if is_there(folder / FACTS) or is_there(folder / FILE):
        return
    if (folder / RUNS).is_dir() and any((folder / RUNS).iterdir()):
        return
    found = "no study.json in it" if folder.is_dir() else "a file" if folder.exists() else "no such folder"
    hint = "a folder that `elastic run` or a Recorder made"
    raise StudyError("`STUDY`", "be a study folder", found, hint, place=str(folder))


def _settled_run(run: Path, recorded: bool) -> list[Finding]:
    """Check a run; again if its files change meanwhile because another process records it."""
    name = f"{RUNS}/{run.name}"
    for _ in range(ATTEMPTS):
        before = _state([run, *sorted(run.rglob("*"))])
        try:
            findings = RunFiles(run, name, recorded).check()
        except FileNotFoundError:
            continue
        if not any(one.is_bad for one in findings) or _state([run, *sorted(run.rglob("*"))]) == before:
            return findings
    return [Finding(name, State.NOT_CHECKABLE, "it changes while it is read")]


def _state(paths: Sequence[Path]) -> list[tuple[str, int, int, int]]:
    """Return a key that changes when files change."""
    entries = []
    for path in paths:
        try:
            status = path.lstat()
        except OSError:
            continue
        entries.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
    return entries
