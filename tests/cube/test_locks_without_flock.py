"""Locks where the file system has no flock: real processes that are killed, stopped, and race."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import processes, studies
from support.locks_alone import LOCKS_ALONE

import elastic
from elastic.cube import heartbeat, liveness, owner, ownership, run_lock, study_lock, system_lock, waiting_lock
from elastic.cube import lock as locking
from elastic.cube.heartbeat import HEARTBEAT
from elastic.cube.lock_file import Markers
from elastic.cube.owner import has_ended, machine, this_process
from elastic.cube.ownership import is_lock_file
from elastic.errors import RunBusy, RunFailed, StudyError
from elastic.progress import Lines

ROOT = Path(elastic.__file__).parents[1]

#: Each process sets its own world: an errno that flock raises (0: it works), a machine, the seconds of silence. Its
#: heart beats five times as fast, and who waits says so sooner, so that tests wait less.
WORLD = """
import fcntl, os, random, signal, sys, time
from contextlib import ExitStack
from pathlib import Path
from elastic.cube import heartbeat, owner, run_lock, waiting, waiting_lock
from elastic.errors import ElasticError, RunBusy

path, code, machine, stale = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])

def refuse(*_):
    raise OSError(code, os.strerror(code))

if code:
    fcntl.flock = refuse
if machine:
    owner.machine = lambda: machine
heartbeat.Watch.__init__.__defaults__ = (stale,)
heartbeat.BEAT, waiting.PATIENCE = 0.2, 0.1
"""

OWN = """
with run_lock(path) as lock:
    print("mine", flush=True)
    sys.stdin.readline()
    try:
        lock.check()
        print("still mine", flush=True)
    except ElasticError as error:
        print(error, flush=True)
"""

TRY = """
try:
    with run_lock(path) as lock:
        lock.check()
        print("mine", flush=True)
except RunBusy as error:
    print(error, flush=True)
