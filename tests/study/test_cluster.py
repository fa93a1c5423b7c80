"""The scripts for clusters, with a stand-in for `sbatch` and `scontrol`, and with a LocalCluster of dask."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import processes, studies

import elastic
from elastic.cli import cli

pytestmark = pytest.mark.usefixtures("few_metrics")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "protocols/cluster"

TINY = """\
name: small
title: On a cluster
data: {name: digits, classes: [3, 5], per_class: 8, test_fraction: 0.5}
model: {name: mlp, widths: [3]}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 1, batch_size: 16}
probes: {at: {name: every}, elasticity: null}
axes: {seed: [0, 1, 2]}
"""

#: Runs all tasks of an array at the same time; a task that is requeued runs again.
SBATCH = """\
#!/bin/bash
echo "sbatch $*" >> "$LOG"
last=${1#--array=0-}
shift
export SLURM_ARRAY_JOB_ID=7
for task in $(seq 0 "$last"); do
  ( SLURM_ARRAY_TASK_ID=$task bash "$@"
    while [ -e "$LOG.requeue.7_$task" ]; do
      rm "$LOG.requeue.7_$task"; SLURM_ARRAY_TASK_ID=$task bash "$@"
    done
    echo "task $task: $?" >> "$LOG" ) &
done
wait
"""

SCONTROL = """\
#!/bin/bash
if [ "$1" = requeue ]; then touch "$LOG.requeue.$2"; echo "requeue $2" >> "$LOG"; exit; fi
echo "MaxArraySize            = 4"
"""

#: Ends at its first call as a run that is asked to stop, and at its second as one that is done.
STOPPED_ONCE = """\
#!/bin/bash
echo "elastic $*" >> "$LOG"
[ -e "$LOG.again" ] && exit 0
touch "$LOG.again"
trap 'sleep 0.2; exit 143' TERM
kill -TERM $PPID
for _ in $(seq 100); do sleep 0.1; done
"""


@pytest.fixture
def slurm(tmp_path):
    """Return a function that calls slurm.sh with a stand-in for SLURM, and what it left in the log."""
    programs = tmp_path / "bin"
    programs.mkdir()
    real = f'#!/bin/bash\nexec "{sys.executable}" -m elastic "$@"\n'

    def call(*arguments, program=real):
        for name, text in (("sbatch", SBATCH), ("scontrol", SCONTROL), ("elastic", program)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        path = f"{programs}:{os.environ['PATH']}"
        environment |= {"PATH": path, "LOG": str(tmp_path / "log"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = processes.run(["bash", FOLDER / "slurm.sh", *arguments], env=environment, cwd=tmp_path)
        log = tmp_path / "log"
        return done, log.read_text().splitlines() if log.exists() else []

    return call


@pytest.mark.long
def test_the_tasks_of_an_array_run_and_seal_a_study_in_interpreters_of_their_own(tmp_path, slurm):
    done, log = slurm(2, studies.write(tmp_path, TINY), "--out", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert log[0].startswith("sbatch --array=0-1 ")
    assert sorted(log[1:]) == ["task 0: 0", "task 1: 0"], done.stderr
    assert_whole(elastic.open_study(tmp_path / "results/small"))


def test_the_tasks_of_an_array_run_and_seal_a_study(tmp_path, slurm):
    """What each task asks `elastic` for is carried out here, in one process that has imported what that needs."""
    told = '#!/bin/bash\necho "elastic $(printf "%q " "$@")" >> "$LOG"\n'
    done, log = slurm(2, studies.write(tmp_path, TINY), "--out", tmp_path / "results", program=told)
    assert done.returncode == 0, done.stderr
    assert log[0].startswith("sbatch --array=0-1 ")
    assert sorted(line for line in log if line.startswith("task ")) == ["task 0: 0", "task 1: 0"]
    asked = sorted(shlex.split(line)[1:] for line in log if line.startswith("elastic "))
    assert [words[-2:] for words in asked] == [["--share", "0/2"], ["--share", "1/2"]]
    for words in asked:
        assert CliRunner().invoke(cli, words).exit_code == 0
    assert_whole(elastic.open_study(tmp_path / "results/small"))


def assert_whole(study):
    assert [run.state for run in study.runs()] == ["done"] * 3
    assert study.verify().damaged == []
    assert (study.folder / "manifest.sha256").exists()


def test_a_task_that_is_told_to_stop_passes_it_on_and_is_requeued(slurm):
    done, log = slurm(1, "quickstart.yaml", "--set", "training.epochs=3", program=STOPPED_ONCE)
    run = "elastic run quickstart.yaml --set training.epochs=3 --share 0/1"
    assert log[1:] == [run, "requeue 7_0", run, "task 0: 0"], done.stderr


def test_more_tasks_than_the_cluster_takes_are_refused(slurm):
    done, log = slurm(5, "quickstart.yaml")
    assert (done.returncode, log) == (2, [])
    assert "TASKS should be at most 4, the MaxArraySize of this cluster; found 5; try 4" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("quickstart.yaml",), ("0", "quickstart.yaml"), ("x", "quickstart.yaml")])
def test_a_wrong_call_is_told(slurm, arguments):
    done, log = slurm(*arguments)
    assert (done.returncode, log) == (2, [])
    assert "usage: " in done.stderr


def test_slurm_is_asked_for_grace_and_to_requeue():
    lines = (FOLDER / "slurm.sh").read_text().splitlines()
    directives = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    assert {"--requeue", "--signal=B:TERM@120", "--open-mode=append"} <= directives


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_script_for_dask_runs_a_study_on_a_local_cluster(tmp_path, monkeypatch):
    """A LocalCluster stands for the workers that dask-jobqueue would submit."""
    distributed = pytest.importorskip("distributed")
    asked = {}

    def local(**options):
        asked.update(options)
        local = {"threads_per_worker": 1, "processes": False, "protocol": "tcp", "dashboard_address": ":0"}
        return distributed.LocalCluster(n_workers=1, silence_logs=50, **local)

    monkeypatch.setitem(sys.modules, "dask_jobqueue", types.SimpleNamespace(SLURMCluster=local))
    spec = importlib.util.spec_from_file_location("dask_workers", FOLDER / "dask_workers.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    protocol = studies.write(tmp_path, TINY)
    study = script.main([str(protocol), "--out", str(tmp_path / "results"), "--jobs", "1", "--partition", "short"])
    assert [run.state for run in study.runs()] == ["done"] * 3
    assert (study.folder / "manifest.sha256").exists()
    assert (asked["queue"], asked["cores"], asked["processes"]) == ("short", 1, 1)


def test_no_script_hides_the_package_that_it_imports():
    """Python finds the folder of a script before all packages."""
    assert [path.name for path in FOLDER.glob("*.py")] == ["dask_workers.py"]
