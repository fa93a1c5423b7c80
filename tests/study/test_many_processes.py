"""Several processes on one study: each ends with exit code 0, and there is one sealed cube, that of a serial run."""

from __future__ import annotations

import contextlib
import signal

import pytest
import xarray as xr
from support import forked, studies

from elastic.cube import verify_manifest
from elastic.study import Study

#: A run of a few epochs, long enough for another process to meet it.
SETTINGS = ("training.epochs=6", *studies.FEW_VARIABLES, "axes.seed=[0, 1, 2]")
RUNS = 3

STOPPED = "elastic: stopped; run the same command to resume"


def elastic_run(folder, *settings):
    """Start `elastic run`; used as a context manager."""
    words = [word for setting in settings for word in ("--set", setting)]
    return forked.started("run", studies.write(folder), "--out", folder / "results", *words, cwd=folder)


def read_until(process, words):
    """Return the lines of standard error up to one that holds some words."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"{words!r} was not told: {''.join(lines)}")


def rest_of(process):
    """Return what else a process tells, and its exit code."""
    return process.stderr.read(), process.wait()


def numbers(folder):
    """Return the sealed numbers but seconds, read with nothing but xarray."""
    tree = xr.open_datatree(folder / "results/small/cube.zarr", engine="zarr", chunks=None, decode_times=False)
    groups = {node.path: node.to_dataset(inherit=False).load() for node in tree.subtree}
    return {path: group.drop_vars("seconds", errors="ignore") for path, group in groups.items()}


def assert_one_whole_cube(folder, expected):
    study = Study(folder / "results/small")
    assert verify_manifest(study.folder) == []
    assert sorted(path.name for path in study.folder.glob("cube.zarr*")) == ["cube.zarr"]
    assert {run.state for run in study.runs()} == {"done"}
    estimates = numbers(folder)
    assert estimates.keys() == expected.keys()
    for path, group in estimates.items():
        xr.testing.assert_equal(group, expected[path])


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial")
    studies.run(folder, *SETTINGS)
    return numbers(folder)


@pytest.fixture(scope="module")
def serial_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial")
    studies.run(folder, *ONE_RUN)
    return numbers(folder)


@pytest.mark.parametrize("count", [4, pytest.param(10, marks=pytest.mark.long)])
def test_processes_at_once_share_the_runs_and_all_exit_with_0(tmp_path, serial, count):
    with contextlib.ExitStack() as running:
        begun = [running.enter_context(elastic_run(tmp_path, *SETTINGS)) for _ in range(count)]
        ended = [rest_of(process) for process in begun]
    text = "".join(error for error, _ in ended)
    assert [code for _, code in ended] == [0] * count, text
    assert text.count(": started (6 epochs)") == RUNS
    assert_one_whole_cube(tmp_path, serial)


#: One run, which its owner holds while it is stopped.
ONE_RUN = ("training.epochs=6", "probes.elasticity=null", "axes.seed=[0]")


@contextlib.contextmanager
def held(folder):
    """Give a process that stands still in the middle of the only run, and one that waits for it."""
    with elastic_run(folder, *ONE_RUN) as owner:
        read_until(owner, "epoch 1/6")
        owner.send_signal(signal.SIGSTOP)
        with elastic_run(folder, *ONE_RUN) as other:
            lines = read_until(other, "waiting for runs of other processes")
            assert f"seed=0 (process {owner.pid} on " in lines[-1]
            yield owner, other


def test_the_run_of_a_killed_owner_is_taken_up_by_who_waits(tmp_path, serial_one):
    with held(tmp_path) as (owner, other):
        owner.kill()
        owner.wait()
        text, code = rest_of(other)
    assert code == 0, text
    # A run of a second may have no checkpoint yet: then its epochs are trained again and compared with the records.
    assert "seed=0: resumed after epoch " in text or "seed=0: started (6 epochs)" in text
    assert_one_whole_cube(tmp_path, serial_one)


def test_a_run_that_its_owner_ends_is_not_run_again(tmp_path, serial_one):
    with held(tmp_path) as (owner, other):
        owner.send_signal(signal.SIGCONT)
        text, code = rest_of(other)
        assert rest_of(owner)[1] == 0
    assert code == 0, text
    assert "seed=0: finished by another process" in text
    assert "started" not in text
    assert "resumed" not in text
    assert_one_whole_cube(tmp_path, serial_one)


def test_ctrl_c_ends_the_wait_and_not_the_run_that_is_waited_for(tmp_path, serial_one):
    with held(tmp_path) as (owner, other):
        other.send_signal(signal.SIGINT)
        text, code = rest_of(other)
        assert code == 130, text
        assert text.splitlines()[-1] == STOPPED
        assert "stopping after this epoch" not in text
        owner.send_signal(signal.SIGCONT)
        assert rest_of(owner)[1] == 0
    assert_one_whole_cube(tmp_path, serial_one)


def test_a_run_that_fails_in_each_process_is_a_failure_and_leaves_the_study_unsealed(tmp_path):
    nesterov = "optimizer={name: sgd, lr: 0.1, momentum: 0.9, nesterov: true}"
    axis = "axes.tried={path: optimizer.momentum, values: [0.9, 0.0]}"
    with contextlib.ExitStack() as running:
        begun = [running.enter_context(elastic_run(tmp_path, *ONE_RUN, nesterov, axis)) for _ in range(2)]
        ended = [rest_of(process) for process in begun]
    for text, code in ended:
        assert code == 3, text
        assert text.count("failed: ") == 1
        assert "the cube is sealed when all runs have ended" in text.splitlines()[-1]
    assert not (tmp_path / "results/small/manifest.sha256").exists()
    assert [run.state for run in Study(tmp_path / "results/small").runs()] == ["done", "waiting"]
