"""Ways to carry out the runs of a study: the cube is the same, whoever dies on the way, and signals end it softly."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
import types
from multiprocessing import Pipe
from pathlib import Path

import pytest
from support import deadly_models, forked, processes, studies

import elastic
from elastic.errors import OptionError, RunBusy, RunFailed, Stopped
from elastic.progress import Watcher
from elastic.protocol import load_protocol
from elastic.study.executors import automatic, execution, pool, worker, worker_process
from elastic.study.executors.attempts import Attempt, Work
from elastic.study.executors.board import Board
from elastic.study.executors.pool import Pool
from elastic.study.executors.serial import run_serially
from elastic.study.executors.worker import Settings
from elastic.study.stopping import Stop, stopping_cleanly

#: Three short runs.
SETTINGS = ("training.epochs=3", "probes.elasticity=null", "axes.seed=[0, 1, 2]")
SEEDS = 3

ROOT = Path(elastic.__file__).parents[1]

STOPPED = "elastic: stopped; run the same command to resume"


class Journal(Watcher):
    """Keeps what happens, by worker."""

    def __init__(self, of=None, place=None):
        self.events = [] if of is None else of.events
        self.place = place

    def worker(self, place):
        return Journal(self, place)

    def run_started(self, label, epochs, epoch):
        self.events.append((self.place, "started", label, epoch))

    def run_finished(self, label, seconds):
        self.events.append((self.place, "finished", label))

    def run_lost(self, label, again):
        self.events.append((self.place, "lost", label, again))

    def note(self, message):
        self.events.append((self.place, "note", message))


@pytest.fixture
def forked_workers(monkeypatch):
    """Fork workers from a process that has imported what they need; other tests here start interpreters."""
    monkeypatch.setattr(worker_process, "_started", forked.Worker)


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    return cube_of(studies.run(tmp_path_factory.mktemp("serial"), *SETTINGS))


def cube_of(study):
    return studies.contents(study.folder / "cube.zarr")


def goes_over_at_once(monkeypatch):
    """Let two workers be worth while after any epoch, and wait for them."""
    for name in ("MEASURED", "START", "SAVED"):
        monkeypatch.setattr(automatic, name, 0.0)
    monkeypatch.setattr(automatic, "PATIENCE", 60.0)
    monkeypatch.setattr(automatic, "workers_allowed", lambda cells, device: 2)


@pytest.mark.usefixtures("forked_workers")
def test_going_over_to_workers_seals_the_bytes_of_a_serial_run(tmp_path, serial, monkeypatch):
    """The first run begins here, and goes on in a worker as soon as workers that are to save time have started."""
    answers = iter([False])
    goes_over_at_once(monkeypatch)
    monkeypatch.setattr(automatic, "saves", lambda rest, workers: next(answers, True))
    watch = Journal()
    study = studies.run(tmp_path, *SETTINGS, workers="auto", watch=watch)
    assert cube_of(study) == serial
    begun = [event for event in watch.events if event[1] == "started"]
    assert begun[0] == (None, "started", "seed=0", 0)
    assert watch.events[1] == (None, "lost", "seed=0", True)
    assert sorted(event[2:] for event in begun[1:]) == [("seed=0", 1), ("seed=1", 0), ("seed=2", 0)]
    assert {place for place, *_ in begun} == {None, 0, 1}


@pytest.mark.usefixtures("forked_workers")
def test_workers_that_cannot_start_leave_the_rest_to_this_process(tmp_path, serial, monkeypatch):
    goes_over_at_once(monkeypatch)
    monkeypatch.setattr(execution, "modules_outside", lambda: ["a_module_of_this_process"])
    watch = Journal()
    study = studies.run(tmp_path, *SETTINGS, workers="auto", watch=watch)
    assert cube_of(study) == serial
    (note,) = [event[2] for event in watch.events if event[1] == "note" and "a_module_of_this_process" in event[2]]
    assert note.endswith("; continuing in this process")


def test_a_study_that_ends_before_its_workers_start_is_not_held_up(tmp_path, serial, monkeypatch):
    started = []

    class Starting:
        cell, is_ready, has_ended = None, False, False

        def __init__(self, settings, environment):
            self.connection, self._theirs = Pipe()
            started.append(self)

        def kill(self):
            self.connection.close()
            started.remove(self)

    goes_over_at_once(monkeypatch)
    monkeypatch.setattr(automatic, "PATIENCE", 0.0)
    monkeypatch.setattr(pool, "Worker", lambda *given: Starting(*given))
    watch = Journal()
    assert cube_of(studies.run(tmp_path, *SETTINGS, workers="auto", watch=watch)) == serial
    assert [event[1:3] for event in watch.events if event[1] != "note"] == [
        (event, f"seed={seed}") for seed in range(SEEDS) for event in ("started", "finished")
    ]
    assert not started


def test_the_pace_of_a_study_is_that_of_epochs_with_probes_and_without_them(tmp_path, monkeypatch):
    """Three runs of 5 epochs and 0, probed at 0 and 5, of which one has trained 2; a probe takes 3 s, an epoch 1 s."""
    clock = iter([10.0, 13.0, 14.0, 14.5])
    monkeypatch.setattr(automatic.time, "process_time", lambda: next(clock))
    settings = ["training.epochs=5", "probes.at={name: linear, count: 2}", "axes.seed=[0, 1, 2]"]
    pace = automatic.Pace(Watcher(), load_protocol(studies.write(tmp_path), settings=settings).cells)
    assert pace.left == {False: 12, True: 6}
    pace.run_started("seed=0", 5, 0)
    pace.epoch_done(0, {}, True)
    pace.epoch_done(1, {}, False)
    assert (pace.seconds, pace.left) == (4.0, {False: 11, True: 5})
    assert pace.rest == 11 * 1.0 + 5 * 3.0
    pace.run_started("seed=1", 5, 2)  # goes on after epoch 2
    assert pace.left == {False: 9, True: 4}


def test_shares_seal_the_bytes_of_a_serial_run(tmp_path, serial):
    """The first process is stopped after its own run: what it leaves is taken up by the other."""

    class StopsAt(Journal):
        def run_started(self, label, epochs, epoch):
            super().run_started(label, epochs, epoch)
            if label == "seed=0":
                raise KeyboardInterrupt

    first, second = StopsAt(), Journal()
    with pytest.raises(KeyboardInterrupt):
        studies.run(tmp_path, *SETTINGS, share="1/2", watch=first)
    assert [event[2] for event in first.events if event[1] == "started"] == ["seed=1", "seed=0"]
    study = studies.run(tmp_path, *SETTINGS, share="0/2", watch=second)
    assert [event[2] for event in second.events if event[1] == "started"] == ["seed=0", "seed=2"]
    assert cube_of(study) == serial


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 2, "share": "1/2"},
        {"workers": 2, "scheduler": "local"},
        {"scheduler": "local", "share": "1/2"},
        {"share": "1/2", "restart": True},
        {"share": "3/2"},
        {"share": "1/0"},
        {"share": "-1/2"},
        {"share": "1"},
        {"workers": 0},
        {"workers": "many"},
        {"workers": True},
        {"scheduler": "nowhere"},
        {"workers": ""},
        {"share": ""},
        {"scheduler": ""},
    ],
    ids=str,
)
def test_options_without_sense_are_refused_before_anything_is_written(tmp_path, options):
    with pytest.raises(OptionError, match=r"^`(workers|share|scheduler)` should .*; found .*; try "):
        studies.run(tmp_path, **options)
    assert not (tmp_path / "results").exists()


def test_workers_are_refused_for_code_that_only_the_script_has(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "modules_outside", lambda: ["__main__"])
    with pytest.raises(OptionError, match="`workers` should be left out for code that only this process has"):
        studies.run(tmp_path, *SETTINGS, *studies.NO_PROBES, workers=2)
    study = studies.run(tmp_path, *SETTINGS, *studies.NO_PROBES, workers="auto")
    assert all(run.ended for run in study.runs())


SCRIPT = """
import elastic
print("executed", flush=True)
elastic.run({protocol!r}, out={out!r}, settings={settings!r}, workers=2)
"""


def test_a_script_without_a_main_guard_is_executed_once_and_a_run_that_fails_leaves_the_others(tmp_path):
    """Nesterov's momentum needs one that is not 0: one of the runs raises an error."""
    nesterov = "optimizer={name: sgd, lr: 0.1, momentum: 0.9, nesterov: true}"
    axis = "axes.tried={path: optimizer.momentum, values: [0.9, 0.0]}"
    settings = [*SETTINGS[:1], *studies.NO_PROBES, "axes.seed=[0]", nesterov, axis]
    script = tmp_path / "script.py"
    facts = {"protocol": str(studies.write(tmp_path)), "out": str(tmp_path / "results"), "settings": settings}
    script.write_text(SCRIPT.format(**facts))
    done = forked.script(script, PYTHONPATH=ROOT, OMP_NUM_THREADS=1)
    assert done.stdout.count("executed\n") == 1
    assert "RunFailed: every run should end; found " in done.stdout
    runs = elastic.open_study(tmp_path / "results/small").runs()
    assert sorted(run.state for run in runs) == ["done", "waiting"]


