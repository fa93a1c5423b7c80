"""The cost of a run, measured on its first epochs in a temporary folder."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from elastic.checkpoint import FILE, environment
from elastic.cube import Layout, run_lock
from elastic.protocol import Cell
from elastic.runs.arithmetic import arithmetic_of
from elastic.runs.commit import Commit, between_checkpoints
from elastic.runs.recorder import RunRecorder
from elastic.runs.setup import build_setup, resolve_device
from elastic.training import Trainer, train

#: Train epochs after the first for at least this many seconds, and at most this many of them.
ENOUGH, MOST = 1.0, 5

#: Bytes of a disk block, and of an array's metadata in the cube.
BLOCK, METADATA = 4096, 1500


@dataclass(frozen=True)
class Cost:
    """Cost of a run on this machine.

    Attributes
    ----------
    setup_seconds
        Seconds to build data, model and probes, and the additional time of the probe before training (its engine is
        compared with real steps).
    epoch_seconds
        Seconds to train and evaluate an epoch, and to write its record and its checkpoint.
    probe_seconds
        Seconds of a probe.
    record_bytes, probe_bytes, checkpoint_bytes
        Of the record of an epoch without probes, of what a probe adds to it, and of the checkpoint.
    cube_bytes, cube_folders
        Of the files of a sealed cube with this run's axes, without its numbers; and how many folders it has.
    memory_bytes
        Peak memory of this process so far.
    """

    setup_seconds: float
    epoch_seconds: float
    probe_seconds: float
    record_bytes: int
    probe_bytes: int
    checkpoint_bytes: int
    cube_bytes: int
    cube_folders: int
    memory_bytes: int


def measure(cell: Cell, device: str | None, allow: Sequence[str] = ()) -> Cost:
    """Train a few epochs of a run in a temporary folder, probe before and after, and return the cost.

    Raises
    ------
    ElasticError
        As `elastic.runs.cell.run_cell`.
    """
    with tempfile.TemporaryDirectory(prefix="elastic-plan-") as temporary:
        folder = Path(temporary) / cell.digest
        with run_lock(folder), arithmetic_of(cell.settings):
            return _measured(cell, folder, device, allow)


def _measured(cell: Cell, folder: Path, device: str | None, allow: Sequence[str]) -> Cost:
    begun = time.perf_counter()
    place = resolve_device(device or cell.settings.training.device)
    setup = build_setup(cell.settings, place, tuple(allow))
    layout = replace(setup.layout, probed=sorted({0, 1, *setup.layout.probed}))
    recorder = RunRecorder(folder, setup.subject, setup.probes, layout, evaluate=False)
    commit = Commit(setup.trainer, recorder, folder, cell.digest, environment(place), lambda: None)
    commit.between = between_checkpoints(cell.settings, place)
    building = time.perf_counter() - begun
    (_, first), (warm, again), *others = _epochs(setup.trainer, commit)
    # Torch loads libraries in the first epoch, which counts only if there is no other.
    epochs = [seconds for seconds, _ in others] or [warm]
    plain, whole = (_nbytes(layout, probed=probed) for probed in (False, True))
    dims = _dims(layout, len(cell.coordinates))
    return Cost(
        setup_seconds=building + max(0.0, first - again),
        epoch_seconds=sum(epochs) / len(epochs),
        probe_seconds=again,
        record_bytes=plain,
        probe_bytes=whole - plain,
        checkpoint_bytes=(folder / FILE).stat().st_size,
        cube_bytes=(2 * BLOCK + METADATA) * len(dims),
        cube_folders=sum(dims) + len(dims),
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def _epochs(trainer: Trainer, commit: Commit) -> list[tuple[float, float]]:
    """Return seconds without probes and seconds of probes of epochs 0, 1 and a few more, if there are any."""
    took: list[tuple[float, float]] = []
    snapshots = train(trainer)
    while len(took) < 2 or (sum(seconds for seconds, _ in took[2:]) < ENOUGH and len(took) < 2 + MOST):
        begun, before = time.perf_counter(), _probing(commit.recorder)
        if (snapshot := next(snapshots, None)) is None:
            break
        commit(snapshot)
        probing = _probing(commit.recorder) - before
        took.append((time.perf_counter() - begun - probing, probing))
    return took if len(took) > 1 else [*took, (0.0, took[0][1])]  # for one that diverges before training


def _probing(recorder: RunRecorder) -> float:
    """Return the seconds that a recorder has spent in probes."""
    return sum(seconds for part, seconds in recorder.seconds.items() if part.endswith(" probes"))


def _nbytes(layout: Layout, *, probed: bool) -> int:
    """Return the bytes of the numbers of a record."""
    return sum(prod(layout.shape(v)) * np.dtype(v.dtype).itemsize for v in layout.recorded(probed=probed))


def _dims(layout: Layout, axes: int) -> list[int]:
    """Return the number of dims of every array in a cube: its chunks are nested in a folder for each."""
    of_variables = [axes + 1 + len(variable.dims) for variable in layout.variables]
    # For each group: the labels of its dims, and variables along the study's axes (status, depths, widths, roles).
    of_labels = [1, 1, 1, 1, *4 * [axes + 1]] * len({variable.group for variable in layout.variables})
    return [*of_variables, *of_labels]
