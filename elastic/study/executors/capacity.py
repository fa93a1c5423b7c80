"""How many workers a machine has room for."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from elastic.protocol import Cell

#: Bytes that a worker takes at least, and how much more than this process has taken so far it is expected to take.
LEAST, MARGIN = 512 * 2**20, 1.25

_GPUS = Path("/proc/driver/nvidia/gpus")
_MEMORY = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")


def workers_allowed(cells: Iterable[Cell], device: str | None) -> int:
    """Return how many workers can carry out runs at the same time on this machine.

    With GPUs it is one worker each. Otherwise each worker has the cores that its run states as threads, and as much
    memory as this process has taken so far, and a quarter more: after a run has begun here, that is a measure.

    Parameters
    ----------
    cells
        Runs that are left.
    device
        Overrides the protocol's.
    """
    cells = list(cells)
    devices = {device or cell.settings.training.device for cell in cells}
    if devices & {"auto", "cuda"} and (found := gpus()):
        return len(found)
    if any(name.startswith("cuda") for name in devices):
        return 1
    threads = [threads_of(cell) for cell in cells]
    return max(1, min(cores() // max(threads, default=1), memory() // per_worker()))


def environments(cells: Iterable[Cell], device: str | None) -> list[dict[str, str]]:
    """Return the environment variables of workers, to be taken in turn: each sees one GPU, if there are several."""
    devices = {device or cell.settings.training.device for cell in cells}
    found = gpus() if devices & {"auto", "cuda"} else []
    return [{"CUDA_VISIBLE_DEVICES": name} for name in found] if len(found) > 1 else [{}]


def threads_of(cell: Cell) -> int:
    """Return how many threads a run has; one that states none has as many as there are cores."""
    return cell.settings.training.threads or cores()


def cores() -> int:
    """Return how many cores this process may use: by its affinity, the quota of its cgroup, and what SLURM gave it."""
    from joblib import cpu_count

    with suppress(KeyError, ValueError):
        return max(1, min(int(cpu_count()), int(os.environ["SLURM_CPUS_PER_TASK"])))
    return int(cpu_count())


def gpus() -> list[str]:
    """Return the names of NVIDIA GPUs, as CUDA_VISIBLE_DEVICES lists them; torch is not loaded for it."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(_GPUS.iterdir())] if _GPUS.is_dir() else []


def per_worker() -> int:
    """Return the bytes that a worker is expected to take."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(max(LEAST, MARGIN * peak))


def memory() -> int:
    """Return the bytes of memory that are free for this process: on the machine, and in its cgroups.

    Where neither tells, there is no bound.
    """
    free = [sys.maxsize]
    with suppress(OSError, ValueError, StopIteration, IndexError):
        lines = _MEMORY.read_text().splitlines()
        free.append(1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")))
    with suppress(OSError, StopIteration):
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        folder = _CGROUPS / own.removeprefix("0::").strip().lstrip("/")
        free += [left for group in (folder, *folder.parents) if (left := _left_in(group)) is not None]
    return max(0, min(free))


def _left_in(group: Path) -> int | None:
    """Return the bytes that a cgroup has left, None without a limit; pages of files that can be dropped are free."""
    with suppress(OSError, ValueError):
        limit, taken = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit - taken + int(facts.get("inactive_file", 0))
    return None
