"""A whole study with ``elastic run`` beside bare loops of PyTorch, one after the other, in a process of their own.

    python tests/benchmarks/bench_study.py [--rounds 3] [--out tests/benchmarks/results]

The study: four seeds of five plain layers of 256 on digits, 200 epochs, batches of 64, with the quickstart's probes and
claims, by the default executor, in a new process: what a user waits for, from the command to its table of verdicts. The
bare loops train the same networks on the same batches with one thread, evaluate both splits after each epoch, and
record nothing; loading PyTorch and the data is not counted for them. Both are timed by the clock in turns, so the
machine should be idle; the processor's seconds are given beside. Written to ``study.json`` and ``study.md``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = [0, 1, 2, 3]
SETTINGS = ["model.norm=none", "optimizer.weight_decay=5.0e-4", "training.epochs=200", f"axes.seed={SEEDS}"]

#: Milestones of a study in its log.
MILESTONES = {
    "first run begins": r"seed=\d+: started",
    "first epoch is recorded": r"seed=\d+: epoch 0/",
    "workers take over": r"\d+ runs are left",
    "last run ends": r"seed=\d+: finished.* (\d+) of \1 runs ended",
}


def study(epochs):
    """Return what ``elastic run`` takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "elastic", "run", "quickstart", "--out", folder]
        for setting in [*SETTINGS, f"training.epochs={epochs}"]:
            command += ["--set", setting]
        path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True, cwd=folder
        )
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        reports = [json.loads(path.read_text())["seconds"] for path in Path(folder).glob("*/runs/*/status.json")]
    results = [(float(m[1]), m[2]) for m in re.finditer(r"^\[ *([\d.]+)s\] (.*)", done.stderr, re.MULTILINE)]
    at = {name: next((at for at, text in results if re.match(how, text)), None) for name, how in MILESTONES.items()}
    parts = {part: round(statistics.mean(report[part] for report in reports), 2) for part in reports[0]}
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": round(wall, 2), "processor": round(processor, 2), "seconds until": at, "a run": parts}


def bare(epochs):
    """Return what bare loops of all seeds take, one after the other, in a new process."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, __file__, "--bare", "--epochs", str(epochs)]
    path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"loops": float(done.stdout), "wall": round(wall, 2), "processor": round(processor, 2)}


def bare_loops(epochs):
    """Print the seconds of the loops alone."""
    import bench_training
    import torch

    torch.set_num_threads(1)
    settings = [*SETTINGS[:2], f"training.epochs={epochs}"]
    loops = [bench_training.bare(bench_training.trainer([*settings, f"axes.seed=[{seed}]"]))[0] for seed in SEEDS]
    begun = time.perf_counter()
    for loop in loops:
        for _ in range(epochs):
            loop()
    print(round(time.perf_counter() - begun, 2))


def markdown(found):
    """Return the results as a table."""
    lines = [f"# {found['machine']}", "", "| round | elastic run, s | bare loops, s | ratio |", "|---|---|---|---|"]
    for number, one in enumerate(found["rounds"]):
        lines.append(f"| {number} | {one['study']['wall']} | {one['bare']['loops']} | {one['ratio']} |")
    return "\n".join([*lines, "", f"Median ratio {found['ratio']}.", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_loops(options.epochs)
        return
    rounds = []
    for _ in range(options.rounds):
        one = {"bare": bare(options.epochs), "load": os.getloadavg()[0], "study": study(options.epochs)}
        one["ratio"] = round(one["study"]["wall"] / one["bare"]["loops"], 3)
        rounds.append(one)
        print(json.dumps(one), flush=True)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    collected = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, {now}", "epochs": options.epochs}
    collected |= {"rounds": rounds, "ratio": statistics.median(one["ratio"] for one in rounds)}
    print(f"{options.epochs} epochs: elastic run over bare loops, median of {options.rounds}: {collected['ratio']}")
    if options.out:
        (options.out / "study.json").write_text(json.dumps(collected, indent=1))
        (options.out / "study.md").write_text(markdown(collected))


if __name__ == "__main__":
    main()
