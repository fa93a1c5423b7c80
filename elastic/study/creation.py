"""Creation of a study: its folder, its description, and what may change when it is opened for another run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from elastic.cube import study_lock
from elastic.errors import Damaged, StudyError
from elastic.protocol import Protocol
from elastic.protocol.later_components import written_out
from elastic.study.claim_history import read_history, register_claims, register_restart
from elastic.study.claim_standing import registration_note
from elastic.study.description import write_description
from elastic.study.discarding import check_not_recorded, discard_runs, remove_discarded
from elastic.study.extension import fixed_differences
from elastic.study.growth import EPOCHS, check_growth, drop_grown, grow, remove_growing
from elastic.study.study import RUNS, Study
from elastic.study.study_file import FACTS, PROTOCOL, is_of


def make_study(
    folder: Path, protocol: Protocol, *, restart: bool = False, note: Callable[[str], None] = lambda _: None
) -> Study:
    """Create the folder of a study, or open the existing one.

    Parameters
    ----------
    folder
        Created if missing.
    protocol
        Protocol to run. That of an existing study may differ in its axes and in text, and may end earlier
        (`elastic.study.growth`): its runs are kept. A damaged study.json of the same protocol is rewritten.
    restart
        Whether to drop all existing runs first.
    note
        Receives messages about a rewritten study.json, and about runs extended to a later end.

    Raises
    ------
    StudyError
        If the folder holds a study of another protocol, or cannot be written.
    Damaged
        If a damaged study.json cannot be attributed to this protocol, or protocol.yaml is damaged.
    RunBusy
        If another process owns a run that is to be dropped.
    """
    check_not_recorded(folder)
    remove_discarded(folder)
    remove_growing(folder)
    if restart:
        register_restart(folder)
        discard_runs(folder)
    elif study := taken_up(folder, protocol):
        return study
    with study_lock(folder):
        if study := taken_up(folder, protocol, note):  # another process may have made it meanwhile
            return study
        grown = _growing_from(folder, protocol)
        if grown and (count := grow(folder / RUNS, grown, protocol)):
            note(f"{count} {'run goes' if count == 1 else 'runs go'} on to epoch {protocol.training.epochs}")
        registered = register_claims(
            folder, protocol.name, protocol.canonical()["claims"], protocol.digest, protocol.axis_labels
        )
        write_description(folder, protocol)
        if registered and protocol.claims:
            note(registration_note(registered, read_history(folder)[:-1]))
        if grown:
            drop_grown(folder / RUNS, grown, protocol)
    return Study(folder)


def _growing_from(folder: Path, protocol: Protocol) -> dict[str, Any] | None:
    """Return the canonical protocol of the study in a folder, if it ends at another epoch than the requested one."""
    begun = protocol_of(folder, unless=protocol.digest)
    return begun if begun and begun["training"]["epochs"] != protocol.training.epochs else None


def taken_up(folder: Path, protocol: Protocol, note: Callable[[str], None] = lambda _: None) -> Study | None:
    """Return the study in a folder if it is of a protocol, None if it has to be written (for the first time, or again).

    Raises
    ------
    StudyError, Damaged
        As `make_study`.
    """
    if not (folder / FACTS).exists():
        return None
    try:
        study = Study(folder, asked=protocol.text)
        _ = study.cells  # derived, and compared
    except Damaged as error:
        if error.place != str(folder / FACTS) or not is_of(folder, protocol.digest):
            raise
        note(f"{error.place} was damaged, and is written anew from its protocol; found {error.found}")
        return None
    if study.digest != protocol.digest:
        _ = study.protocol  # this release knows all of it
        _check_same_question(study, protocol)
    if study.digest != protocol.digest or not (folder / PROTOCOL).exists():
        return None
    return Study(folder)  # sealed or not, both files stay: the manifest of a sealed cube lists their digests


def protocol_of(folder: Path, *, unless: str) -> dict[str, Any] | None:
    """Return the canonical protocol of the study in a folder.

    None if there is none, it has the digest ``unless``, or it cannot be opened (`make_study` reports why).

    Raises
    ------
    StudyError
        If a later release wrote something that this release does not support.
    """
    try:
        study = Study(folder) if (folder / FACTS).exists() else None
        if study is None or study.recorded or study.digest == unless:
            return None
        _ = study.protocol  # this release supports all of it
    except Damaged:
        return None
    return dict(study.facts["protocol"])


def _check_same_question(study: Study, asked: Protocol) -> None:
    begun = study.facts["protocol"]
    # Options that one of them omits are compared by their defaults.
    different = fixed_differences(written_out(begun, Protocol), written_out(asked.canonical(), Protocol))
    if [line.partition(":")[0] for line in different] == [EPOCHS]:
        check_growth(study.folder, begun, asked, different[0])
    elif different:
        raise StudyError(
            "the study",
            "be of the protocol that began it (only axes, claims, words and the last epoch may change)",
            shown(different),
            f"another name (--set name={study.name}-2) or folder (--out DIR): the runs of this study are kept",
            place=str(study.folder),
        )


def shown(lines: Sequence[str], limit: int = 3) -> str:
    """Return the first few of many lines, and the number of the others.

    >>> shown(["a", "b", "c"], limit=2)
    'a; b; and 1 more'
    """
    more = [f"and {len(lines) - limit} more"] if len(lines) > limit else []
    return "; ".join([*lines[:limit], *more])
