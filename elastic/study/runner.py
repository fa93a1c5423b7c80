"""Running a study: its cells one after the other, then the seal."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from elastic.cube import write_atomically
from elastic.errors import ElasticError, ProtocolError, RunFailed, StudyError
from elastic.progress import Watcher
from elastic.protocol import Protocol, load_protocol
from elastic.study.creation import make_study, shown
from elastic.study.study import RESULTS, Study
from elastic.study.study_file import FACTS


def run(
    protocol: Protocol | Path | str,
    *,
    out: Path | str | None = None,
    settings: Sequence[str] = (),
    allow: Sequence[str] = (),
    device: str | None = None,
    restart: bool = False,
    watch: Watcher | None = None,
) -> Study:
    """Run a protocol to its end, from wherever its study stands, and seal the cube.

    Parameters
    ----------
    protocol
        A protocol file, or one that was loaded.
    out
        Folder under which the study's folder ``<name>`` lies; by default ``results``.
    settings
        Values that override the file's, as ``path=value``.
    allow
        Modules from which code may be imported.
    device
        Overrides the protocol's device for this run; it is no part of what is asked.
    restart
        Whether to drop the runs that are there.
    watch
        Is told of progress.

    Returns
    -------
    Study
        With a sealed cube.

    Raises
    ------
    ElasticError
        ProtocolError and the like before anything is written; StudyError if the folder holds another study;
        RunFailed, after all other runs have ended, if some did not.
    """
    loaded = protocol if isinstance(protocol, Protocol) else load_protocol(protocol, settings=settings, allow=allow)
    folder = Path(out or RESULTS) / loaded.name
    if restart or not (folder / FACTS).exists():
        rehearse(loaded, allow, device)
    study = make_study(folder, loaded, restart=restart)
    watch = watch or Watcher()
    with watch, stopping_cleanly(watch) as stop:
        failed = run_cells(study, loaded, allow=allow, device=device, watch=watch, stop=stop)
        if failed:
            raise RunFailed("every run", "end", shown(failed), "the same command again: what is done is kept")
        study.seal()
    return study


def rehearse(protocol: Protocol, allow: Sequence[str], device: str | None) -> None:
    """Build the first run, so that missing data or an unfit model are told before there is a folder.

    Raises
    ------
    ElasticError
        As `elastic.runs.setup.build_setup`; ProtocolError if an axis is named like a variable: in a cube a name
        means one thing.
    """
    from elastic.runs.setup import build_setup, forget_data, resolve_device

    forget_data()
    first = protocol.cells[0].settings
    setup = build_setup(first, resolve_device(device or first.training.device), tuple(allow))
    for axis in {variable.name for variable in setup.layout.variables} & set(protocol.axis_labels):
        should = "have a name that no variable of the cube has"
        raise ProtocolError(f"`axes.{axis}`", should, repr(axis), f"`{axis}_axis`")


def run_cells(
    study: Study,
    protocol: Protocol,
    *,
    allow: Sequence[str],
    device: str | None,
    watch: Watcher,
    stop: Callable[[], bool],
) -> list[str]:
    """Run all cells that have not ended; return a sentence for each that failed."""
    from elastic.runs.cell import run_cell
    from elastic.runs.setup import forget_data

    ended = {run.cell for run in study.runs() if run.ended}
    watch.study_started(study.name, len(protocol.cells), len([c for c in protocol.cells if c.digest in ended]))
    failed = []
    try:
        for cell in [cell for cell in protocol.cells if cell.digest not in ended]:
            folder = study.run_folder(cell.digest)
            try:
                run_cell(cell, folder, allow=allow, device=device, watch=watch, stop=stop)
            except Exception as error:  # a model of the user's own may raise anything; the other runs go on
                told = error if isinstance(error, ElasticError) else unexplained(error, folder)
                failed.append(str(told))
                watch.note(f"failed: {told}")
    finally:
        forget_data()
    return failed


def unexplained(error: Exception, folder: Path) -> RunFailed:
    """Return what to tell of an error that is none of elastic's; its traceback is kept in the run's folder."""
    path = folder / "traceback.txt"
    with suppress(StudyError):  # a full disk must not hide the error
        write_atomically(path, "".join(traceback.format_exception(error)).encode())
    found = f"{type(error).__name__}: {error}".partition("\n")[0]
    return RunFailed("the run", "raise no error of its own", found, f"mending what {path} shows", place=str(folder))


@contextmanager
def stopping_cleanly(watch: Watcher) -> Iterator[Callable[[], bool]]:
    """Give a question "should the run stop?" that Ctrl-C answers with yes; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(_signal: int, _frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        watch.note("stopping after this epoch (Ctrl-C again: at once; nothing is lost either way)")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
