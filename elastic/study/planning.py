"""The cost of a study: its grid, what is done, and time, memory and disk space from a few measured epochs.

No run of the study is started, and nothing is written to its folder: epochs are measured in a temporary one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from elastic.protocol import Protocol, load_protocol
from elastic.protocol.allowed import allow_beside
from elastic.protocol.loading import loaded_with
from elastic.protocol.reading import Given
from elastic.study.claim_rehearsal import check_claims
from elastic.study.creation import protocol_of, taken_up
from elastic.study.estimation import estimated, parallel_seconds
from elastic.study.executors.capacity import cores, threads_of, workers_allowed
from elastic.study.folders import RESULTS, RUNS
from elastic.study.free_space import space_notes
from elastic.study.growth import pairs
from elastic.study.plan import Plan
from elastic.study.run_status import RunStatus, read_status
from elastic.study.runner import check_runs

#: Seconds after which no further kind of run is measured.
BUDGET = 30.0


def plan(
    protocol: Protocol | Given,
    *,
    out: Path | str | None = None,
    settings: Sequence[str] = (),
    allow: Sequence[str] = (),
    device: str | None = None,
    budget: float = BUDGET,
) -> Plan:
    """Estimate the cost of a study on this machine from a few measured epochs of its runs.

    Parameters
    ----------
    protocol, out, settings, allow, device
        As `elastic.run` takes them.
    budget
        Seconds after which no further kind of run is measured; the first one is always measured.

    Raises
    ------
    ElasticError
        As `elastic.run` before anything is written.
    """
    loaded, allow, folder = _asked(protocol, out, settings, allow)
    cells, status = loaded.cells, _status(folder, loaded)
    left = [(cell, run) for cell, run in zip(cells, status, strict=True) if not run.ended]
    notes = (check_runs if left else check_claims)(loaded, folder, allow, device)
    begun_at = time.perf_counter()
    estimate = estimated(left, folder, device, allow, budget)
    measured_seconds = time.perf_counter() - begun_at
    open_cells = [cell for cell, _ in left]
    workers = min(len(left), workers_allowed(open_cells, device)) if left else 0
    threads = max(map(threads_of, open_cells), default=0)
    return Plan(
        name=loaded.name,
        folder=str(folder),
        axes=loaded.axis_labels,
        runs=len(cells),
        ended=len(cells) - len(left),
        excluded=loaded.grid.places - len(cells),
        epochs=sum(cell.settings.training.epochs for cell in cells),
        recorded=sum(int(run.epoch or 0) for run in status),
        kinds=estimate.kinds,
        seconds=sum(estimate.seconds),
        workers=workers,
        threads=threads,
        parallel_seconds=parallel_seconds(estimate.seconds, workers),
        memory_bytes=workers * estimate.memory_bytes,
        disk_bytes=estimate.disk_bytes,
        cores=cores(),
        idle_cores=max(0, cores() - workers * threads),
        measured_seconds=measured_seconds,
        notes=(*notes, *space_notes(folder, estimate.disk_bytes)),
    )


def _asked(
    protocol: Protocol | Given, out: Path | str | None, settings: Sequence[str], allow: Sequence[str]
) -> tuple[Protocol, Sequence[str], Path]:
    """Return the protocol as its folder's study goes on with it, the allowed modules, and the folder."""
    loaded = loaded_with(protocol, settings, allow)
    allow = allow_beside(allow, loaded.beside)
    folder = Path(out or RESULTS) / loaded.name
    if not isinstance(protocol, Protocol) and (begun := protocol_of(folder, unless=loaded.digest)):
        loaded = load_protocol(protocol, settings=settings, allow=allow, begun=begun)
    taken_up(folder, loaded)  # refuses a study that asked something else
    return loaded, allow, folder


def _status(folder: Path, protocol: Protocol) -> list[RunStatus]:
    """Return the progress of each run; one that ended before the study's new end has the rest left."""
    begun = protocol_of(folder, unless=protocol.digest)
    former: dict[str, str] = {}
    if begun and begun["training"]["epochs"] < protocol.training.epochs:
        former = {after.digest: before.digest for before, after in pairs(begun, protocol)}
    statuses = []
    for cell in protocol.cells:
        status = read_status(folder / RUNS / former.get(cell.digest, cell.digest), cell.coordinates)
        is_open = cell.digest in former and status.state == "done"
        statuses.append(replace(status, state="under way") if is_open else status)
    return statuses