def test_the_second_signal_stops_at_once():
    with processes.default_signals(), stopping_cleanly(Watcher()) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        with pytest.raises(Stopped) as caught:
            os.kill(os.getpid(), signal.SIGHUP)
    assert caught.value.signal == signal.SIGHUP


def test_an_ignored_signal_stays_ignored():
    """As under nohup, or in the background of a script."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_cleanly(Watcher()) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


# The bookkeeping, without a process.


@pytest.fixture
def board(tmp_path):
    cells = load_protocol(studies.write(tmp_path), settings=["axes.seed=[0, 1, 2]"]).cells
    return Board(cells, Work(tmp_path / "runs"))


def seed_of(cell):
    return cell.coordinates["seed"]


def test_a_run_is_given_up_only_after_it_died_alone(board):
    first, second = board.take(), board.take()
    assert board.lost(first, "killed") is None  # in company
    assert [seed_of(cell) for cell in board.left] == [1, 2, 0]
    third, again = board.take(), board.take()
    assert [seed_of(third), seed_of(again)] == [2, 0]
    assert board.lost(again, "killed") is None  # in company again, at the same epoch
    assert board.take() is None, "a suspect is not tried beside another run"
    board.settle(Attempt(second))
    assert board.take() is None
    board.settle(Attempt(third))
    assert board.take() is again
    assert board.take() is None
    failure = board.lost(again, "killed by signal 9 (SIGKILL)")
    assert isinstance(failure, RunFailed)
    assert "seed=0" in str(failure)
    assert "SIGKILL" in str(failure)
    assert not board.left


def test_a_run_that_goes_on_between_its_deaths_is_not_given_up(board, monkeypatch):
    epochs = iter([None, *range(9)])
    monkeypatch.setattr(Work, "epoch", lambda self, cell: next(epochs))
    for _ in range(10):
        cell = board.take()
        assert board.lost(cell, "killed") is None
    assert len(board.left) == SEEDS


def test_runs_of_others_are_tried_again(board):
    cell = board.take()
    board.settle(Attempt(cell, busy=RunBusy("the run", "be owned by one process", "another", "waiting")))
    assert [board.take() is not None for _ in range(3)] == [True, True, False]
    board.retry_busy()
    assert board.take() is cell


def test_a_run_whose_code_ends_the_process_has_failed(board, tmp_path, monkeypatch):
    """Also with exit code 0: the command would end as if the study were done."""

    def run_cell(cell, folder, **options):
        if seed_of(cell) == 1:
            sys.exit(0)

    monkeypatch.setattr("elastic.runs.cell.run_cell", run_cell)
    run_serially(board, Work(tmp_path / "runs"), Watcher(), Stop(Watcher()))
    ((cell, error),) = board.failed
    assert seed_of(cell) == 1
    assert "the run should raise no error of its own; found SystemExit: 0" in str(error)


def test_workers_that_die_while_a_study_stops_do_not_fail_it(board, tmp_path):
    """Whoever ends a batch job kills all of its processes."""
    of_study = Pool(board, Settings(Work(tmp_path)), Watcher(), 1, [{}])
    cell = board.take()
    dead = types.SimpleNamespace(cell=cell, is_ready=True, end=lambda: "killed", kill=lambda: None, stop=lambda: None)
    of_study._workers[0] = dead
    of_study.stop()
    of_study._bury(dead)
    assert board.take() is cell
    assert not board.failed


# Deaths and signals, with processes.


@pytest.mark.usefixtures("forked_workers")
def test_who_kills_its_worker_is_given_up_when_it_died_alone_and_the_others_end(tmp_path, monkeypatch):
    """One run dies always, one once (and goes on from its checkpoint), one never; two workers."""
    monkeypatch.setenv(deadly_models.SURVIVOR, str(os.getpid()))
    monkeypatch.setenv(deadly_models.MARKER, str(tmp_path / "died"))
    model = "model={name: external, target: 'support.deadly_models:Deadly', layers: [enter]}"
    axis = "axes.dies={path: model.options, values: [{dies: always}, {dies: once}, {dies: never}], labels: [a, o, n]}"
    settings = (*SETTINGS[:2], "probes.collapse=null", "axes.seed=[0]", model, axis)
    watch = Journal()
    with pytest.raises(RunFailed) as caught:
        studies.run(tmp_path, *settings, allow=["support.deadly_models"], workers=2, watch=watch)
    assert re.search(
        r"the run dies=a seed=0 should leave its process alive; .*SIGKILL.* after epoch 0", str(caught.value)
    )
    assert str(caught.value).count(" should ") == 2, "it is the only one"
    assert caught.value.exit_code == 3
    states = [run.state for run in elastic.open_study(tmp_path / "results/small").runs()]
    assert states == ["interrupted", "done", "done"]
    assert ("started", "dies=o seed=0", 1) in [event[1:] for event in watch.events]
    lost = [event[2:] for event in watch.events if event[1] == "lost"]
    assert [again for label, again in lost if label == "dies=a seed=0"][-1:] == [False]
    assert [again for label, again in lost if label == "dies=o seed=0"] == [True]


#: Long runs.
LONG = ("training.epochs=100000", "probes.collapse=null", "probes.elasticity=null", "axes.seed=[0, 1]")


def arguments(folder, *options):
    words = [word for setting in LONG for word in ("--set", setting)]
    return ["run", studies.write(folder), "--out", folder / "results", *words, *options]


def elastic_run(folder, *options, terminal=None):
    """Run an `elastic run` of long runs; used as a context manager."""
    return forked.started(*arguments(folder, *options), cwd=folder, terminal=terminal)


def read_until(process, words, times=1):
    lines = []
    for line in process.stderr:
        lines.append(line)
        times -= words in line
        if not times:
            return
    raise AssertionError(f"{words!r} was not printed: {''.join(lines)}")


def children_of(process):
    collected = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            if int(path.read_text().rpartition(")")[2].split()[1]) == process.pid:
                collected.append(int(path.parent.name))
    return collected


def assert_gone(pids):
    deadline = time.monotonic() + 60.0
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_sigterm_ends_workers_after_the_epoch_and_says_how_to_go_on(tmp_path):
    with elastic_run(tmp_path, "--workers", 2) as running:
        read_until(running, "started", 2)
        begun = children_of(running)
        running.send_signal(signal.SIGTERM)
        text = running.stderr.read()
        assert running.wait() == 128 + signal.SIGTERM, text
    assert len(begun) == 2
    assert_gone(begun)
    assert text.splitlines()[-1] == STOPPED
    assert "stopping after this epoch (SIGTERM again: at once" in text
    assert "Traceback" not in text


def test_a_terminal_that_is_closed_ends_a_study_after_the_epoch(tmp_path):
    """What it writes to the terminal from then on fails."""
    master, slave = os.openpty()
    with elastic_run(tmp_path, terminal=slave) as running:
        os.close(slave)
        while b"test accuracy" not in os.read(master, 4096):
            pass
        os.close(master)
        running.send_signal(signal.SIGHUP)
        assert running.wait() == 128 + signal.SIGHUP
    runs = elastic.open_study(tmp_path / "results/small").runs()
    assert [run.state for run in runs] == ["interrupted", "waiting"]


def test_workers_end_with_their_owner_and_its_death_counts_against_no_run(tmp_path):
    with elastic_run(tmp_path, "--workers", "2") as running:
        read_until(running, "started", 2)
        begun = children_of(running)
        running.kill()
        running.wait()
        assert len(begun) == 2
        assert_gone(begun)
    runs = elastic.open_study(tmp_path / "results/small").runs()
    assert {run.state for run in runs} == {"interrupted"}


class Owner:
    """The other end of the pipe of a worker, which nobody writes to, as a process that was forked holds it open."""

    def __init__(self, closed):
        self.closed, self.asked = closed, 0

    def poll(self, seconds):
        self.asked += 1
        assert self.asked < 3
        return self.closed

    def recv(self):
        raise EOFError


@pytest.mark.parametrize("closed", [True, False])
def test_a_worker_ends_as_soon_as_its_owner_has_ended(monkeypatch, closed):
    """It does not go on to the end of its run, whose results nobody receives."""
    ended, owner, parents = [], Owner(closed), iter([1, 2])
    monkeypatch.setattr(worker.threading, "Thread", lambda target, **_: types.SimpleNamespace(start=target))
    monkeypatch.setattr(worker.os, "_exit", ended.append)
    monkeypatch.setattr(worker.os, "getppid", lambda: next(parents))
    with contextlib.suppress(EOFError):
        worker.Orders(owner)
    assert ended == [0]
    assert owner.asked == 1
