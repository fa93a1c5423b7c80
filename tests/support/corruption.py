"""Damage to files, and studies to damage: sealed, under way and recorded, each with another one of its kind."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import elastic
from elastic.progress import Watcher
from support import recordings, studies

#: A sweep of four short runs with few variables.
PROTOCOL = """\
name: {name}
title: A study to be damaged
data: {{name: digits, classes: [3, 5, 8], per_class: 10, test_fraction: 0.3}}
model: {{name: mlp, widths: [6]}}
optimizer: {{name: sgd, lr: {lr}}}
training: {{epochs: 5, batch_size: 16}}
probes: {{at: {{name: log, count: 3}}, collapse: {{per_class: 10}}, elasticity: null}}
claims: [{{name: collapse_deepens_with_depth, metric: nc1, split: train}}]
axes: {{seed: [0, 1]}}
"""

#: Files that hold no bytes of the study, or that commands write from its cube.
UNCOVERED = re.compile(r"(^|/)(\.[^/]*|lock[^/]*|figures/.*|report\.html)$")


class StopIn(Watcher):
    """Stops a study after an epoch of one of its runs."""

    def __init__(self, run, epoch):
        self.left, self.epoch = run, epoch

    def run_finished(self, label, seconds):
        self.left -= 1

    def epoch_done(self, epoch, scores, probed):
        if self.left == 0 and epoch == self.epoch:
            raise KeyboardInterrupt


def protocol_study(folder, *, name="damaged", lr=0.1, stop=None):
    """Run the sweep, or a part of it, and return the study's folder."""
    path = studies.write(folder, PROTOCOL.format(name=name, lr=lr))
    try:
        elastic.run(path, out=folder / "results", watch=None if stop is None else StopIn(*stop))
    except KeyboardInterrupt:
        return folder / "results" / name
    elastic.check(folder / "results" / name)
    return folder / "results" / name


def recorded_study(folder, *, open_run=False, first=0):
    """Record two runs, the second of which may stay under way, and return the study's folder."""
    for seed in (0, 1):
        if seed and open_run:
            recording = recordings.recorder(folder, recordings.network(first + seed), coordinates={"seed": seed})
            for epoch in range(4):
                recordings.step(recording.subject.model)
                recording.record(epoch, lr=0.1)
            recording._release()
        else:
            recordings.record(folder, seed=first + seed, coordinates={"seed": seed})
    return folder


def kind_of(name):
    """Return what kind of file a path names: files of one kind can be exchanged.

    >>> kind_of("runs/ab/journal/000003.npz"), kind_of("cube.zarr/collapse/nc1/c/0/0")
    ('journal/0.npz', 'chunk')
    """
    parts = Path(name).parts
    if parts[0] == "cube.zarr":
        return "zarr.json" if parts[-1] == "zarr.json" else "chunk"
    kind = "/".join(parts[2:]) if parts[0] == "runs" else name
    return re.sub(r"\d+(\.\d+)?\.npz$", "0.npz", kind)


def covered(folder):
    """Return the files of a study that hold something of it, by path, with their bytes.

    Without a manifest a cube holds nothing: it was sealed before the study was taken up again.
    """
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    sealed = (folder / "manifest.sha256").exists()
    kept = {name: path for name, path in files.items() if sealed or not name.startswith("cube.zarr/")}
    return {name: path.read_bytes() for name, path in kept.items() if not UNCOVERED.search(name)}


def flip(draw, name, files, others):
    """Flip one bit."""
    raw = bytearray(files[name])
    raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    return {name: bytes(raw)}


def truncate(draw, name, files, others):
    """Leave out the end, one byte or more."""
    return {name: files[name][: draw.randrange(len(files[name]))]}


def delete(draw, name, files, others):
    """Remove the file.

    Three are never missed: claims.json, which `elastic check` writes whenever it is asked to; the history of the
    claims, which studies of earlier releases do not have; and the last record of a Recorder that was not closed,
    without which the study is as it was before the epoch.
    """
    run = name.rpartition("/journal/")[0]
    is_open = f"{run}/run.json" in files and f"{run}/journal/records.npz" not in files
    is_last = is_open and name == max(one for one in files if one.startswith(f"{run}/journal/"))
    return None if name in ("claims.json", "claims_history.json") or is_last else {name: None}


def exchange(draw, name, files, others):
    """Give two files of one kind each other's bytes."""
    alike = [one for one in files if kind_of(one) == kind_of(name) and files[one] != files[name]]
    other = draw.choice(alike) if alike else None
    return None if other is None else {name: files[other], other: files[name]}


def replace(draw, name, files, others):
    """Put the file of another study in its place: that of the same path, or another one of its kind.

    The history of a recorded study of the same name and claims tells the same, but for its times.
    """
    if name == "claims_history.json" and b'"study_digest": null' in files[name]:
        return None
    alike = [one for one in others if kind_of(one) == kind_of(name) and others[one] != files[name]]
    if name in alike and draw.random() < 0.7:
        return {name: others[name]}
    return {name: others[draw.choice(alike)]} if alike else None


def append(draw, name, files, others):
    """Add bytes at the end."""
    return {name: files[name] + bytes(draw.randrange(256) for _ in range(draw.randint(1, 9)))}


def link_nowhere(path):
    path.symlink_to("nowhere")


def link_to_no_end(path):
    path.symlink_to("/dev/zero")


def make_no_file(draw, name, files, others):
    """Put a folder, a pipe or a link in its place."""
    return {name: draw.choice([Path.mkdir, os.mkfifo, link_nowhere, link_to_no_end])}


DAMAGE = {one.__name__: one for one in (flip, truncate, delete, exchange, replace, append, make_no_file)}


def put(folder, changed):
    """Write files of a study (bytes), remove them (None), or make something else in their places (a function)."""
    for name, data in changed.items():
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if isinstance(data, bytes):
            path.write_bytes(data)
        elif data is not None:
            data(path)


def drawn(draw, files, others):
    """Return the name of a damage and what it changes: {path: what `put` takes}."""
    while True:
        # Kinds first: otherwise nearly all would be chunks.
        kind = draw.choice(sorted({kind_of(name) for name in files}))
        name = draw.choice([name for name in files if kind_of(name) == kind])
        damage = draw.choice(sorted(DAMAGE))
        changed = DAMAGE[damage](draw, name, files, others)
        if changed is not None:
            return damage, changed


MAKERS = {
    "sealed": (protocol_study, {"name": "other", "lr": 0.2}),
    "under way": (lambda folder, **asked: protocol_study(folder, stop=(1, 3), **asked), {"lr": 0.2}),
    "recorded": (recorded_study, {"first": 5}),
    "recorded, under way": (lambda folder, **asked: recorded_study(folder, open_run=True, **asked), {"first": 5}),
}
