"""What a study of many small runs costs: its status, assembling, sealing and reading, in seconds and in memory.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_many_cells.py [CELLS] [--epochs 20] [--folder DIR]

Runs that have ended are written as they are when a study has trained them, with simulated numbers: 20 epochs of which
seven are probed, four layers, ten classes. Each step is a process of its own that opens the study anew; memory is the
peak resident set size above that of the imports. Targets of 10,000 cells: status within 10 s, sealing within 60 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import elastic
from elastic.cube import Journal, Layout, Variable, compaction, write_layout, write_report
from elastic.cube.epoch_files import COMPACT
from elastic.listing import studies
from elastic.protocol import load_protocol
from elastic.study.creation import make_study

SPLITS, CLASSES, LAYERS, PROBED = ("train", "test"), 10, 4, (0, 1, 2, 4, 8, 12)
BY_LAYER = ("nc1", "fuzziness", "nc2_equinorm", "nc2_equiangle", "nc4_mismatch", "ncc_accuracy")
VARIABLES = (
    *(Variable("training", name, ("split",)) for name in ("loss", "accuracy")),
    *(Variable("training", name, ()) for name in ("objective", "lr", "gradient_norm")),
    *(Variable("collapse", name, ("split", "layer")) for name in BY_LAYER),
    Variable("collapse", "class_mean_norm", ("split", "layer", "class")),
    Variable("collapse", "class_cosine", ("split", "layer", "class", "other_class")),
    Variable("elasticity", "response", ("layer", "stepped_class", "observed_class")),
)
PROTOCOL = """\
name: many
title: Many small runs
data: {{name: digits}}
model: {{name: mlp, widths: [8, 8]}}
optimizer: {{name: sgd, lr: 0.1}}
training: {{epochs: {epochs}}}
axes: {{seed: {seeds}, decay: {{path: optimizer.weight_decay, values: {decays}}}}}
"""


def write_study(folder: Path, cells: int, epochs: int) -> Path:
    """Write a study whose runs have ended, and return its folder."""
    seeds = max(1, cells // 100)
    decays = [round(1e-6 * number, 9) for number in range(1, 1 + cells // seeds)]
    protocol = folder / "many.yaml"
    protocol.write_text(PROTOCOL.format(epochs=epochs, seeds=list(range(seeds)), decays=decays))
    study = make_study(folder / "many", load_protocol(protocol))
    names = [("input", 0, 64), *((f"hidden_{i}", i, 8) for i in range(1, LAYERS - 1)), ("logits", LAYERS - 1, CLASSES)]
    probed = [*(epoch for epoch in PROBED if epoch < epochs), epochs]
    layout = Layout(epochs, probed, names, range(CLASSES), SPLITS, {s: [10] * CLASSES for s in SPLITS}, VARIABLES)
    for number, cell in enumerate(study.cells):
        write_run(study.run_folder(cell["digest"]), layout, epochs, np.random.default_rng(number))
    return study.folder


def write_run(run: Path, layout: Layout, epochs: int, chance: np.random.Generator) -> None:
    """Write a run as it is when it has ended, its journal compacted."""
    journal = Journal(run, write_layout(run, layout), writing=True)
    journal.folder.mkdir()
    recorded = {False: [e for e in range(epochs + 1) if e not in layout.probed], True: list(layout.probed)}

    def column(key):
        count = epochs + 1 if key == "status" or key.startswith("training/") else len(layout.probed)
        if key == "status":
            return iter([np.ones(count, np.int8)])
        blank = journal.blanks[True][key]
        return iter([chance.normal(size=(count, *blank.shape)).astype(blank.dtype)])

    compaction._write(journal.folder / COMPACT, journal, recorded, journal.keys(probed=True), column)
    facts = {"status": "done", "epoch": epochs, "epochs": epochs, "seconds": {"training": 0.1}, "data_digest": "0" * 64}
    write_report(run, facts)


STEPS = {
    "status": lambda folder: studies.status_table(elastic.open_study(folder)),
    "assemble": lambda folder: elastic.open_study(folder).assemble(),
    "seal": lambda folder: elastic.open_study(folder).seal(),
    "sealed again": lambda folder: elastic.open_study(folder).seal(),
    "read nc1": lambda folder: elastic.open_study(folder).cube["collapse/nc1"].values,
}


def run_step(step: str, folder: Path) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    STEPS[step](folder)
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used = os.times()
    print(f"{step:>14} {seconds:>8.1f} s {used.user + used.system:>8.1f} s CPU {(after - before) / 1024:>6.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cells", nargs="?", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the study is written (a temporary folder)")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        run_step(asked.step, asked.folder)
        return
    folder = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        os.fsync = lambda _: None  # of this process alone, which only writes what is measured
        begun = time.perf_counter()
        study = write_study(folder, asked.cells, asked.epochs)
        seconds = time.perf_counter() - begun
        print(f"{asked.cells} cells of {asked.epochs} epochs written in {seconds:.0f} s", flush=True)
        for step in STEPS:
            subprocess.run([sys.executable, __file__, "--step", step, "--folder", study], check=True)
        size = sum(path.stat().st_size for path in (study / "cube.zarr").rglob("*") if path.is_file())
        print(json.dumps({"cube_MB": round(size / 1e6, 1)}))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
