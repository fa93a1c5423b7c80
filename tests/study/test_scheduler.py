"""The workers of a dask scheduler carry out the runs of a study."""

from __future__ import annotations

import contextlib
import os
import signal
import types

import pytest
from support import deadly_models, studies

import elastic
from elastic.errors import OptionError, RunFailed, Stopped
from elastic.progress import Watcher
from elastic.study.executors import scheduler
from elastic.study.executors.attempts import Work
from elastic.study.executors.board import Board
from elastic.study.executors.deaths import Deaths
from elastic.study.executors.submission import Submission
from elastic.study.executors.worker import Settings

distributed = pytest.importorskip("distributed")

SETTINGS = ("training.epochs=3", "probes.elasticity=null", "probes.collapse=null")
LONG = ("training.epochs=100000", *SETTINGS[1:])
MODEL = "model={name: external, target: 'support.deadly_models:Deadly', layers: [enter], options: {dies: once}}"

# Libraries of dask close their loops late.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


class AtEpoch(Watcher):
    """Does something once a run has trained its third epoch."""

    def __init__(self, action=lambda: None):
        self.action, self.done, self.resumed, self.notes = action, False, [], []

    def note(self, message):
        self.notes.append(message)

    def run_started(self, label, epochs, epoch):
        self.resumed += [epoch] if epoch else []

    def epoch_done(self, epoch, scores, probed):
        if epoch >= 3 and not self.done:
            self.done = True
            self.action()


def test_a_local_scheduler_seals_the_bytes_of_a_serial_run_although_a_worker_dies(tmp_path, monkeypatch):
    monkeypatch.setenv(deadly_models.SURVIVOR, str(os.getpid()))
    monkeypatch.setenv(deadly_models.MARKER, str(tmp_path / "died"))
    options, watch = {"allow": ["support.deadly_models"]}, AtEpoch()
    serial = studies.run(tmp_path / "serial", *SETTINGS, MODEL, **options)
    study = studies.run(tmp_path / "dask", *SETTINGS, MODEL, **options, scheduler="local", watch=watch)
    assert (tmp_path / "died").exists()
    assert watch.resumed == [1]
    (text,) = [note for note in watch.notes if "its worker was" in note]
    assert "was killed by signal 9 (SIGKILL); the run goes on from its checkpoint" in text
    assert studies.contents(study.folder / "cube.zarr") == studies.contents(serial.folder / "cube.zarr")


@pytest.fixture
def cluster():
    """Give a scheduler and a worker of two threads in this process."""
    import dask

    options = {"threads_per_worker": 2, "processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        cluster = distributed.LocalCluster(n_workers=1, silence_logs=50, **options)
        yield cluster
        with contextlib.suppress(Exception):  # the scheduler may have gone
            cluster.close(timeout=2)


def test_a_signal_stops_the_runs_of_a_scheduler_after_their_epoch(tmp_path, cluster):
    watch = AtEpoch(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped) as caught:
        studies.run(tmp_path, *LONG, scheduler=cluster.scheduler_address, watch=watch)
    assert caught.value.signal == signal.SIGTERM
    runs = elastic.open_study(tmp_path / "results/small").runs()
    assert [run.state for run in runs] == ["interrupted", "waiting"], "two threads of one process carry out one run"
    study = studies.run(tmp_path / "other", *SETTINGS)  # nothing is left in this process
    assert {run.state for run in study.runs()} == {"done"}


def test_a_scheduler_that_goes_away_is_told_and_nothing_is_lost(tmp_path, cluster, caplog):
    watch = AtEpoch(lambda: cluster.sync(cluster.scheduler.close))
    with pytest.raises(RunFailed, match=r"the scheduler .* should answer until all runs have ended") as caught:
        studies.run(tmp_path, *LONG, scheduler=cluster.scheduler_address, watch=watch)
    assert caught.value.exit_code == 3
    assert not [record for record in caplog.records if record.name == "distributed.client"], "no traceback"


def test_a_scheduler_that_does_not_answer_is_the_users_mistake(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "PATIENCE", 0.1)
    with pytest.raises(OptionError, match="`scheduler` should be the address of a dask scheduler that answers"):
        studies.run(tmp_path, *SETTINGS, scheduler="tcp://127.0.0.1:9")


def test_a_run_that_a_dead_worker_had_not_begun_is_not_to_blame(tmp_path, monkeypatch):
    """Dask tells all runs that a worker had that they were killed."""
    cells = elastic.load_protocol(studies.write(tmp_path)).cells
    board = Board(cells, Work(tmp_path))
    client = types.SimpleNamespace(subscribe_topic=lambda topic, handler: None)
    deaths = Deaths()
    monkeypatch.setattr(Deaths, "of", lambda self, process: {7: "killed by signal 9 (SIGKILL)"}.get(process))
    watch = AtEpoch()
    submission = Submission(client, board, Settings(Work(tmp_path)), watch, "tcp://a:1", deaths)
    first, second = board.take(), board.take()
    submission._event(first.digest, "tcp://b:2", "begun", [7])
    killed = distributed.scheduler.KilledWorker("task", types.SimpleNamespace(address="tcp://b:2"), 0)
    submission._fail(second, killed)
    assert board.take() is second
    submission._fail(first, killed)
    assert watch.notes == ["seed=0: its worker was killed by signal 9 (SIGKILL); the run goes on from its checkpoint"]
    submission._event(second.digest, "tcp://b:2", "begun", [8])  # on another machine
    submission._fail(second, killed)
    assert "seed=1: its worker was lost at tcp://b:2 (dask's KilledWorker: " in watch.notes[-1]
