"""Estimated time and disk space of the remaining runs, from the cost of one run of each kind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.protocol import Cell, canonical_json
from elastic.study.executors.automatic import START
from elastic.study.free_space import folder_bytes
from elastic.study.growth import probed
from elastic.study.plan import Kind
from elastic.study.run_status import RunStatus

if TYPE_CHECKING:
    from elastic.runs.measuring import Cost

#: Bytes on disk of a run beside its numbers and weights: layout, array headers, unused parts of blocks.
RUN_BYTES = 50_000

#: Runs that have not ended, with their progress.
Open = Sequence[tuple[Cell, RunStatus]]


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of all remaining runs.

    Attributes
    ----------
    kinds
        Of the remaining runs.
    seconds
        Of each run, ordered by kind.
    disk_bytes, memory_bytes
        Of all runs, and of the process of one run.
    """

    kinds: tuple[Kind, ...]
    seconds: tuple[float, ...]
    disk_bytes: int
    memory_bytes: int


def estimated(left: Open, place: Path, device: str | None, allow: Sequence[str], budget: float) -> Estimate:
    """Measure runs until a budget of seconds is spent, and estimate the cost of all remaining runs.

    Parameters
    ----------
    left
        The runs.
    place
        Folder of the study, which need not exist: what a folder takes depends on the file system.
    device, allow, budget
        As `elastic.plan` takes them.
    """
    if not left:
        return Estimate((), (), 0, 0)
    groups = kinds_of(left)
    costs = costs_of(groups, device, allow, budget)
    known = [cost for cost in costs if cost is not None]
    pairs = list(zip(groups, costs, strict=True))
    return Estimate(
        kinds=tuple(Kind(len(group), group[0][0].coordinates, cost) for group, cost in pairs),
        seconds=tuple(seconds for group, cost in pairs for seconds in seconds_of(group, cost, known)),
        disk_bytes=max(cost.cube_bytes + cost.cube_folders * folder_bytes(place) for cost in known)
        + int(sum(bytes_of(group, cost, known) for group, cost in pairs)),
        memory_bytes=max(cost.memory_bytes for cost in known),
    )


def kinds_of(left: Open) -> list[Open]:
    """Group runs of equal cost, in the order of their first run."""
    groups: dict[str, list[tuple[Cell, RunStatus]]] = {}
    for cell, status in left:
        groups.setdefault(_decides_cost(cell), []).append((cell, status))
    return list(groups.values())


def _decides_cost(cell: Cell) -> str:
    """Return the settings of a run that determine the cost of an epoch and of a probe."""
    settings = cell.settings.canonical()
    for name in ("optimizer", "loss"):
        settings[name] = {k: v for k, v in settings[name].items() if isinstance(v, str)}
    settings["training"] = {k: v for k, v in settings["training"].items() if k not in ("epochs", "init_scale")}
    settings["training"]["penalties"] = sorted(settings["training"]["penalties"])
    settings["probes"] = {k: v for k, v in settings["probes"].items() if k != "at"}
    settings["data"] = {k: v for k, v in settings["data"].items() if k not in ("seed", "label_noise")}
    return canonical_json({k: v for k, v in settings.items() if k != "seed"})


def costs_of(groups: Sequence[Open], device: str | None, allow: Sequence[str], budget: float) -> list[Cost | None]:
    """Measure one run of each kind until the budget is spent: the first, the last (often the largest), the others."""
    from elastic.runs.measuring import measure
    from elastic.runs.setup import forget_data

    begun, costs = time.perf_counter(), dict[int, Any]()
    forget_data()
    for place in dict.fromkeys([0, len(groups) - 1, *range(len(groups))]):
        if costs and time.perf_counter() - begun > budget:
            break
        costs[place] = measure(groups[place][0][0], device, allow)
    forget_data()
    return [costs.get(place) for place in range(len(groups))]


def seconds_of(group: Open, cost: Cost | None, known: Sequence[Cost]) -> Iterator[float]:
    """Yield the remaining seconds of each run of a kind."""
    for cell, status in group:
        each = [_left_of(cell, status, one) for one in ([cost] if cost else known)]
        yield sum(each) / len(each)


def _left_of(cell: Cell, status: RunStatus, cost: Cost) -> float:
    done = -1 if status.epoch is None else status.epoch
    probes = sum(epoch > done for epoch in probed(cell.settings, cell.settings.training.epochs))
    return (
        cost.setup_seconds
        + cost.epoch_seconds * (cell.settings.training.epochs - max(0, done))
        + cost.probe_seconds * probes
    )


def bytes_of(group: Open, cost: Cost | None, known: Sequence[Cost]) -> float:
    """Return the bytes of the runs of a kind: journal, checkpoint, and a second copy of the numbers in the cube."""
    total = 0.0
    for cell, _ in group:
        epochs, probes = cell.settings.training.epochs + 1, len(probed(cell.settings, cell.settings.training.epochs))
        each = [
            2 * (one.record_bytes * epochs + one.probe_bytes * probes) + one.checkpoint_bytes + RUN_BYTES
            for one in ([cost] if cost else known)
        ]
        total += sum(each) / len(each)
    return total


def parallel_seconds(times: Sequence[float], workers: int) -> float:
    """Return the seconds until all runs have ended, each assigned to the first free worker.

    >>> parallel_seconds([4.0, 2.0, 1.0], 1), parallel_seconds([4.0, 2.0, 1.0], 2) - START
    (7.0, 4.0)
    """
    if workers < 2:
        return sum(times)
    free = [0.0] * workers
    for seconds in times:
        free[free.index(min(free))] += seconds
    return START + max(free)
