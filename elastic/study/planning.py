"""What a study will take: its grid, what is done, and time, memory and disk from a few measured epochs.

Nothing of the study is run, and nothing is written into its folder: epochs are measured in a temporary one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.protocol import Cell, Protocol, canonical_json, load_protocol
from elastic.study.claim_rehearsal import check_claims
from elastic.study.creation import protocol_of, taken_up
from elastic.study.executors.automatic import START
from elastic.study.executors.capacity import cores, threads_of, workers_allowed
from elastic.study.folders import RESULTS, RUNS
from elastic.study.growth import pairs
from elastic.study.run_status import RunStatus, read_status

if TYPE_CHECKING:
    from elastic.runs.measuring import Cost

#: Seconds after which no further kind of run is measured.
BUDGET = 30.0

#: Bytes beside numbers and weights: of a run (its layout, the heads of its arrays), and of a cube (its metadata).
RUN_BYTES, CUBE_BYTES = 40_000, 800_000


@dataclass(frozen=True)
class Kind:
    """Runs that take the same: they differ in their seed, or in numbers that cost nothing, as a learning rate.

    Attributes
    ----------
    runs
        How many of them have not ended.
    coordinates
        Of the first of them.
    cost
        What one takes; None where it was not measured: the mean of the others stands for it.
    """

    runs: int
    coordinates: Mapping[str, Any]
    cost: Cost | None


@dataclass(frozen=True)
class Plan:
    """A study before it is run, or on its way.

    Attributes
    ----------
    name
        Of the study.
    folder
        Where it is, or will be.
    axes
        Labels along each dim of the grid.
    runs, ended
        Runs of the grid, and how many of them have ended.
    excluded
        Places in the product of the dims that are left out.
    epochs, recorded
        Epochs to be trained by all runs, and those that are.
    kinds
        Of the runs that have not ended, by what they take.
    seconds
        For all runs that are left, one after the other; what loading and sealing take comes on top.
    workers, threads
        Processes that `elastic run` may use, and the threads of each.
    parallel_seconds
        For all that is left with these workers, if they do not slow each other down.
    memory_bytes
        Of all workers together.
    disk_bytes
        Of the runs that are left: journals, checkpoints and their part of the sealed cube.
    cores, idle_cores
        Of this machine, and those of them that no thread would use.
    measured_seconds
        What the measurement took.
    """

    name: str
    folder: str
    axes: Mapping[str, Sequence[Any]]
    runs: int
    ended: int
    excluded: int
    epochs: int
    recorded: int
    kinds: tuple[Kind, ...]
    seconds: float
    workers: int
    threads: int
    parallel_seconds: float
    memory_bytes: int
    disk_bytes: int
    cores: int
    idle_cores: int
    measured_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON holds it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the plan in words, a fact a line."""
        return list(_lines(self))


def plan(
    protocol: Protocol | Path | str,
    *,
    out: Path | str | None = None,
    settings: Sequence[str] = (),
    allow: Sequence[str] = (),
    device: str | None = None,
    budget: float = BUDGET,
) -> Plan:
    """Return what a study would take on this machine, from a few epochs of its runs that are measured.

    Parameters
    ----------
    protocol, out, settings, allow, device
        As `elastic.run` takes them.
    budget
        Seconds after which no further kind of run is measured; the first is always.

    Raises
    ------
    ElasticError
        As `elastic.run` before anything is written.
    """
    loaded = protocol if isinstance(protocol, Protocol) else load_protocol(protocol, settings=settings, allow=allow)
    folder = Path(out or RESULTS) / loaded.name
    if not isinstance(protocol, Protocol) and (begun := protocol_of(folder, unless=loaded.digest)):
        loaded = load_protocol(protocol, settings=settings, allow=allow, begun=begun)
    taken_up(folder, loaded)  # refuses a study that asked something else
    check_claims(loaded, folder, allow, device)
    cells, status = loaded.cells, _status(folder, loaded)
    left = [(cell, found) for cell, found in zip(cells, status, strict=True) if not found.ended]
    begun_at = time.perf_counter()
    groups = _kinds(left)
    costs = _costs(groups, device, allow, budget) if groups else []
    measured = time.perf_counter() - begun_at
    kinds = tuple(Kind(len(g), g[0][0].coordinates, cost) for g, cost in zip(groups, costs, strict=True))
    known = [cost for cost in costs if cost is not None]
    times = [seconds for g, cost in zip(groups, costs, strict=True) for seconds in _seconds(g, cost, known)]
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
        recorded=sum(int(found.epoch or 0) for found in status),
        kinds=kinds,
        seconds=sum(times),
        workers=workers,
        threads=threads,
        parallel_seconds=_parallel(times, workers),
        memory_bytes=workers * max((cost.memory_bytes for cost in known), default=0),
        disk_bytes=(CUBE_BYTES if left else 0)
        + int(sum(_bytes(g, cost, known) for g, cost in zip(groups, costs, strict=True))),
        cores=cores(),
        idle_cores=max(0, cores() - workers * threads),
        measured_seconds=measured,
    )


