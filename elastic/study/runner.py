"""Running a study: all its cells, then the seal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from elastic.errors import Damaged, ElasticError, RunDamaged, RunFailed
from elastic.progress import Watcher
from elastic.protocol import Cell, Protocol, load_protocol
from elastic.protocol.allowed import allow_beside
from elastic.protocol.earlier_defaults import beginnings
from elastic.protocol.loading import loaded_with
from elastic.protocol.reading import Given
from elastic.study.claim_rehearsal import check_claims
from elastic.study.creation import make_study, protocol_of, shown
from elastic.study.executors.attempts import Work
from elastic.study.executors.board import Board
from elastic.study.executors.choice import Way, chosen
from elastic.study.executors.execution import execute
from elastic.study.growth import probed_in_each
from elastic.study.stopping import Stop, stopping_cleanly
from elastic.study.study import RESULTS, RUNS, Study
from elastic.study.study_file import FACTS


def run(
    protocol: Protocol | Given,
    *,
    out: Path | str | None = None,
    settings: Sequence[str] = (),
    allow: Sequence[str] = (),
    device: str | None = None,
    restart: bool = False,
    watch: Watcher | None = None,
    workers: int | str | None = None,
    scheduler: str | None = None,
    share: str | None = None,
) -> Study:
    """Run a protocol to its end, resuming an existing study, and seal the cube.

    Other processes may run the same study: this one waits for their runs, and one of all processes seals.

    Parameters
    ----------
    protocol
        Name of a shipped protocol, path of a protocol file, dictionary with the contents of one, or a loaded protocol.
    out
        Folder under which the study's folder ``<name>`` lies; by default ``results``.
    settings
        Values that override the file's, as ``path=value``.
    allow
        Modules from which code may be imported. They may lie beside the protocol file (for a protocol that ships: in
        the working folder), whether that is on Python's path or not.
    device
        Overrides the protocol's device for this run; it is not part of the protocol.
    restart
        Whether to drop existing runs.
    watch
        Receives progress.
    workers
        How many processes carry out runs at the same time: a number, or "auto" for as many as cores and memory allow,
        once they are measured to save time. By default this process runs all runs.
    scheduler
        Address of a dask scheduler whose workers carry out the runs, or "local" for one of this machine (needs
        ``elastic-collapse[dask]``). All of them must see the study's folder under the same path.
    share
        "I/N": of N processes that a job array starts, this is the one of index I (from 0, or from 1). It tries the runs
        of its share, then those of others that no process owns, and waits for none: the study is sealed by the process
        that finds all runs ended.

    Returns
    -------
    Study
        With a sealed cube; with a share it is sealed once all runs have ended.

    Raises
    ------
    ElasticError
        ProtocolError and the like before anything is written; StudyError if the folder holds another study; Damaged
        if files of it are damaged; RunFailed, after all other runs have ended, if some failed (then
        the cube is not sealed); RunDamaged if that is for damaged files.
    """
    way = chosen(workers, scheduler, share, restart=restart)
    loaded = loaded_with(protocol, settings, allow)
    allow = allow_beside(allow, loaded.beside)
    folder = Path(out or RESULTS) / loaded.name
    if not isinstance(protocol, Protocol) and not restart:
        loaded = as_begun(loaded, folder, partial(load_protocol, protocol, settings=settings, allow=allow))
    notes: list[str] = []
    is_new = restart or not (folder / FACTS).exists()
    if device is not None and not is_new:
        check_device_name(device)
    if is_new:
        notes = check_runs(loaded, folder, allow, device)
    elif protocol_of(folder, unless=loaded.digest):
        notes = check_claims(loaded, folder, allow, device)  # they may differ from those of the existing study
    watch = watch or Watcher()
    study = make_study(folder, loaded, restart=restart, note=watch.note)
    with watch, stopping_cleanly(watch) as stop:
        for note in notes:
            watch.note(note)
        failed = carry_out(study, loaded, way, Work(study.folder / RUNS, tuple(allow), device), watch, stop)
        if failed:
            raise unsealed(failed)
        if way.share is None or all(run.ended for run in study.runs()):
            study.seal()
    return study


def as_begun(loaded: Protocol, folder: Path, load: Callable[..., Protocol]) -> Protocol:
    """Return a protocol as its study was begun: options that a later release added have their former meaning.

    Parameters
    ----------
    loaded
        The protocol as this release begins one.
    folder
        Of the study. If study.json is lost, the names of the runs show how they were begun.
    load
        Loads the protocol once more, given ``begun``.
    """
    if begun := protocol_of(folder, unless=loaded.digest):
        return load(begun=begun)
    runs = {path.parent.name for path in (folder / RUNS).glob("*/layout.json")}
    if not runs or (folder / FACTS).exists():
        return loaded
    candidates = beginnings(lambda earlier: load(begun=earlier))
    return next((one for one in candidates if not runs.isdisjoint(cell.digest for cell in one.cells)), loaded)


def carry_out(study: Study, protocol: Protocol, way: Way, work: Work, watch: Watcher, stop: Stop) -> list[ElasticError]:
    """Run all runs that have not ended, or wait for their owners; return the errors of failed runs.

    Each process tries a failing run once. One that another process has ended since does not count as failed.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    """
    ended = {run.cell for run in study.runs() if run.ended}
    left = [cell for cell in protocol.cells if cell.digest not in ended]
    epochs = sum(cell.settings.training.epochs for cell in left)
    watch.study_started(study.name, len(protocol.cells), len(protocol.cells) - len(left), epochs, probed_in_each(left))
    board = Board(left, work)
    execute(board, way, work, watch, stop)
    return [error for cell, error in board.failed if not has_ended(work, cell)]


def has_ended(work: Work, cell: Cell) -> bool:
    """Return whether a run has ended, as far as its folder can be read."""
    with suppress(ElasticError):
        return work.has_ended(cell)
    return False


def unsealed(failed: Sequence[ElasticError]) -> RunFailed:
    """Return the error of a study with failed runs: RunDamaged if one of them has damaged files."""
    kind = RunDamaged if any(isinstance(error, Damaged) for error in failed) else RunFailed
    hint = "the same command again: what is done is kept, and the cube is sealed when all runs have ended"
    return kind("every run", "end", shown([str(error) for error in failed]), hint)


def check_device_name(device: str) -> None:
    """Raise a ModelError unless a text names a device, which other machines than this one may have."""
    from elastic.runs.setup import named_device

    named_device(device)


def check_runs(protocol: Protocol, folder: Path, allow: Sequence[str], device: str | None) -> list[str]:
    """Report missing data, unfit models, overflow or invalid claims before a folder is created.

    Returns
    -------
    list of str
        Notes for the user other than errors.

    Raises
    ------
    ElasticError
        As `elastic.runs.rehearsal.rehearse` and `elastic.study.claim_rehearsal.check_claims`.
    """
    from elastic.runs.clamps import clamps
    from elastic.runs.rehearsal import rehearse

    try:
        setup = rehearse(protocol, allow, device)
    except ElasticError as error:
        raise protocol.located(error) from error
    known = {protocol.cells[0].digest: setup.layout}
    return [*clamps(setup, protocol), *check_claims(protocol, folder, allow, device, known)]
