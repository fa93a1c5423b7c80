"""A plan as text: the grid, what is done, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elastic.study.plan import Plan


def plan_lines(found: Plan) -> Iterator[str]:
    """Yield a plan, one fact per line."""
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
