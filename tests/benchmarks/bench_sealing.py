"""What assembling and sealing a cube cost: time, and peak memory beside that of the imports.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_sealing.py [GB …] [--folder DIR] [--single]

Runs of simulated numbers are recorded and compacted (--single: left as one file an epoch), then assembled, sealed, read
whole, and sealed anew from another process each. Peak memory is the resident set size as the system reports it.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from elastic.cube import Journal, Layout, Variable, assemble, open_sealed, seal, write_layout

SPLITS, CLASSES, LAYERS, EPOCHS = ("train", "test"), 100, 8, 20
PAIRS = ("class_cosine", "cdnv")
BY_LAYER = ("nc1", "fuzziness", "nc2_equinorm", "nc2_equiangle", "nc4_mismatch", "ncc_accuracy")
VARIABLES = (
    Variable("training", "loss", ("split",)),
    *(Variable("collapse", name, ("split", "layer")) for name in BY_LAYER),
    Variable("collapse", "class_mean_norm", ("split", "layer", "class")),
    *(Variable("collapse", name, ("split", "layer", "class", "other_class")) for name in PAIRS),
    Variable("elasticity", "response", ("layer", "stepped_class", "observed_class")),
)


def layout() -> Layout:
    names = [("input", 0, 64), *((f"hidden_{i}", i, 64) for i in range(1, LAYERS - 1)), ("logits", LAYERS - 1, CLASSES)]
    counts = {split: [10] * CLASSES for split in SPLITS}
    return Layout(EPOCHS - 1, range(EPOCHS), names, range(CLASSES), SPLITS, counts, VARIABLES)


def record_runs(folder: Path, size: float, *, single: bool) -> int:
    """Record runs of so many bytes together, and return their number."""
    one = layout()
    numbers = {v.key: np.random.default_rng(0).normal(size=one.shape(v)) for v in VARIABLES}
    runs = max(1, round(size / (EPOCHS * sum(array.nbytes for array in numbers.values()))))
    for seed in range(runs):
        run = folder / "runs" / f"{seed:016x}"
        journal = Journal(run, write_layout(run, one), writing=True)
        for epoch in range(EPOCHS):
            journal.append(epoch, {key: array + 100 * seed + epoch for key, array in numbers.items()})
        if not single:
            from elastic.cube.compaction import compact_journal

            compact_journal(journal)
    return runs


def assembled(folder: Path):
    runs = sorted((folder / "runs").iterdir())
    seeds = range(len(runs))
    return assemble([({"seed": seed}, run) for seed, run in zip(seeds, runs, strict=True)], {"seed": list(seeds)}, {})


def read_whole(folder: Path) -> None:
    """Read every variable of the sealed cube, one after the other."""
    for node in open_sealed(folder).subtree:
        for variable in node.to_dataset().variables.values():
            np.asarray(variable.values).sum() if variable.dtype.kind == "f" else variable.values


STEPS = {
    "assemble": assembled,
    "assemble and seal": lambda folder: seal(assembled(folder), folder),
    "read it all": read_whole,
}


def measured(step: str, folder: Path) -> dict[str, float]:
    """Return the seconds of a step in a process of its own, and its peak memory above that of the imports, in MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, "--folder", folder], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def run_step(step: str, folder: Path) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    STEPS[step](folder)
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "MB": (after - before) / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sizes", nargs="*", type=float, default=[0.1, 1.0, 3.6], help="of the cubes, in GB")
    parser.add_argument("--folder", type=Path, help="where the studies are written (a temporary folder)")
    parser.add_argument("--single", action="store_true", help="leave one file an epoch")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        run_step(asked.step, asked.folder)
        return
    print(f"{'GB':>5} {'runs':>5}  " + "  ".join(f"{step:>20}" for step in STEPS))
    for size in asked.sizes:
        folder = Path(tempfile.mkdtemp(dir=asked.folder))
        try:
            runs = record_runs(folder, size * 1e9, single=asked.single)
            collected = [measured(step, folder) for step in STEPS]
            text = "  ".join(f"{one['seconds']:>8.1f} s {one['MB']:>6.0f} MB" for one in collected)
            print(f"{size:>5} {runs:>5}  {text}", flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
