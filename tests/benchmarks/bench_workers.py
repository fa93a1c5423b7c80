"""Workers: how much faster two are than one process, and what a run costs beside its training.

    python tests/benchmarks/bench_workers.py                 # minutes, on an idle machine
    python tests/benchmarks/bench_workers.py --cells 200     # fewer tiny runs

The first table carries out equal runs of the quickstart's network with one thread each, in one process and in two
workers, each study in a command of its own, so that the start of Python and of its libraries counts. The target is 1.7
times as fast on two cores. The second carries out many runs of one epoch of a tiny network: what they take beyond
their training and probes is the overhead of a run. The target is less than 20 ms. The load of the machine is printed: a
speed-up that is measured beside other busy processes tells nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "protocols/quickstart.yaml"

TINY = """\
name: tiny
title: Tiny runs
cites: [he2023law]
data: {name: digits, classes: [3, 5], per_class: 4}
model: {name: mlp, widths: [2]}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 1, batch_size: 8}
probes: {collapse: null, elasticity: null}
axes: {seed: %s}
"""


def elastic(*arguments: object) -> tuple[float, dict]:
    """Run a command and return its seconds, and what it prints as JSON."""
    begun = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "elastic", *map(str, arguments), "--json"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun, json.loads(done.stdout)


def speed(runs: int, epochs: int, workers: int, folder: Path) -> None:
    settings = ["--set", f"axes.seed={list(range(runs))}", "--set", "claims=[]", "--set", f"training.epochs={epochs}"]
    seconds = {}
    for count in (1, workers):
        seconds[count], _ = elastic("run", QUICKSTART, "--out", folder / str(count), *settings, "--workers", count)
        print(f"{runs} runs of the quickstart's network, {count} at a time: {seconds[count]:6.1f} s", flush=True)
    print(f"{workers} workers are {seconds[1] / seconds[workers]:.2f} times as fast (target 1.7 on two idle cores)\n")


def overhead(cells: int, workers: int, folder: Path) -> None:
    protocol = folder / "tiny.yaml"
    protocol.write_text(TINY % list(range(cells)))
    for count in (1, workers):
        seconds, _ = elastic("run", protocol, "--out", folder / f"tiny-{count}", "--workers", count)
        _, facts = elastic("status", folder / f"tiny-{count}" / "tiny")
        parts = [sum(run["seconds"].get(part, 0.0) for run in facts["runs"]) for part in ("training", "writing")]
        rest = 1000 * (seconds - parts[0] / count) / cells
        text = f"{parts[0]:.1f} s training, {parts[1]:.1f} s writing"
        print(f"{cells} tiny runs, {count} at a time: {seconds:6.1f} s ({text}); {rest:.1f} ms a run beside training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        speed(given.runs, given.epochs, given.workers, Path(folder))
        overhead(given.cells, given.workers, Path(folder))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
