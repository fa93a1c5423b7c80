"""Make the small studies that a release leaves behind for the tests of every later one.

    PYTHONPATH=<checkout of the release> python tests/releases/make.py <name of the release>

writes ``<release>/{sealed,between_epochs,within_epoch,recorded}.tar.xz`` and ``numbers.json`` beside this file: what
their cubes say, and what they say once they have been run to their end, extended or recorded on. What a release does
not have is left out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import elastic

HERE = Path(__file__).parent

#: A little of everything, two cells: one is run to its end before a study is stopped in the other.
PROTOCOL = """\
name: little
title: A little of everything
cites: [he2023law]
data: {name: digits, classes: [3, 5], per_class: 12, test_fraction: 0.3}
model: {name: mlp, widths: [4, 3], norm: batch}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1.0e-3, schedule: {name: multistep, milestones: [0.5]}}
training: {epochs: 4, batch_size: 8}
probes:
  at: {name: every, step: 2}
  collapse: {per_class: 6}
  elasticity: {stepped_per_class: 2, observed_per_class: 3}
axes:
  seed: [0]
  activation: {path: model.activation, values: [relu, tanh]}
claims:
  - {name: collapse_deepens_with_depth, metric: nc1, split: train}
"""

#: Variables of which numbers.json holds every value.
VARIABLES = ("training/loss", "training/accuracy", "training/lr", "collapse/nc1", "elasticity/response")

#: In which run, and after which epoch, a study is stopped.
STOP = ("activation=tanh", 2)


def numbers(cube: Any) -> dict[str, Any]:
    """Return the values of a few variables as nested lists; NaN is null."""
    collected = {}
    for path in VARIABLES:
        group, _, name = path.partition("/")
        if group in cube.children and name in cube[group]:
            values = np.asarray(cube[group][name].values, dtype=object)
            collected[path] = np.where(values != values, None, values).tolist()
    return collected


def run(out: Path, **options: Any) -> Any:
    """Run the protocol to its end and return the study."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "little.yaml").write_text(PROTOCOL)
    return elastic.run(out / "little.yaml", out=out, **options)


def stop_after_checkpoint(out: Path) -> None:
    """Run the protocol and kill this process between two epochs."""
    from elastic.progress import Watcher

    class Killer(Watcher):
        def run_started(self, label: str, epochs: int, epoch: int) -> None:
            self.label = label

        def epoch_done(self, epoch: int, *_: Any) -> None:
            if self.label.startswith(STOP[0]) and epoch == STOP[1]:
                os.kill(os.getpid(), signal.SIGKILL)

    run(out, watch=Killer())


def stop_before_checkpoint(out: Path) -> None:
    """Run the protocol and kill this process when it has recorded an epoch, before its checkpoint."""
    from elastic.runs import commit

    save, saved = commit.save_checkpoint, []

    def killing(*arguments: Any) -> None:
        saved.append(arguments[0])
        if len(saved) > 1 and saved[-1] != saved[0] and saved.count(saved[-1]) == STOP[1] + 2:
            os.kill(os.getpid(), signal.SIGKILL)
        save(*arguments)

    commit.save_checkpoint = killing
    run(out)


STOPS = {"between_epochs": stop_after_checkpoint, "within_epoch": stop_before_checkpoint}


def samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and labels of two Gaussian classes."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return torch.tensor(draw.normal(size=(count, 3)) + 2 * labels[:, None], dtype=torch.float32), torch.tensor(labels)


def record(folder: Path, seed: int, *, epochs: int = 3, close: bool = True) -> None:
    """Record a training loop with plain gradient descent; one that is not closed stays under way."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    x, y = samples(16, 0)
    probes = {
        "at": [0, 2, 3],
        "collapse": {"per_class": 6},
        "elasticity": {"stepped_per_class": 2, "observed_per_class": 3},
    }
    recorder = elastic.Recorder(
        folder, net, layers=["1"], train=(x, y), test=samples(8, 1), epochs=3, probes=probes,
        coordinates={"seed": seed}, title="A loop of one's own", settings={"lr": 0.1},
    )  # fmt: skip
    for epoch in range(epochs + 1):
        if epoch:
            net.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter -= 0.1 * parameter.grad
        recorder.record(epoch, lr=0.1)
    if close:
        recorder.close()
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def pack(folder: Path, path: Path) -> None:
    """Write a folder as a tar whose bytes depend on nothing but its files."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(path, "w:xz", preset=9) as archive:
        for file in sorted(folder.rglob("*")):
            archive.add(file, file.relative_to(folder).as_posix(), recursive=False, filter=plain)


def stopped(mode: str, out: Path) -> None:
    """Let another process work in a folder until it kills itself."""
    sys.path.append(str(HERE.parent))
    from support import processes

    done = processes.run([sys.executable, __file__, mode, out], stdout=None, stderr=None)
    assert done.returncode == -signal.SIGKILL, f"{mode} ended with {done.returncode}"


def make(release: str) -> None:
    """Make everything of a release."""
    target, collected = HERE / release, {}
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        sealed = run(work / "sealed")
        collected["sealed"] = numbers(sealed.cube)
        pack(sealed.folder, target / "sealed.tar.xz")
        for mode in STOPS:
            stopped(mode, work / mode)
            pack(work / mode / "little", target / f"{mode}.tar.xz")
            collected[mode] = numbers(elastic.open_study(work / mode / "little").cube)
        if hasattr(elastic, "Recorder"):
            record(work / "recorded", 0)
            stopped("unclosed", work / "recorded")
            collected["recorded"] = numbers(elastic.open_study(work / "recorded").cube)
            pack(work / "recorded", target / "recorded.tar.xz")
            for seed in (1, 2):
                record(work / "recorded", seed)
            collected["recorded on"] = numbers(elastic.open_study(work / "recorded").cube)
        run(work / "sealed", settings=["axes.seed=[0, 1]"])
        collected["extended"] = numbers(elastic.open_study(work / "sealed" / "little").cube)
    (target / "numbers.json").write_text(json.dumps(collected) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] in STOPS:
        STOPS[sys.argv[1]](Path(sys.argv[2]))
    elif sys.argv[1] == "unclosed":
        record(Path(sys.argv[2]), 1, epochs=1, close=False)
    else:
        make(sys.argv[1])