def _status(folder: Path, protocol: Protocol) -> list[RunStatus]:
    """Return how far each run is; one that ended where the study is to end later has the rest left."""
    begun = protocol_of(folder, unless=protocol.digest)
    former: dict[str, str] = {}
    if begun and begun["training"]["epochs"] < protocol.training.epochs:
        former = {after.digest: before.digest for before, after in pairs(begun, protocol)}
    found = []
    for cell in protocol.cells:
        status = read_status(folder / RUNS / former.get(cell.digest, cell.digest), cell.coordinates)
        is_open = cell.digest in former and status.state == "done"
        found.append(replace(status, state="under way") if is_open else status)
    return found


Open = Sequence[tuple[Cell, RunStatus]]


def _kinds(left: Open) -> list[Open]:
    """Return runs in groups that take the same, in the order of their first."""
    groups: dict[str, list[tuple[Cell, RunStatus]]] = {}
    for cell, found in left:
        groups.setdefault(_decides_cost(cell), []).append((cell, found))
    return list(groups.values())


def _decides_cost(cell: Cell) -> str:
    """Return the part of a run's settings on which the cost of an epoch and of a probe depends."""
    settings = cell.settings.canonical()
    for name in ("optimizer", "loss"):
        settings[name] = {k: v for k, v in settings[name].items() if isinstance(v, str)}
    settings["training"] = {k: v for k, v in settings["training"].items() if k not in ("epochs", "init_scale")}
    settings["training"]["penalties"] = sorted(settings["training"]["penalties"])
    settings["probes"] = {k: v for k, v in settings["probes"].items() if k != "at"}
    settings["data"] = {k: v for k, v in settings["data"].items() if k not in ("seed", "label_noise")}
    return canonical_json({k: v for k, v in settings.items() if k != "seed"})


def _costs(groups: Sequence[Open], device: str | None, allow: Sequence[str], budget: float) -> list[Cost | None]:
    """Measure one run of each kind until the budget is spent: the first, the last (often the largest), the others."""
    from elastic.runs.measuring import measure
    from elastic.runs.setup import forget_data

    begun, found = time.perf_counter(), dict[int, Any]()
    forget_data()
    for place in dict.fromkeys([0, len(groups) - 1, *range(len(groups))]):
        if found and time.perf_counter() - begun > budget:
            break
        found[place] = measure(groups[place][0][0], device, allow)
    forget_data()
    return [found.get(place) for place in range(len(groups))]


def _seconds(group: Open, cost: Cost | None, known: Sequence[Cost]) -> Iterator[float]:
    """Yield the seconds that each run of a kind has left."""
    for cell, found in group:
        each = [_left_of(cell, found, one) for one in ([cost] if cost else known)]
        yield sum(each) / len(each)


def _left_of(cell: Cell, found: RunStatus, cost: Cost) -> float:
    done = -1 if found.epoch is None else found.epoch
    probes = sum(epoch > done for epoch in _probed(cell))
    return (
        cost.setup_seconds
        + cost.epoch_seconds * (cell.settings.training.epochs - max(0, done))
        + cost.probe_seconds * probes
    )