"""

FOREVER, SOON = 1e9, 0.5

#: Seconds that a process may take: one that waits for a sign of life would wait for ever if a heart stood still.
LIMIT = 60.0


def command(program, folder, code=errno.ENOLCK, machine="", stale=FOREVER):
    return [sys.executable, "-c", LOCKS_ALONE + WORLD + program, folder, code, machine, stale]


def owning(folder, **world):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return processes.started(command(OWN, folder, **world), cwd=ROOT, limit=LIMIT, **pipes)


def tried(folder, **world):
    return processes.run(command(TRY, folder, **world), cwd=ROOT, limit=LIMIT, check=True).stdout.strip()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_has_one_owner_and_a_dead_one_loses_it_at_once(tmp_path):
    with owning(tmp_path) as process:
        assert process.stdout.readline() == "mine\n"
        assert f"the run should be owned by one process; found process {process.pid} on " in tried(tmp_path)
        process.kill()  # and not reaped: a zombie is dead
        assert tried(tmp_path) == "mine"
    assert names(tmp_path) == ["lock"]


def test_of_another_machine_one_waits_for_a_sign_of_life_and_no_longer(tmp_path):
    with owning(tmp_path, machine="a") as process:
        assert process.stdout.readline() == "mine\n"
        assert f"found process {process.pid} on " in tried(tmp_path, machine="b")
        process.kill()
        process.wait()
        assert tried(tmp_path, machine="b", stale=SOON) == "mine"
    assert names(tmp_path) == ["lock"]


@pytest.mark.parametrize("machine", ["", "b"], ids=["this machine", "another machine"])
def test_an_owner_that_was_stopped_for_long_has_lost_the_lock_and_learns_it(tmp_path, machine):
    with owning(tmp_path, machine="a") as process:
        assert process.stdout.readline() == "mine\n"
        os.kill(process.pid, signal.SIGSTOP)
        assert tried(tmp_path, machine=machine, stale=SOON) == "mine"
        os.kill(process.pid, signal.SIGCONT)
        text, _ = process.communicate("\n")
    assert "the lock should be kept by a touch of its file every second" in text
    assert "found its file removed" in text
    assert names(tmp_path) == ["lock"]


def test_the_marker_of_who_took_over_is_left_alone(tmp_path):
    with owning(tmp_path, machine="a") as first:
        assert first.stdout.readline() == "mine\n"
        os.kill(first.pid, signal.SIGSTOP)
        with owning(tmp_path, machine="b", stale=SOON) as second:
            assert second.stdout.readline() == "mine\n"
            os.kill(first.pid, signal.SIGCONT)
            assert f"found taken over by process {second.pid} on" in first.communicate("\n")[0]
            assert f"found process {second.pid} on " in tried(tmp_path, machine="c")
            assert second.communicate("\n")[0] == "still mine\n"
    assert names(tmp_path) == ["lock"]


@pytest.mark.parametrize(("mine", "others"), [(0, errno.ENOLCK), (errno.ENOLCK, 0)], ids=["with", "without"])
def test_machines_with_and_without_flock_respect_each_other(tmp_path, mine, others):
    with owning(tmp_path, code=mine) as process:
        assert process.stdout.readline() == "mine\n"
        assert f"found process {process.pid} on " in tried(tmp_path, code=others)
        process.kill()
        assert tried(tmp_path, code=others) == "mine"
    assert names(tmp_path) == ["lock"]


def test_an_owner_with_flock_on_another_machine_is_never_judged_by_silence(tmp_path):
    with owning(tmp_path, code=0, machine="a") as process:
        assert process.stdout.readline() == "mine\n"
        text = tried(tmp_path, machine="b", stale=0.0)
    assert f"found process {process.pid} on " in text
    assert f"try deleting {tmp_path / 'lock-owner.1'} if that process no longer runs" in text


RACE = """
def section():
    # Whoever finds a living process inside has met a second owner.
    here = path / "inside"
    try:
        os.close(os.open(here, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        if not (path / "killed").exists():
            raise SystemExit("two owners")
        (path / "killed").unlink()
    time.sleep(random.uniform(0, 0.004))
    if len(sys.argv) > 5 and draw.random() < 0.2:
        (path / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    here.unlink()

draw = random.Random(os.getpid())
print("here", flush=True)
sys.stdin.readline()
for _ in range(15):
    with waiting_lock(path / "lock", "race"):
        section()
print("done")
"""


@pytest.mark.parametrize("code", [0, errno.ENOLCK], ids=["flock", "markers"])
@pytest.mark.parametrize("kills", [False, True], ids=["", "killed"])
def test_of_many_contenders_for_one_lock_each_is_alone(tmp_path, code, kills):
    run_race(tmp_path, ["" for _ in range(6)], code, FOREVER, kills)


def test_of_many_contenders_for_the_lock_of_a_dead_machine_each_is_alone(tmp_path):
    dead = owner.Owner("gone", "gone", 1, "1", False, "token")
    (tmp_path / "lock-owner.7").write_bytes(dead.to_bytes())
    run_race(tmp_path, [f"machine {i}" for i in range(6)], errno.ENOLCK, 2.0, kills=False)
    assert names(tmp_path) == ["lock"]


def run_race(folder, machines, code, stale, kills):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    mortal = ["mortal"] if kills else []
    with ExitStack() as stack:
        racing = [
            stack.enter_context(
                processes.started([*command(RACE, folder, code, machine, stale), *mortal], cwd=ROOT, **pipes)
            )
            for machine in machines
        ]
        assert [process.stdout.readline() for process in racing] == ["here\n"] * len(racing)
        for process in racing:
            process.stdin.write("\n")
            process.stdin.flush()
        ends = [(*process.communicate(), process.returncode) for process in racing]
    errors = [error for _, error, code in ends if code not in (0, -signal.SIGKILL)]
    assert errors == []
    killed = [code for _, _, code in ends if code]
    assert bool(killed) == kills


WAIT = """
study = sys.modules["elastic.study"] = types.ModuleType("elastic.study")
study.__path__ = [f"{elastic.__path__[0]}/study"]
from elastic.progress import Lines
from elastic.study.stopping import stopping_cleanly
with stopping_cleanly(Lines()):
    with waiting_lock(path / "lock", "seal the cube"):
        print("mine", flush=True)
"""


@pytest.mark.parametrize("code", [0, errno.ENOLCK], ids=["flock", "markers"])
def test_a_wait_says_for_what_and_whom_and_the_first_ctrl_c_ends_it(tmp_path, code):
    with owning(tmp_path, code=code) as process:
        assert process.stdout.readline() == "mine\n"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with processes.started(command(WAIT, tmp_path, code), cwd=ROOT, **pipes) as waiting:
            text = waiting.stderr.readline()
            waiting.send_signal(signal.SIGINT)
            out, error = waiting.communicate()
    said = f"elastic: waiting to seal the cube in {tmp_path}: lock is held by process {process.pid} on "
    assert text.startswith(said)
    assert "Ctrl-C ends the wait" in text
    assert (out, error.splitlines()[-1]) == ("", "KeyboardInterrupt")
    assert waiting.returncode == -signal.SIGINT


def test_a_wait_ends_with_the_owner(tmp_path):
    with owning(tmp_path) as process:
        assert process.stdout.readline() == "mine\n"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with processes.started(command(WAIT, tmp_path), cwd=ROOT, **pipes) as waiting:
            assert "waiting to seal the cube" in waiting.stderr.readline()
            process.stdin.write("\n")
            process.stdin.flush()
            assert waiting.communicate() == ("mine\n", "")


# In this process


def refused(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.fixture
def without_flock(monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(heartbeat, "BEAT", 0.2)


@pytest.mark.parametrize(
    "code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY]
)
def test_each_error_of_a_file_system_without_flock_leaves_the_lock_to_markers(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with run_lock(tmp_path):
        (marker,) = Markers(tmp_path / "lock").scan()
        assert marker.owner == dataclasses.replace(this_process(flock=False), token=marker.owner.token)
        assert not system_lock._KEPT  # no file stays open
    assert names(tmp_path) == ["lock"]


def test_a_study_is_run_and_sealed_without_flock(tmp_path, without_flock):
    study = studies.run(tmp_path, *studies.NO_PROBES, "training.epochs=1")
    assert [run.state for run in study.runs()] == ["done", "done"]
    assert list(tmp_path.rglob("*-owner.*")) == []
    assert HEARTBEAT._paths == set()


class Overtaken(Lines):
    """Gives the run to another at its first epoch, as happens to a process that was stopped for long."""

    def epoch_done(self, epoch, scores, probed):
        (marker,) = self.folder.glob("results/small/runs/*/lock-owner.*")
        marker.with_name("lock-owner.9").write_bytes(marker.read_bytes().replace(b'"pid": ', b'"pid": 1'))


def test_a_run_that_was_taken_over_records_nothing_more(tmp_path, without_flock):
    watch = Overtaken(io.StringIO())
    watch.folder = tmp_path
    with pytest.raises(RunFailed, match=r"the lock should be kept by a touch.*found taken over by process 1"):
        studies.run(tmp_path, *studies.NO_PROBES, "training.epochs=3", "axes.seed=[0]", watch=watch)
    (run,) = elastic.open_study(tmp_path / "results/small").runs()
    assert run.epoch == 0


def test_one_process_does_not_own_a_run_twice(tmp_path, without_flock):
    text = "which is this one; try closing its Recorder"
    with run_lock(tmp_path), pytest.raises(RunBusy, match=text), run_lock(tmp_path):
        raise AssertionError("two owners")


def test_whoever_meets_something_new_after_creating_a_marker_withdraws(tmp_path):
    markers, mine = Markers(tmp_path / "lock"), this_process(flock=False)
    assert markers.create(mine, void=[]) == tmp_path / "lock-owner.1"
    assert markers.create(this_process(flock=False), void=[]) is None  # one alone creates a number
    (seen,) = markers.scan()
    (tmp_path / "lock-owner.1").rename(tmp_path / "lock-owner.5")
    assert markers.create(mine, void=[seen]) is None  # what was seen is no longer there, but something else
    assert markers.create(mine, void=[]) is None
    assert markers.create(mine, void=markers.scan()) == tmp_path / "lock-owner.6"
    assert names(tmp_path) == ["lock-owner.5", "lock-owner.6"]


def test_who_was_too_slow_for_a_marker_tries_again(tmp_path, monkeypatch, without_flock):
    create, tries = Markers.create, []
    monkeypatch.setattr(Markers, "create", lambda *args: create(*args) if len(tries) > 1 else tries.append(args))
    with run_lock(tmp_path):
        assert names(tmp_path) == ["lock", "lock-owner.1"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": 1}\n', b"\xff\n", b"null\n", b"[1]\n"])
def test_a_marker_that_names_nobody_is_void_in_the_end(tmp_path, monkeypatch, content, without_flock):
    monkeypatch.setattr(heartbeat.Watch.__init__, "__defaults__", (0.1,))
    (tmp_path / "lock-owner.3").write_bytes(content)
    with run_lock(tmp_path):
        assert names(tmp_path) == ["lock", "lock-owner.4"]


def test_a_number_of_a_process_that_was_given_again_is_not_its_owner(tmp_path):
    now = this_process(flock=False)
    assert not now.is_dead
    assert owner.Owner(now.host, now.machine, now.pid, "1", False, "").is_dead
    assert not owner.Owner(now.host, "another", 1_999_999_999, "1", False, "").is_dead
    assert has_ended(1_999_999_999, "")


def test_a_forked_child_neither_gives_a_lock_back_nor_keeps_it(tmp_path):
    program = """
with run_lock(path):
    child = os.fork()
    if child == 0:
        print("child", os.getpid(), flush=True)
        sys.stdout.close()
        time.sleep(600)
    sys.stdin.readline()
"""
    leaving = """
lock = run_lock(path)
lock.__enter__()
if os.fork() == 0:
    lock.__exit__(None, None, None)
    print("left", flush=True)
    os._exit(0)
sys.stdin.readline()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    for code in (0, errno.ENOLCK):
        with processes.started(command(leaving, tmp_path, code), cwd=ROOT, **pipes) as process:
            assert process.stdout.readline() == "left\n"
            assert f"process {process.pid} " in tried(tmp_path, code=code)
        with processes.started(command(program, tmp_path, code), cwd=ROOT, **pipes) as process:
            assert process.stdout.readline().startswith("child ")
            os.kill(process.pid, signal.SIGKILL)  # the child lives on
            process.wait()
            assert tried(tmp_path, code=code) == "mine"


def test_locks_know_their_files(tmp_path, without_flock):
    with run_lock(tmp_path / "run"), study_lock(tmp_path), waiting_lock(tmp_path / ".sealing.lock", "seal"):
        collected = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(collected) == 6
        assert all(map(is_lock_file, collected))


def test_an_owner_that_another_release_wrote_is_no_owner_of_today(tmp_path):
    (tmp_path / "lock-owner").write_text("process 1 on here\n")
    with run_lock(tmp_path):
        pass
    assert json.loads(this_process(flock=True).to_bytes())["machine"] == machine()


def test_a_lock_whose_folder_is_removed_is_given_back(tmp_path, without_flock):
    with run_lock(tmp_path / "run") as lock:
        for path in (tmp_path / "run").iterdir():
            path.unlink()
        (tmp_path / "run").rmdir()
        with pytest.raises((StudyError, FileNotFoundError)):
            lock.check()
    assert ownership.LOCK == "lock"


def marked_elsewhere(lock, age=0.0, *, flock=False):
    """Write the marker of an owner on another machine, which was touched so long ago by that machine's clock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    marker = Markers(lock).file(1)
    marker.write_bytes(owner.Owner("far", "far", 1, "1", flock, "token").to_bytes())
    os.utime(marker, (time.time() - age,) * 2)
    return marker


@pytest.mark.parametrize(("age", "touched", "lives"), [(1, False, True), (60, False, False), (60, True, True)])
def test_an_owner_elsewhere_lives_while_its_marker_is_touched(tmp_path, monkeypatch, age, touched, lives):
    marker, waits = marked_elsewhere(tmp_path / "lock", age), []
    shutil.copy2(marker, tmp_path / "lock-owner.2")  # of an owner that is gone
    monkeypatch.setattr(
        liveness.time, "sleep", lambda seconds: (waits.append(seconds), os.utime(marker) if touched else None)
    )
    assert liveness.is_alive(tmp_path / "lock") is lives
    assert len(waits) == (age > heartbeat.STALE)


@pytest.mark.parametrize(("age", "lives"), [(1, True), (60, False)])
def test_a_marker_that_names_nobody_may_be_of_an_owner_that_lives(tmp_path, monkeypatch, age, lives):
    marked_elsewhere(tmp_path / "lock", age).write_bytes(b"")
    os.utime(tmp_path / "lock-owner.1", (time.time() - age,) * 2)
    monkeypatch.setattr(liveness.time, "sleep", lambda seconds: None)
    assert liveness.is_alive(tmp_path / "lock") is lives


def test_the_owners_of_many_locks_are_watched_together(tmp_path, monkeypatch):
    ages, waits = (1, 60, 70, 60), []
    markers = [marked_elsewhere(tmp_path / str(number) / "lock", age) for number, age in enumerate(ages)]
    monkeypatch.setattr(liveness.time, "sleep", lambda seconds: (waits.append(seconds), os.utime(markers[2])))
    assert liveness.are_alive([marker.with_name("lock") for marker in markers]) == [True, False, True, False]
    assert len(waits) == 1
    assert waits[0] > heartbeat.BEAT


def test_an_owner_elsewhere_with_flock_lives_while_the_system_has_its_lock(tmp_path, monkeypatch):
    """Killed on a node of a cluster (no memory left), it can clean up nothing; its lock is free."""
    marker, lock = marked_elsewhere(tmp_path / "lock", flock=True), tmp_path / "lock"
    assert not liveness.is_alive(lock)
    with lock.open("w") as file:
        assert not liveness.is_alive(lock)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert liveness.is_alive(lock)
        monkeypatch.setattr(fcntl, "flock", refused)
        assert liveness.is_alive(lock)
    assert {path.name for path in tmp_path.iterdir()} == {"lock", marker.name}


def test_a_reader_who_tests_a_lock_keeps_nobody_from_it(tmp_path, monkeypatch):
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        monkeypatch.setattr(locking.time, "sleep", lambda seconds: file.close())
        with run_lock(tmp_path):
            assert file.closed


def test_a_lock_is_alive_while_a_process_has_it(tmp_path, monkeypatch):
    """On this machine nobody waits to see it, or touches the lock."""
    monkeypatch.setattr(liveness.time, "sleep", None)
    monkeypatch.setattr(liveness, "is_flocked", None)
    (tmp_path / "file").touch()
    assert not liveness.is_alive(tmp_path / "none" / "lock")
    assert not liveness.is_alive(tmp_path / "file" / "lock")
    with ownership.run_lock(tmp_path):
        assert liveness.is_alive(tmp_path / "lock")
        (marker,) = tmp_path.glob("lock-owner.*")
        text = marker.read_bytes()
    assert not liveness.is_alive(tmp_path / "lock")
    now = owner.Owner.from_bytes(text)
    marker.write_bytes(dataclasses.replace(now, pid=1_999_999_999).to_bytes())  # killed: it stays
    assert not liveness.is_alive(tmp_path / "lock")
