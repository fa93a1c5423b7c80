"""More epochs for an existing study: its runs resume from their checkpoints to the new end.

The numbers equal those of a study run to the new end at once only if nothing depends on the end: the learning rate
is constant, and the probed epochs are those of the new end's schedule. The end itself is always
probed; if the new schedule does not probe the former end, its record keeps what is recorded at every epoch.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from elastic.cube import TRAINING, Journal, read_layout, read_report, run_lock, study_lock, write_layout, write_report
from elastic.cube.atomic import sync_folder, translate_os_errors
from elastic.cube.report_file import UNDER_WAY
from elastic.errors import ElasticError, StudyError
from elastic.protocol import Cell, Protocol, Settings

#: Path of the difference between the protocols of a study and of the same study with more epochs.
EPOCHS = "training.epochs"

CHECKPOINT = "checkpoint.pt"

#: Folder, in that of the study, of a run that is being written with more epochs.
GROWING = ".growing"


def check_growth(folder: Path, begun: Mapping[str, Any], asked: Protocol, difference: str) -> None:
    """Refuse a new end of training that would change existing records.

    Parameters
    ----------
    folder
        Of the study.
    begun
        Its canonical protocol, which differs from ``asked`` in ``training.epochs``.
    asked
        The protocol to run in it.
    difference
        Both ends, as text.

    Raises
    ------
    StudyError
        If the new end is not later, or the learning rate or the probed epochs depend on it.
    """
    hint = f"another name (--set name={asked.name}-2) or folder (--out DIR): the runs of this study are kept"

    def refused(expected: str, found: str) -> StudyError:
        return StudyError(f"`{EPOCHS}`", expected, found, hint, place=str(folder))

    before, after = int(begun["training"]["epochs"]), asked.training.epochs
    if after < before:
        raise refused("grow, if it changes: no record of a study is dropped", difference)
    for cell in asked.cells:
        if cell.settings.training.epochs != after:
            raise refused("be no axis where it changes", difference)
        if (schedule := cell.settings.optimizer.schedule.name) != "constant":
            expected = "stay as it is, unless optimizer.schedule is constant: the learning rates depend on the end"
            raise refused(expected, f"{schedule} and {difference}")
        if missed := sorted(
            set(probed(cell.settings, after)) & set(range(before)) - set(probed(cell.settings, before))
        ):
            expected = "stay as it is, unless probes.at chooses the same epochs up to the former end (every, listed)"
            at = cell.settings.probes.at.name
            raise refused(expected, f"{difference}, with which {at} probes epoch {missed[0]}, too")


def grow(runs: Path, begun: Mapping[str, Any], asked: Protocol) -> int:
    """Turn each run that has started into one of the new protocol, and return the number of these runs.

    The run's former folder stays until `drop_grown` removes it, so that a killed process loses nothing.

    Parameters
    ----------
    runs
        Folder of the runs.
    begun, asked
        As `check_growth` takes them.

    Raises
    ------
    RunBusy
        If another process owns a run.
    ElasticError
        If a run is damaged.
    """
    return sum(_grow_run(runs, before, after) for before, after in pairs(begun, asked))


def drop_grown(runs: Path, begun: Mapping[str, Any], asked: Protocol) -> None:
    """Remove the former folders of extended runs; those that cannot be removed belong to no study."""
    for before, after in pairs(begun, asked):
        if (runs / after.digest / CHECKPOINT).exists() and (runs / before.digest).is_dir():
            with suppress(ElasticError, OSError), run_lock(runs / before.digest):
                shutil.rmtree(runs / before.digest)


def pairs(begun: Mapping[str, Any], asked: Protocol) -> Iterator[tuple[Cell, Cell]]:
    """Yield each cell with its names for the former and the new end; none if an axis sets the end."""
    canonical = asked.canonical()
    canonical["training"] = {**canonical["training"], "epochs": begun["training"]["epochs"]}
    names = {cell.digest for cell in asked.cells}
    for before, after in zip(Protocol.from_canonical(canonical).cells, asked.cells, strict=True):
        if before.digest not in names:
            yield before, after


def remove_growing(folder: Path) -> None:
    """Remove the run that a killed process was writing with more epochs."""
    if (folder / GROWING).exists():
        with study_lock(folder), suppress(FileNotFoundError):
            shutil.rmtree(folder / GROWING)


def _grow_run(runs: Path, before: Cell, after: Cell) -> bool:
    """Write a run's records and checkpoint as those of a cell with more epochs, in a folder that then replaces it.

    The caller holds the study's lock: no other process writes the new run.
    """
    source, target = runs / before.digest, runs / after.digest
    if not (source / CHECKPOINT).exists() or (target / CHECKPOINT).exists():
        return False
    growing = runs.parent / GROWING / after.digest
    with translate_os_errors(growing), run_lock(source):
        shutil.rmtree(growing.parent, ignore_errors=True)
        if not _write_grown(source, growing, before, after):
            return False
        if target.exists():  # an earlier release wrote the new run in place
            with run_lock(target):
                shutil.rmtree(target)
        growing.replace(target)
        sync_folder(runs)
        growing.parent.rmdir()
    return True


def _write_grown(source: Path, target: Path, before: Cell, after: Cell) -> bool:
    """Write the files of a run with more epochs into a folder; return whether there was a run to write."""
    from elastic.checkpoint import load_checkpoint, save_checkpoint

    loaded, known = load_checkpoint(source, before.digest), read_layout(source)
    if loaded is None or known is None:
        return False
    epochs = after.settings.training.epochs
    layout = replace(known, epochs=epochs, probed=probed(after.settings, epochs), cell=None)
    report = read_report(source)
    state, environment = loaded
    planned = {"epochs": epochs, "environment": report.get("environment", environment)}
    journal = Journal(target, write_layout(target, layout), writing=True)
    read = Journal(source, known)
    for epoch in read.epochs():
        journal.append(epoch, _as_recorded(read.read(epoch), journal.layout.is_probed(epoch)))
    write_report(target, {"status": UNDER_WAY, **planned})
    save_checkpoint(target, after.digest, state, environment)
    return True


def _as_recorded(record: Mapping[str, Any], whole: bool) -> dict[str, Any]:
    """Return the part of a record that an epoch has, probed or not."""
    kept = (name for name in record if whole or name == "status" or name.startswith(f"{TRAINING}/"))
    return {name: record[name] for name in kept}


def probed(settings: Settings, epochs: int) -> list[int]:
    """Return the probed epochs of a run with this many epochs."""
    from elastic.protocol.later_components import options_of
    from elastic.training.probe_schedules import probed_epochs

    at = settings.probes.at
    return probed_epochs(at.name, options_of("probe_schedules", at), epochs)


def probed_in_each(cells: Sequence[Cell]) -> list[int]:
    """Return the probed epochs of each run if they are the same for all, else none."""
    plans = [(cell.settings.training.epochs, cell.settings.probes.at) for cell in cells]
    if not plans or any(plan != plans[0] for plan in plans):
        return []
    return probed(cells[0].settings, plans[0][0])