def _bytes(group: Open, cost: Cost | None, known: Sequence[Cost]) -> float:
    """Return the bytes of the runs of a kind: journal and checkpoint, and the journal's numbers again in the cube."""
    total = 0.0
    for cell, _ in group:
        epochs, probes = cell.settings.training.epochs + 1, len(_probed(cell))
        each = [
            2 * (one.record_bytes * epochs + one.probe_bytes * probes) + one.checkpoint_bytes + RUN_BYTES
            for one in ([cost] if cost else known)
        ]
        total += sum(each) / len(each)
    return total


def _probed(cell: Cell) -> list[int]:
    from elastic.study.growth import probed

    return probed(cell.settings, cell.settings.training.epochs)


def _parallel(times: Sequence[float], workers: int) -> float:
    """Return the seconds until all runs have ended, given out one after the other to the first free worker.

    >>> _parallel([4.0, 2.0, 1.0], 1), _parallel([4.0, 2.0, 1.0], 2) - START
    (7.0, 4.0)
    """
    if workers < 2:
        return sum(times)
    free = [0.0] * workers
    for seconds in times:
        free[free.index(min(free))] += seconds
    return START + max(free)


def _lines(found: Plan) -> Iterator[str]:
    sizes = " × ".join(f"{name} ({_listed(labels)})" for name, labels in found.axes.items())
    without = f", without {found.excluded} that are excluded" if found.excluded else ""
    yield f"{found.name}: {_count(found.runs, 'run')}{without}: {sizes}"
    yield f"done: {found.ended} of {found.runs} runs, {found.recorded} of {found.epochs} epochs ({found.folder})"
    if not found.kinds:
        yield "nothing is left to run"
        return
    measured = [kind for kind in found.kinds if kind.cost is not None]
    yield (
        f"measured: {len(measured)} of {_count(len(found.kinds), 'kind')} of runs, in {found.measured_seconds:.1f} s"
        + ("" if len(measured) == len(found.kinds) else "; the others are taken for their mean")
    )
    for kind in measured:
        if (cost := kind.cost) is not None:
            at = " ".join(f"{name}={label}" for name, label in kind.coordinates.items())
            yield (
                f"  {at}: {cost.epoch_seconds:.3g} s an epoch, {cost.probe_seconds:.3g} s a probe, "
                f"{cost.setup_seconds:.3g} s to begin ({_count(kind.runs, 'run')})"
            )
    yield f"time: {in_time(found.seconds)} one after the other" + (
        f", {in_time(found.parallel_seconds)} with {found.workers} workers" if found.workers > 1 else ""
    )
    yield f"memory: {in_bytes(found.memory_bytes)}, disk: {in_bytes(found.disk_bytes)}"
    used = f"{_count(found.workers, 'worker')} of {_count(found.threads, 'thread')} on {_count(found.cores, 'core')}"
    idle = "" if not found.idle_cores else f": {_count(found.idle_cores, 'core')} would stay idle (training.threads)"
    yield f"cores: {used}{idle}"


def _listed(labels: Sequence[Any], most: int = 6) -> str:
    shown = ", ".join(str(label).lower() if isinstance(label, bool) else str(label) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown}, … {len(labels)} in all"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def in_time(seconds: float) -> str:
    """Return a time in the unit that fits it.

    >>> in_time(3.21), in_time(130), in_time(7000), in_time(300000)
    ('3.2 s', '2 min 10 s', '1 h 56 min', '3 d 11 h')
    """
    if seconds < 60:
        return f"{seconds:.2g} s"
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // part)} {smaller}"
    raise AssertionError("seconds below a minute are told above")


def in_bytes(count: float) -> str:
    """Return a number of bytes in the unit that fits it.

    >>> in_bytes(512), in_bytes(3 * 2**20), in_bytes(2.5 * 2**30)
    ('512 B', '3 MiB', '2.5 GiB')
    """
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 2**power:
            return f"{count / 2**power:.3g} {unit}"
    return f"{count:.0f} B"
