"""How many workers the cores, GPUs and memory of a machine allow."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from elastic.protocol import Cell

#: Least memory of a worker in bytes, and its expected memory as a multiple of the peak of this process.
LEAST, MARGIN = 512 * 2**20, 1.25

_DEVICE = re.compile(r"[0-9]+|(?:GPU|MIG)-\S+")
_GPUS = Path("/proc/driver/nvidia/gpus")
_MEMORY = Path("/proc/meminfo")
_OWN_CGROUPS, _CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

#: Files of a cgroup for its limit and usage, and the name of its droppable memory, by version.
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def workers_allowed(cells: Iterable[Cell], device: str | None) -> int:
    """Return how many workers can run runs at the same time on this machine.

    With GPUs: one worker per GPU. Otherwise each worker has as many cores as its run has threads. In both cases each
    is assumed to use the peak memory of this process so far, and a quarter more: after a run has started here, that is
    a good estimate.

    Parameters
    ----------
    cells
        Runs that are left.
    device
        Overrides the protocol's.
    """
    cells = list(cells)
    devices = {device or cell.settings.training.device for cell in cells}
    if devices & {"auto", "cuda"} and (devices_here := gpus()):
        most = len(devices_here)
    elif any(name.startswith("cuda") for name in devices):
        return 1
    else:
        most = cores() // max(map(threads_of, cells), default=1)
    return max(1, min(most, memory() // per_worker()))


def environments(cells: Iterable[Cell], device: str | None) -> list[dict[str, str]]:
    """Return the environment variables of workers, taken in turn: each worker sees one GPU, if there are several."""
    devices = {device or cell.settings.training.device for cell in cells}
    names = gpus() if devices & {"auto", "cuda"} else []
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names] if len(names) > 1 else [{}]


def threads_of(cell: Cell) -> int:
    """Return the number of threads of a run; by default the number of cores."""
    return cell.settings.training.threads or cores()


def cores() -> int:
    """Return how many cores this process may use: by its affinity, the quota of its cgroup, and SLURM's allocation."""
    from joblib import cpu_count

    with suppress(KeyError, ValueError):
        return max(1, min(int(cpu_count()), int(os.environ["SLURM_CPUS_PER_TASK"])))
    return int(cpu_count())


def gpus() -> list[str]:
    """Return the names of NVIDIA GPUs, as CUDA_VISIBLE_DEVICES lists them, without importing torch.

    As in CUDA, an invalid name ends the list: ``-1``, or ``NoDevFiles``, which SLURM sets in jobs without a GPU, with
    the same effect.
    """
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return list(takewhile(_DEVICE.fullmatch, (name.strip() for name in visible.split(","))))
    return [str(number) for number, _ in enumerate(_GPUS.iterdir())] if _GPUS.is_dir() else []


def per_worker() -> int:
    """Return the expected memory of a worker in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(max(LEAST, MARGIN * peak))


def memory() -> int:
    """Return the bytes of memory available to this process: on the machine, and in its cgroups.

    Infinite if neither reports a limit.
    """
    free = [sys.maxsize]
    with suppress(OSError, ValueError, StopIteration, IndexError):
        lines = _MEMORY.read_text().splitlines()
        free.append(1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")))
    free += _left_in_cgroups()
    return max(0, min(free))


def _left_in_cgroups() -> Iterator[int]:
    """Yield the available bytes of each cgroup of this process that has a limit, its own and its parents."""
    with suppress(OSError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            version = 1 if "memory" in controllers.split(",") else 2 if not controllers else None
            if version is None:
                continue
            root = _CGROUPS / "memory" if version == 1 else _CGROUPS
            own = root / path.strip().lstrip("/")  # in a container this may be a path of the host, which does not exist
            for group in (own, *(above for above in own.parents if above.is_relative_to(root))):
                if (left := _left_in(group, *_FILES[version])) is not None:
                    yield left


def _left_in(group: Path, limit: str, usage: str, droppable: str) -> int | None:
    """Return the available bytes of a cgroup, None without a limit; file pages that can be dropped are available."""
    with suppress(OSError, ValueError):
        most, taken = (int((group / name).read_text()) for name in (limit, usage))
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return most - taken + int(facts.get(droppable, 0))
    return None
