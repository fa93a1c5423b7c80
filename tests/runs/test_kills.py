"""kill -9 at random instants of a study: after going on, the journals and the cube are those of an unbroken one.

Run as a script, this file is the process whose children are killed. It has loaded torch already and is forked
before any thread exists, so that a kill costs milliseconds instead of the start of an interpreter.

A rename takes microseconds, and no kill by the clock meets a file that is half written in its own place. The kernel
does: it ends a process at the byte at which a file becomes larger than its limit (SIGXFSZ).
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
import traceback

import pytest
import torch
from support import forked, studies
from support.few_metrics import leave_few

import elastic
from elastic.runs.cell import run_cell

EPOCHS = 6
SETTINGS = (f"training.epochs={EPOCHS}", "optimizer.schedule.milestones=[0.34, 0.67]")
RECORDS = 2 * (EPOCHS + 1)

#: When a study is killed before it may end: before its first record, between the records of a run, as its last one is
#: there (the checkpoint, the compacted journal and the report of the run are due then), while the cube is sealed; and
#: within a write: of the first checkpoint, of a record.
PLAN = ("start", "within a checkpoint", "first run", "within a record", "second run", "last record", "sealing")

#: Bytes that a file may have from an instant on: a record has fewer than the first, and more than the second.
WITHIN = {"within a checkpoint": 20_000, "within a record": 400}

#: Seconds in which a run ends after its last record.
ENDING = 0.04


class Life:
    """A process that runs the study in a folder, as ``elastic run`` does."""

    def __init__(self, folder):
        self.folder = folder
        self.begun = time.monotonic()
        self.child = os.fork()
        if self.child == 0:
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                studies.run(folder, *SETTINGS)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)

    def records(self):
        """Return how many epochs are recorded: compacted are all of a run."""
        result = 0
        for journal in (self.folder / "results/small/runs").glob("*/journal"):
            is_compacted = (journal / "records.npz").exists()
            result += EPOCHS + 1 if is_compacted else len(list(journal.glob("0*.npz")))
        return result

    def wait_for(self, records):
        """Wait until so many records are there, and return the seconds since the start."""
        while self.records() < records and self.is_alive():
            time.sleep(0.0005)
        return time.monotonic() - self.begun

    def is_alive(self):
        return os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end(self):
        """Wait for the end, and return the seconds since the start."""
        assert os.waitpid(self.child, 0)[1] == 0, "the run failed"
        return time.monotonic() - self.begun

    def kill_at(self, size):
        """Let it die at the byte at which a file becomes larger; return whether it did."""
        resource.prlimit(self.child, resource.RLIMIT_FSIZE, (size, size))
        status = os.waitpid(self.child, 0)[1]
        assert status == 0 or os.WIFSIGNALED(status), "the run failed before it was killed"
        return os.WIFSIGNALED(status)

    def kill(self):
        """Kill it; return whether it was still alive."""
        os.kill(self.child, signal.SIGKILL)
        status = os.waitpid(self.child, 0)[1]
        assert os.WIFSIGNALED(status) or status == 0, "the run failed before it was killed"
        return os.WIFSIGNALED(status)


def result(folder):
    """Return everything that must not depend on kills: all files but locks and what tells of seconds."""
    return {
        **studies.contents(folder / "results/small", "runs/*/journal/*"),
        **studies.contents(folder / "results/small", "runs/*/layout.json"),
        **studies.contents(folder / "results/small", "cube.zarr/**/*"),
        **studies.contents(folder / "results/small", "*.*"),
        "claims_history.json": history(folder / "results/small/claims_history.json"),
    }


def history(path):
    """Return the entries of the history of claims without their times; its checksum covers these."""
    return [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in json.loads(path.read_text())["entries"]
    ]


def states(folder):
    """Return the last checkpoints: weights, momenta, generators."""
    paths = sorted((folder / "results/small/runs").glob("*/checkpoint.pt"))
    return [torch.load(path, weights_only=True)["state"] for path in paths]


def same(one, other):
    """Return whether two states are equal in every bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def measured_life(folder):
    """Run the study without a kill; return seconds to the first record, to the last, and to the end."""
    life = Life(folder)
    first, last = life.wait_for(1), life.wait_for(RECORDS)
    return first, last, life.end()


def killed_life(folder, phase, draw, seconds):
    """Begin or go on with the study, and kill it at a random instant of a phase; return whether that succeeded."""
    first, last, end = seconds
    life = Life(folder)
    if phase in WITHIN:
        life.wait_for(2 if phase == "within a record" else 1)  # the first checkpoint follows the first record
        return life.kill_at(WITHIN[phase])
    if phase == "start":
        time.sleep(draw.uniform(0, first))
    elif phase in ("first run", "second run"):
        before = 0 if phase == "first run" else RECORDS // 2
        life.wait_for(before + draw.randint(1, RECORDS // 2 - 2))
        time.sleep(draw.uniform(0, (last - first) / RECORDS))
    elif phase == "last record":
        life.wait_for(RECORDS)
        time.sleep(draw.uniform(0, ENDING))
    else:
        life.wait_for(RECORDS)
        time.sleep(draw.uniform(0, end - last))
    return life.kill()


def kill_study(root, each):
    """Kill studies until so many kills came in each phase; one that comes after the end is none."""
    from support import preloaded  # noqa: F401 (once, instead of in each of the children)

    leave_few(pytest.MonkeyPatch())  # a metric more is a file more, of the same kinds
    draw = random.Random(0)
    run_in_this_process(root / "warm")
    measured_life(root / "first")  # what is loaded lazily is read from the disk once
    seconds = measured_life(root / "unbroken")
    expected, state = result(root / "unbroken"), states(root / "unbroken")
    kills = []
    for number in range(10 * each):
        folder = root / f"broken_{number}"
        for phase in PLAN:
            if killed_life(folder, phase, draw, seconds):
                kills.append(phase)
        Life(folder).end()
        outcome = result(folder)
        differing = sorted(path for path in outcome | expected if outcome.get(path) != expected.get(path))
        assert not differing, f"after kills {kills}: {differing}"
        assert same(states(folder), state), "the trained weights differ"
        if min(kills.count(phase) for phase in PLAN) >= each:
            break
    print(json.dumps({phase: kills.count(phase) for phase in PLAN}))


def run_in_this_process(folder):
    """Run a cell here, so that children find all of torch loaded; it seals nothing, as that begins threads."""
    cell = elastic.load_protocol(studies.write(folder), settings=SETTINGS).cells[0]
    run_cell(cell, folder / "run")


@pytest.mark.parametrize("each", [1, pytest.param(12, marks=pytest.mark.long)])
def test_kill_9_at_any_instant_changes_no_byte_of_journals_and_cube(tmp_path, each):
    done = forked.script(__file__, tmp_path, each, limit=1800)
    assert done.returncode == 0, done.stdout
    kills = json.loads(done.stdout.splitlines()[-1])
    assert min(kills.values()) >= each


if __name__ == "__main__":
    from pathlib import Path

    kill_study(Path(sys.argv[1]), int(sys.argv[2]))
