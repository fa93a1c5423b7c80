"""A state machine: commands on one study in any order, killed anywhere, with damage in between.

Whatever came before, the numbers that a command gives when it exits with 0 are those of an uninterrupted run. Run as a
script, this file is the process whose children are killed: it has loaded torch already and is forked before any thread
exists, so that a command costs milliseconds instead of the start of an interpreter. Kills are exact: a child dies
before or after the n-th of its calls that change the file system.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from functools import cache
from pathlib import Path

import hypothesis
import numpy as np
import recordings
import studies
import torch
import xarray as xr
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import elastic
from elastic.__main__ import main

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


def command(*words, dies_at=None):
    """Run ``elastic`` with these words."""

    def call():
        sys.argv = ["elastic", *map(str, words)]
        main()

    return forked(call, dies_at)


def output():
    return (ROOT / "output.txt").read_text()


def numbers(cube):
    """Return every variable with a seed, by group and name."""
    return {
        f"{node.path}/{name}": values.load()
        for node in cube.subtree
        for name, values in node.to_dataset(inherit=False).data_vars.items()
        if "seed" in values.dims
    }


def sealed(folder):
    """Return what plain xarray reads in a sealed cube."""
    with xr.open_datatree(folder / "cube.zarr", engine="zarr", chunks=None, decode_timedelta=False) as cube:
        return numbers(cube)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        xr.testing.assert_equal(found[name], values)


def assert_within(found, expected):
    """Every number is that of the reference at the same labels; what is not there yet is NaN."""
    for name, values in found.items():
        if name.endswith("/status"):
            continue
        epochs = expected[name].sel(seed=values["seed"]).reindex(epoch=values["epoch"])
        known = values.notnull()
        np.testing.assert_array_equal(values.where(known).values, epochs.where(known).values, err_msg=name)


class Commands(RuleBasedStateMachine):
    """What both kinds of studies share: reading, verifying, damage, repair."""

    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=ROOT))
        self.damaged: set[str] = set()

    def teardown(self):
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def folder(self) -> Path:
        raise NotImplementedError

    def expected(self):
        """Return the numbers of an uninterrupted run."""
        raise NotImplementedError

    def exists(self):
        return (self.folder / "study.json").exists()

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
        assert (code == 4) == bool(self.damaged), (self.damaged, output())

    @precondition(lambda self: self.exists())
    @rule()
    def status(self):
        code = command("status", self.folder, "--json")
        assert code == 0 or (self.damaged and code == 4), (code, output())

    @precondition(lambda self: self.exists() and not self.damaged)
    @rule(data=st.data())
    def damage(self, data):
        """Flip a bit of a file."""
        files = sorted(
            p for p in self.folder.rglob("*") if p.is_file() and p.stat().st_size and not p.name.startswith(UNREAD)
        )
        files = [path for path in files if ".partial" not in path.name]
        path = data.draw(st.sampled_from(files))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        self.damaged.add(path.relative_to(self.folder).as_posix())

    @precondition(lambda self: self.damaged)
    @rule()
    def repair(self):
        code = command("verify", self.folder, "--repair")
        assert code in (0, 4), output()
        if code == 0:
            self.damaged.clear()


@cache
def reference(count):
    """Return the numbers and the verdicts of an uninterrupted serial run of so many seeds."""
    place = ROOT / f"reference-{count}"
    protocol = studies.write(place, PROTOCOL)
    assert command("run", protocol, "--out", place, "--set", seeds(count)) == 0, output()
    assert command("check", place / "small", "--json") in (0, 1)
    return sealed(place / "small"), json.loads(output())["claims"]


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
        return reference(3)[0]

    def run(self, dies_at=None):
        return command("run", self.protocol, "--out", self.place, "--set", seeds(self.count), dies_at=dies_at)

    @rule()
    def run_to_the_end(self):
        code = self.run()
        if code == 0:
            assert_equal(sealed(self.folder), reference(self.count)[0])
        else:
            assert self.damaged, (code, output())
            assert code in (2, 3, 4), (code, output())

    @rule(number=st.integers(1, 120), after=st.booleans())
    def run_and_kill(self, number, after):
        code = self.run((number, after))
        assert code in (0, -signal.SIGKILL) or self.damaged, (code, output())

    @precondition(lambda self: self.count < 3)
    @rule()
    def extend(self):
        self.count += 1

    def is_whole(self):
        """Whether the study that stands there is sealed with the seeds that are asked for now."""
        facts = json.loads((self.folder / "study.json").read_text()) if not self.damaged else {}
        return len(facts.get("cells", ())) == self.count and (self.folder / "manifest.sha256").exists()

    @precondition(lambda self: self.exists())
    @rule()
    def check(self):
        code = command("check", self.folder, "--json")
        if code not in (0, 1):
            # Nothing to check yet is a mistake of the user's.
            assert code == 2 or self.damaged, (code, output())
            return
        held = json.loads(output())["claims"]
        if self.is_whole():
            assert held == reference(self.count)[1]

    @precondition(lambda self: self.exists())
    @rule()
    def seal(self):
        code = forked(lambda: elastic.open_study(self.folder).seal())
        if code == 0 and (self.folder / "cube.zarr").exists() and not self.damaged:
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

    @rule(seed=st.integers(0, 1), last=st.integers(0, 6))
    def record(self, seed, last):
        code = forked(lambda: recording(self.folder, seed, last))
        if code == 0:
            found = sealed(self.folder)
            assert_within(found, self.expected())
            done = found["/training/loss"].sel(seed=seed, split="train").dropna("epoch")["epoch"].values
            assert set(range(last + 1)) <= set(done.tolist())
        else:
            assert self.damaged, (code, output())

    @rule(seed=st.integers(0, 1), last=st.integers(0, 6), number=st.integers(1, 60), after=st.booleans())
    def record_and_kill(self, seed, last, number, after):
        code = forked(lambda: recording(self.folder, seed, last), (number, after))
        assert code in (0, -signal.SIGKILL) or self.damaged, (code, output())


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


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        search(*map(int, sys.argv[1:5]))
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
