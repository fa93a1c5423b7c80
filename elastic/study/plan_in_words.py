"""A plan as text: the grid, what is done, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from elastic.analysis.reading import spelled
from elastic.study.completeness import named

if TYPE_CHECKING:
    from elastic.study.plan import Plan


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan, one fact per line."""
    sizes = " × ".join(f"{name} ({_listed(labels)})" for name, labels in plan.axes.items())
    without = f", without {plan.excluded} that are excluded" if plan.excluded else ""
    yield f"{plan.name}: {_count(plan.runs, 'run')}{without}: {sizes}"
    yield f"done: {plan.ended} of {plan.runs} runs, {plan.recorded} of {plan.epochs} epochs ({plan.folder})"
    if not plan.kinds:
        yield "nothing is left to run"
        return
    measured = [kind for kind in plan.kinds if kind.cost is not None]
    yield (
        f"measured: {len(measured)} of {_count(len(plan.kinds), 'kind')} of runs, in {plan.measured_seconds:.1f} s"
        + ("" if len(measured) == len(plan.kinds) else "; the others are taken for their mean")
    )
    for kind in measured:
        if (cost := kind.cost) is not None:
            at = named(kind.coordinates)
            yield (
                f"  {at}: {cost.epoch_seconds:.3g} s an epoch, {cost.probe_seconds:.3g} s a probe, "
                f"{cost.setup_seconds:.3g} s to begin ({_count(kind.runs, 'run')})"
            )
    yield f"time: {in_time(plan.seconds)} one after the other" + (
        f", {in_time(plan.parallel_seconds)} with {plan.workers} workers" if plan.workers > 1 else ""
    )
    yield f"memory: {in_bytes(plan.memory_bytes)}, disk: {in_bytes(plan.disk_bytes)}"
    used = f"{_count(plan.workers, 'worker')} of {_count(plan.threads, 'thread')} on {_count(plan.cores, 'core')}"
    idle = "" if not plan.idle_cores else f": {_count(plan.idle_cores, 'core')} would stay idle (training.threads)"
    yield f"cores: {used}{idle}"


def _listed(labels: Sequence[Any], most: int = 6) -> str:
    shown = ", ".join(map(spelled, labels[:most]))
    return shown if len(labels) <= most else f"{shown}, … {len(labels)} in all"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def in_time(seconds: float) -> str:
    """Format a time in a suitable unit.

    >>> in_time(3.21), in_time(130), in_time(7000), in_time(300000)
    ('3.2 s', '2 min 10 s', '1 h 56 min', '3 d 11 h')
    """
    if seconds < 60:
        return f"{seconds:.2g} s"
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // part)} {smaller}"
    raise AssertionError("seconds below a minute are shown above")


def in_bytes(count: float) -> str:
    """Format a number of bytes in a suitable unit.

    >>> in_bytes(512), in_bytes(3 * 2**20), in_bytes(2.5 * 2**30)
    ('512 B', '3 MiB', '2.5 GiB')
    """
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 2**power:
            return f"{count / 2**power:.3g} {unit}"
    return f"{count:.0f} B"
