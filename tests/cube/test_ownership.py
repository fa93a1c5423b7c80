from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import processes
from support.locks_alone import LOCKS_ALONE

import elastic
from elastic.cube import owner as owners
from elastic.cube import run_lock
from elastic.errors import RunBusy, StudyError

ROOT = Path(elastic.__file__).parents[1]

OWNER = f"""{LOCKS_ALONE}
from pathlib import Path
from elastic.cube import run_lock
with run_lock(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    command = [sys.executable, "-c", OWNER, tmp_path / "run"]
    with processes.started(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"mine\n"
        yield process


def test_a_run_has_one_owner_who_is_named_and_loses_it_by_dying(tmp_path, owner):
    with pytest.raises(RunBusy, match=rf"process {owner.pid} on "), run_lock(tmp_path / "run"):
        raise AssertionError("two owners")
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    with run_lock(tmp_path / "run"):
        (marker,) = (tmp_path / "run").glob("lock-owner.*")
        assert f'"pid": {os.getpid()}' in marker.read_text()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


def test_a_run_is_free_after_its_block_even_when_it_failed(tmp_path):
    with pytest.raises(KeyError), run_lock(tmp_path):
        raise KeyError
    with run_lock(tmp_path):
        pass


def test_one_process_does_not_own_a_run_twice(tmp_path):
    with run_lock(tmp_path), pytest.raises(RunBusy, match=f"process {os.getpid()}"), run_lock(tmp_path):
        raise AssertionError("two owners")


def test_runs_are_owned_one_by_one(tmp_path):
    with run_lock(tmp_path / "a"), run_lock(tmp_path / "b"):
        pass


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(StudyError, match="Read-only file system"), run_lock(tmp_path):
        raise AssertionError("owned without a lock")


def test_where_processes_cannot_be_looked_up_none_is_known_to_have_ended(monkeypatch):
    assert owners.has_ended(2**30, "")
    monkeypatch.setattr(owners, "os", SimpleNamespace(name="nt"))
    assert not owners.has_ended(2**30, "")
