"""How many workers a machine has room for, and which GPU each has; the machine is told, not asked."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from support import studies

from elastic.progress import Watcher
from elastic.protocol import load_protocol
from elastic.study.executors import capacity, pool
from elastic.study.executors.attempts import Work
from elastic.study.executors.board import Board
from elastic.study.executors.worker import Settings

GIB = 2**30


@pytest.fixture
def cells(tmp_path):
    return load_protocol(studies.write(tmp_path), settings=["axes.seed=[0, 1, 2, 3, 4]"]).cells


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that says what the machine has."""

    def tell(cores=8, memory=64 * GIB, peak=GIB, gpus=None, slurm=None, cgroup="", groups=()):
        import joblib

        (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {memory // 1024} kB\n")
        (tmp_path / "cgroup").write_text(cgroup)
        for name, text in dict(groups).items():
            (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "sys" / name).write_text(text)
        monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
        monkeypatch.setattr(capacity, "_MEMORY", tmp_path / "meminfo")
        monkeypatch.setattr(capacity, "_OWN_CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(capacity, "_CGROUPS", tmp_path / "sys")
        monkeypatch.setattr(capacity, "_GPUS", tmp_path / "gpus")
        unit = 1 if sys.platform == "darwin" else 1024
        usage = SimpleNamespace(getrusage=lambda who: SimpleNamespace(ru_maxrss=peak // unit), RUSAGE_SELF=0)
        monkeypatch.setattr(capacity, "resource", usage)
        for name, value in (("CUDA_VISIBLE_DEVICES", gpus), ("SLURM_CPUS_PER_TASK", slurm)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)

    return tell


def with_training(cells, **options):
    def changed(cell):
        settings = cell.settings.model_copy(update={"training": cell.settings.training.model_copy(update=options)})
        return replace(cell, settings=settings)

    return [changed(cell) for cell in cells]


@pytest.mark.parametrize(
    ("result", "training", "device", "expected"),
    [
        ({}, {}, None, 8),
        ({}, {"threads": 3}, None, 2),
        ({}, {"threads": 16}, None, 1),
        ({}, {"threads": None}, None, 1),  # as many threads as cores
        ({"slurm": "4"}, {}, None, 4),
        ({"slurm": "4"}, {"threads": None}, None, 1),
        ({"slurm": "32"}, {}, None, 8),  # the affinity of the process is less
        ({"slurm": "x"}, {}, None, 8),
        ({"memory": 4 * GIB}, {}, None, 3),  # of 1.25 GiB each
        ({"memory": 4 * GIB, "peak": GIB // 100}, {}, None, 8),  # of 512 MiB at least
        ({"memory": GIB // 2}, {}, None, 1),
        ({"gpus": "0,1"}, {}, None, 2),
        ({"gpus": "0,1"}, {"threads": 8}, None, 2),
        ({"gpus": "0,1,2,3", "memory": 4 * GIB}, {}, None, 3),
        ({"gpus": "0,1"}, {}, "cpu", 8),
        ({"gpus": "0,1"}, {"device": "cpu"}, None, 8),
        ({"gpus": "0,1"}, {"device": "cpu"}, "cuda", 2),
        ({"gpus": "0,1"}, {}, "cuda:1", 1),
        ({"gpus": ""}, {}, None, 8),
        ({"gpus": "-1"}, {}, None, 8),
        ({"gpus": "NoDevFiles"}, {}, None, 8),  # as SLURM has it in a job without GPU
    ],
    ids=str,
)
def test_workers_have_the_cores_the_memory_and_the_gpus_that_are_there(
    cells, machine, result, training, device, expected
):
    machine(**result)
    assert capacity.workers_allowed(with_training(cells, **training), device) == expected


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        (None, []),
        ("", []),
        ("0", ["0"]),
        (" 3, 5 ", ["3", "5"]),
        ("GPU-8932f937,MIG-GPU-1/0/0", ["GPU-8932f937", "MIG-GPU-1/0/0"]),
        ("0,-1,2", ["0"]),  # as CUDA reads it
    ],
)
def test_gpus_are_named_as_cuda_sees_them(machine, gpus, expected):
    machine(gpus=gpus)
    assert capacity.gpus() == expected


def test_gpus_of_the_driver_count_where_nothing_is_set(tmp_path, machine):
    machine()
    for name in ("0000:00:05.0", "0000:00:04.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert capacity.gpus() == ["0", "1"]


#: What cgroups say: free memory of the machine is 64 GiB.
CGROUPS = [
    ("0::/job\n", {}, 64),
    ("0::/job\n", {"job/memory.max": "max\n", "job/memory.current": "0\n", "job/memory.stat": "inactive_file 0\n"}, 64),
    ("0::/job\n", {"job/memory.max": f"{8 * GIB}\n", "job/memory.current": f"{3 * GIB}\n",
                   "job/memory.stat": f"anon 5\ninactive_file {GIB}\n"}, 6),
    ("0::/job/step\n", {"job/memory.max": f"{4 * GIB}\n", "job/memory.current": f"{GIB}\n", "job/memory.stat": "",
                        "job/step/memory.max": f"{8 * GIB}\n", "job/step/memory.current": f"{GIB}\n",
                        "job/step/memory.stat": ""}, 3),
    ("0::/\n", {"memory.max": f"{2 * GIB}\n", "memory.current": "0\n", "memory.stat": ""}, 2),  # of a container
    ("0::/job\n", {"job/memory.max": f"{GIB}\n", "job/memory.current": f"{2 * GIB}\n", "job/memory.stat": ""}, 0),
    ("9:memory:/slurm/job\n3:cpu,cpuacct:/slurm\n0::/\n",
     {"memory/slurm/job/memory.limit_in_bytes": f"{5 * GIB}\n",
      "memory/slurm/job/memory.usage_in_bytes": f"{2 * GIB}\n",
      "memory/slurm/job/memory.stat": f"total_inactive_file {GIB}\ninactive_file 0\n"}, 4),
    ("9:memory:/job\n", {"memory/job/memory.limit_in_bytes": "9223372036854771712\n",
                         "memory/job/memory.usage_in_bytes": "0\n", "memory/job/memory.stat": ""}, 64),
    # In a container the path is that of the host, and its own group is the root that it sees.
    ("9:memory:/docker/8a1f\n", {"memory/memory.limit_in_bytes": f"{7 * GIB}\n",
                                 "memory/memory.usage_in_bytes": "0\n", "memory/memory.stat": ""}, 7),
]  # fmt: skip


@pytest.mark.parametrize(("cgroup", "groups", "expected"), CGROUPS)
def test_memory_is_what_the_cgroups_leave(machine, cgroup, groups, expected):
    machine(cgroup=cgroup, groups=groups)
    assert capacity.memory() == expected * GIB


def test_there_is_no_bound_where_nothing_tells(machine, tmp_path, monkeypatch):
    machine()
    monkeypatch.setattr(capacity, "_MEMORY", tmp_path / "nowhere")
    assert capacity.memory() == sys.maxsize


class Started:
    """A worker that is no process; it keeps what it was started with."""

    every = None

    def __init__(self, settings, environment):
        self.environment, self.cell, self.is_ready = environment, None, True
        self.every.append(self)

    def give(self, cell):
        self.cell = cell

    def kill(self):
        pass


@pytest.mark.parametrize(
    ("gpus", "count", "device", "expected"),
    [
        ("3,5", 2, None, ["3", "5"]),
        ("3,5", 5, None, ["3", "5", "3", "5", "3"]),  # more workers than GPUs share them in turn
        ("3,5", 1, None, ["3"]),
        ("3", 2, None, [None, None]),  # the only one needs no choice
        ("3,5", 2, "cpu", [None, None]),
        ("3,5", 2, "cuda:1", [None, None]),  # the user has chosen
        ("", 2, None, [None, None]),
    ],
)
def test_each_worker_sees_one_gpu(tmp_path, cells, machine, monkeypatch, gpus, count, device, expected):
    machine(gpus=gpus)
    monkeypatch.setattr(pool, "Worker", Started)
    monkeypatch.setattr(Started, "every", [])
    board, work = Board(cells, Work(tmp_path)), Work(tmp_path, device=device)
    of_study = pool.Pool(board, Settings(work), Watcher(), count, capacity.environments(cells, device))
    of_study.assign()
    assert [worker.environment.get("CUDA_VISIBLE_DEVICES") for worker in Started.every] == expected
    assert board.running == count
    of_study.close()
    assert len(board.left) == len(cells)


def test_a_worker_that_dies_is_replaced_by_one_on_its_gpu(tmp_path, cells, machine, monkeypatch):
    machine(gpus="3,5")
    monkeypatch.setattr(pool, "Worker", Started)
    monkeypatch.setattr(Started, "every", [])
    monkeypatch.setattr(Started, "end", lambda self: "killed", raising=False)
    board = Board(cells, Work(tmp_path))
    of_study = pool.Pool(board, Settings(Work(tmp_path)), Watcher(), 2, capacity.environments(cells, None))
    of_study.assign()
    of_study._bury(Started.every[1])
    of_study.assign()
    assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in Started.every] == ["3", "5", "5"]
