"""A state machine: commands on one study in any order, killed anywhere, with damage in between.

Whatever came before, the numbers that a command gives when it exits with 0 are those of an uninterrupted run. Run as a
script, this file is the process whose children are killed: it has loaded torch already and is forked before any thread
exists, so that a command costs milliseconds instead of the start of an interpreter. Kills are exact: a child dies
before or after the n-th of its calls that change the file system.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

import hypothesis
import pytest
import torch
import xarray as xr
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import elastic
from elastic.__main__ import main
from elastic.claims.checking import verdicts_on
from elastic.cube import open_sealed
from elastic.study.executors import worker_process
from elastic.study.executors.worker import work_for
from support import (
    preloaded,  # noqa: F401 (once, instead of in each of the children)
    recordings,
    studies,
)
from support.few_metrics import leave_few
from support.forked import ForkedChild
from support.uninterrupted import (
    assert_equal,
    assert_reads_within,
    assert_status,
    assert_table_within,
    assert_within,
    masked,
    numbers,
    plainly,
    sealed,
)

ROOT = Path(tempfile.mkdtemp(prefix="any-order-"))

PROTOCOL = studies.SMALL.replace("epochs: 6", "epochs: 3") + (
    "claims: [{name: collapse_deepens_with_depth, metric: nc1}]\n"
)

#: Calls by which files come, go and change their names.
CHANGES = ("replace", "rename", "fsync", "unlink", "rmdir", "mkdir")

#: No damage: a lock, who holds it, and what a lost run leaves to a reader.
UNREAD = ("lock", ".study.lock", ".sealing.lock", "traceback.txt")


def seeds(count):
    return f"axes.seed={list(range(count))}"


def forked(function, dies_at=None):
    """Run a function in a child; return its exit code, or minus the signal that ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            quiet = os.open(ROOT / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            if dies_at is not None:
                die_at(*dies_at)
            code = function() or 0
        except SystemExit as ended:
            code = ended.code or 0
        except elastic.errors.ElasticError as error:
            code = error.exit_code
        finally:
            sys.stdout.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def die_at(number, after):
    """Kill this process at its n-th call that changes the file system, before it or after it."""
    left = [number]

    def dying(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in CHANGES:
        setattr(os, name, dying(getattr(os, name)))


class ForkedWorker(ForkedChild):
    """A worker that is forked: an interpreter takes seconds to start."""

    #: When each worker dies, in the order in which they start; those beyond live.
    deaths: ClassVar = []

    def __init__(self, connection, _environment):
        death = self.deaths.pop(0) if self.deaths else None

        def work():
            connection.recv()  # where an interpreter would find its modules
            if death is not None:
                die_at(*death)
            work_for(connection)

        super().__init__(work)


def command(*words, dies_at=None, workers_die_at=()):
    """Run ``elastic`` with these words."""

    def call():
        ForkedWorker.deaths = list(workers_die_at)
        worker_process._started = ForkedWorker
        sys.argv = ["elastic", *map(str, words)]
        main()

    return forked(call, dies_at)


def output():
    return (ROOT / "output.txt").read_text()


class Commands(RuleBasedStateMachine):
    """What both kinds of studies share: reading, verifying, damage, repair."""

    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=ROOT))
        #: What was damaged, and its bytes since; None where nothing stands there any more.
        self.damaged: dict[Path, bytes | None] = {}
        self.opened: list[xr.DataTree] = []

    def teardown(self):
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def folder(self) -> Path:
        raise NotImplementedError

    def expected(self):
        """Return the numbers of an uninterrupted run."""
        raise NotImplementedError

    def cells(self):
        """Return the coordinates of each run that there may be, by the name of its folder."""
        raise NotImplementedError

    def exists(self):
        return (self.folder / "study.json").exists()

    @invariant()
    def open_cubes_are_right_or_raise(self):
        for cube in self.opened:
            assert_reads_within(cube, self.expected())

    @precondition(lambda self: (self.folder / "cube.zarr/zarr.json").exists() and not self.damaged)
    @rule(plain=st.booleans())
    def open_the_cube(self, plain):
        """Open what is there, lazily; it is read after every later command."""
        with contextlib.suppress(OSError, elastic.errors.ElasticError, KeyError):  # killed while it was replaced
            self.opened.append(plainly(self.folder) if plain else open_sealed(self.folder))
        self.opened = self.opened[-2:]

    @precondition(lambda self: self.exists())
    @rule()
    def read(self):
        """What is recorded so far is right, or the damage is told."""

        def look():
            assert_within(numbers(elastic.open_study(self.folder).cube), self.expected())

        code = forked(look)
        assert code == 0 or (self.damaged and code in (2, 3, 4)), (code, output())

    @precondition(lambda self: self.exists())
    @rule()
    def verify(self):
        code = command("verify", self.folder)
        assert code in (0, 4), output()
        assert code == 0 or self.damaged, output()
        still = [path for path, now in self.damaged.items() if now is not None and content(path) == now]
        if not (self.folder / "manifest.sha256").exists():
            # Nothing tells what a file of a cube was whose records have changed since; it is told, and nobody reads it.
            text = {line.partition(": not checkable")[0] for line in output().splitlines() if ": not checkable" in line}
            still = [path for path in still if path.relative_to(self.folder).as_posix() not in text]
        assert code == 4 or not still, (still, output())

    @precondition(lambda self: self.exists())
    @rule()
    def status(self):
        code = command("status", self.folder, "--json")
        assert code == 0 or (self.damaged and code == 4), (code, output())
        if code == 0:
            assert_status(json.loads(output()), self.folder, self.cells(), damaged=bool(self.damaged))

    @precondition(lambda self: self.exists())
    @rule()
    def export(self):
        place = self.place / "exported"
        code = command("export", self.folder, "--csv", "--netcdf", "-o", place)
        assert code in (0, 2) or (self.damaged and code == 4), (code, output())
        if code == 0:
            # A run that was killed before its first record leaves a table without rows.
            nothing = not any(self.folder.glob("runs/*/journal/*.npz"))
            assert_table_within(place / "training-split.csv", self.expected(), may_be_empty=nothing)
            with xr.open_datatree(next(place.glob("*.nc")), decode_timedelta=False) as cube:
                assert_within(numbers(cube), self.expected())
        shutil.rmtree(place, ignore_errors=True)

    @precondition(lambda self: self.exists() and not self.damaged)
    @rule(data=st.data(), kind=st.sampled_from(("flip", "flip", "cut", "delete", "exchange")))
    def damage(self, data, kind):
        """Flip a bit of a file, cut it short, delete it, or exchange it with another of the same name."""
        files = sorted(
            p for p in self.folder.rglob("*") if p.is_file() and p.stat().st_size and not p.name.startswith(UNREAD)
        )
        files = [path for path in files if ".partial" not in path.name and "damaged" not in path.parts]
        # Sizes of files, and so their number, may differ from one time to another: what is drawn does not.
        which, where, bit = (data.draw(st.integers(0, 999)) for _ in range(3))
        path = files[which * len(files) // 1000]
        raw = content(path)
        place = where * len(raw) // 1000
        if kind == "flip":
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1 << bit % 8]) + raw[place + 1 :])
        elif kind == "cut":
            path.write_bytes(raw[:place])
        elif kind == "delete":
            path.unlink()
        else:
            alike = [one for one in files if one.name == path.name and content(one) != raw]
            other = alike[bit * len(alike) // 1000] if alike else path
            path.write_bytes(content(other))
            other.write_bytes(raw)
            if other == path:
                return
            self.damaged[other] = content(other)
        if kind in ("delete", "exchange") and "cube.zarr" in path.parts:
            self.opened = []  # what plain xarray cannot tell
        # A file that is gone may not have been written yet, or nothing may need it.
        self.damaged[path] = content(path)

    @precondition(lambda self: self.damaged)
    @rule()
    def repair(self):
        code = command("verify", self.folder, "--repair")
        assert code in (0, 4), output()
        if code == 0:
            self.damaged.clear()

    @precondition(lambda self: self.damaged)
    @rule(number=st.integers(1, 40), after=st.booleans())
    def repair_and_kill(self, number, after):
        code = command("verify", self.folder, "--repair", dies_at=(number, after))
        assert code in (0, 4, -signal.SIGKILL), output()


def content(path):
    """Return the bytes of a file; None where there is none."""
    return path.read_bytes() if path.is_file() else None


@cache
def reference(count):
    """Return the numbers of an uninterrupted serial run of so many seeds."""
    return sealed(reference_folder(count))


@cache
def reference_folder(count):
    place = ROOT / f"reference-{count}"
    protocol = studies.write(place, PROTOCOL)
    assert command("run", protocol, "--out", place, "--set", seeds(count)) == 0, output()
    return place / "small"


class Protocol(Commands):
    """A protocol that is run, killed, resumed, extended, checked."""

    def __init__(self):
        super().__init__()
        self.protocol = studies.write(self.place, PROTOCOL)
        self.count = 1

    @property
    def folder(self):
        return self.place / "small"

    def expected(self):
        return reference(3)

    def cells(self):
        runs = json.loads((reference_folder(3) / "study.json").read_text())["cells"]
        return {run["digest"]: run["coordinates"] for run in runs}

    def run(self, *options, dies_at=None, workers_die_at=()):
        asked = ("run", self.protocol, "--out", self.place, "--set", seeds(self.count))
        return command(*asked, *options, dies_at=dies_at, workers_die_at=workers_die_at)

    @rule(share=st.sampled_from((None, "0/2", "1/2")))
    def run_to_the_end(self, share):
        """Alone, or as the only process of a job array that is alive: it takes the runs of all shares."""
        code = self.run(*(("--share", share) if share else ()))
        if code == 0:
            assert_equal(sealed(self.folder), reference(self.count))
        else:
            assert self.damaged, (code, output())
            assert code in (2, 3, 4), (code, output())

    @rule(deaths=st.lists(st.tuples(st.integers(1, 120), st.booleans()), max_size=1))
    def run_in_workers(self, deaths):
        """Two runs at a time; a worker that is killed loses nothing."""
        code = self.run("--workers", "2", workers_die_at=deaths)
        if code == 0:
            assert_equal(sealed(self.folder), reference(self.count))
        else:
            assert self.damaged, (code, output())
            assert code in (2, 3, 4), (code, output())

    @rule(number=st.integers(1, 120), after=st.booleans())
    def run_and_kill(self, number, after):
        self.killed(self.run(dies_at=(number, after)))

    @rule(number=st.integers(1, 200), after=st.booleans())
    def restart_and_kill(self, number, after):
        self.killed(self.run("--restart", dies_at=(number, after)))

    def killed(self, code):
        assert code in (0, -signal.SIGKILL) or self.damaged, (code, output())
        if code == 0:
            assert_equal(sealed(self.folder), reference(self.count))

    @rule(count=st.integers(1, 3))
    def ask_for(self, count):
        """Extend the study, or ask for fewer runs."""
        self.count = count

    @precondition(lambda self: self.exists())
    @rule()
    def check(self):
        code = command("check", self.folder, "--json")
        if code not in (0, 1):
            # Nothing to check yet is a mistake of the user's.
            assert code == 2 or self.damaged, (code, output())
            return
        result = json.loads(output())["claims"]

        def expected():
            study = elastic.open_study(self.folder)
            # A variable that no claim reads may be damaged.
            truth = masked(open_sealed(reference_folder(3)), numbers(study.cube, only="status"))
            assert [verdict.to_json() for verdict in verdicts_on(truth, study.claims)] == result

        assert forked(expected) == 0, output()

    @precondition(lambda self: self.exists())
    @rule()
    def seal(self):
        code = forked(lambda: elastic.open_study(self.folder).seal())
        if code == 0:
            assert_within(sealed(self.folder), self.expected())


@cache
def recorded(count):
    """Return the numbers of an uninterrupted recording of so many seeds, six epochs each."""
    place = ROOT / f"recorded-{count}"
    for seed in range(count):
        assert forked(lambda seed=seed: recording(place, seed, 6)) == 0, output()
    return sealed(place)


def recording(folder, seed, last):
    recordings.record(folder, epochs=range(last + 1), seed=seed, coordinates={"seed": seed})


class Recorded(Commands):
    """Training loops that record, are killed, and are run again from their start."""

    @property
    def folder(self):
        return self.place / "mine"

    def expected(self):
        return recorded(2)

    def cells(self):
        runs = (ROOT / "recorded-2/runs").glob("*/run.json")
        return {path.parent.name: json.loads(path.read_text())["coordinates"] for path in runs}

    @rule(seed=st.integers(0, 1), last=st.integers(0, 6))
    def record(self, seed, last):
        self.recorded(forked(lambda: recording(self.folder, seed, last)), seed, last)

    def recorded(self, code, seed, last):
        if code == 0:
            result = sealed(self.folder)
            assert_within(result, self.expected())
            done = result["/training/loss"].sel(seed=seed, split="train").dropna("epoch")["epoch"].values
            assert set(range(last + 1)) <= set(done.tolist())
        else:
            assert self.damaged, (code, output())

    @rule(seed=st.integers(0, 1), last=st.integers(0, 6), number=st.integers(1, 60), after=st.booleans())
    def record_and_kill(self, seed, last, number, after):
        code = forked(lambda: recording(self.folder, seed, last), (number, after))
        if code != -signal.SIGKILL:
            self.recorded(code, seed, last)


def search(examples, steps, seed, shrinks=0):
    """Run both machines; raise what breaks, with the shortest way to it if ``shrinks``, which takes minutes."""
    settings = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck), report_multiple_bugs=False,
        phases=[hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrinks else [])],
    )  # fmt: skip
    for machine in (Protocol, Recorded):
        run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
        print(f"{machine.__name__}: {examples} ways of up to {steps} commands hold")


def leave(owner, number, _frame):
    """End without the folder; an exception would be lost where a signal meets a callback of `fork`."""
    if os.getpid() == owner:
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        shutil.rmtree(ROOT, ignore_errors=True)
    os._exit(128 + number)


if __name__ == "__main__":
    torch.set_num_threads(1)
    leave_few(pytest.MonkeyPatch())
    signal.signal(signal.SIGTERM, partial(leave, os.getpid()))
    try:
        search(*map(int, sys.argv[1:5]))
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
