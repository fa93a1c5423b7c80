"""kill -9 at random instants: nothing torn, nothing lost, the same bytes after going on.

Run as a script, this file is the process whose children are killed. They are forked before any thread exists, so
that a kill costs milliseconds instead of the start of an interpreter.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support import forked

from elastic.cube import (
    Journal,
    Layout,
    Variable,
    compact_journal,
    is_sealed,
    seal,
    verify_manifest,
    write_layout,
)
from elastic.cube.labels import Label, labelled
from elastic.cube.record import encode

KILLS = 10
LAYOUT = Layout(
    99_999,
    range(0, 99_999, 3),
    [("input", 0, 2), ("logits", 1, 2)],
    [0, 1],
    ["train"],
    {"train": [5, 5]},
    [
        Variable("training", "loss", ("split",)),
        Variable("collapse", "cosine", ("split", "layer", "class", "other_class")),
    ],
)


def record(epoch):
    generator = np.random.default_rng(epoch)
    return {v.key: generator.normal(size=LAYOUT.shape(v)) for v in LAYOUT.recorded(probed=LAYOUT.is_probed(epoch))}


def tree(seed):
    numbers = np.random.default_rng(seed).normal(size=(2, 4))
    group = xr.Dataset({"loss": (("seed", "epoch"), numbers)}, {"seed": [0, 1], "split": ("s", ["train"])})
    group = group.assign_coords(split=("s", np.array(["train"], dtype=np.dtypes.StringDType())))
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": "t"}), "/training": group})


def killed(job, delay):
    """Fork a process that does the job for ever, and kill it a while after it has called the function it is given."""
    started, begun = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            job(lambda: os.write(begun, b"."))
        finally:
            os._exit(1)
    os.close(begun)
    os.read(started, 1)
    os.close(started)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the job died before it was killed"


def completed(job):
    """Fork a process that does the job once, and wait for it: this process itself never starts a thread."""
    child = os.fork()
    if child == 0:
        try:
            job()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def kill_appends(folder):
    generator = random.Random(0)
    write_layout(folder, LAYOUT)

    def append_for_ever(begun):
        journal = Journal(folder, writing=True)
        for number, epoch in enumerate(range(max(0, len(journal.epochs()) - 1), LAYOUT.epochs)):
            if number == after:  # 1 is the first epoch that is new
                begun()
            journal.append(epoch, record(epoch))

    after = torn = 0
    for _ in range(KILLS):
        after = generator.randint(0, 3)
        killed(append_for_ever, generator.uniform(0, 0.03))
        journal = Journal(folder)
        torn += any(path.suffix == ".partial" for path in journal.folder.glob(".*"))
        epochs = journal.epochs()
        assert epochs == list(range(len(epochs))), "an epoch was lost"
        for epoch in epochs[-20:]:
            journal.read(epoch)
    reached = len(Journal(folder).epochs())
    journal = Journal(folder, writing=True)
    for epoch in range(reached):  # a whole replay: raises unless every byte is the same
        journal.append(epoch, record(epoch))
        expected = encode({**record(epoch), "status": np.int8(1)})
        assert journal.path(epoch).read_bytes() == labelled(expected, Label("record", folder.name, epoch))
    assert sorted(path.name for path in journal.folder.iterdir()) == [f"{epoch:06d}.npz" for epoch in range(reached)]
    print(f"{reached} epochs, {torn} of {KILLS} kills left a half-written file")


def kill_compactions(folder):
    """A run is extended and compacted every few epochs: at any instant all epochs are read, once and as recorded."""
    generator = random.Random(0)
    write_layout(folder, LAYOUT)
    after = reached = both = halves = 0

    def compact_for_ever(begun):
        journal = Journal(folder, writing=True)
        for number, epoch in enumerate(range(len(journal.epochs()), LAYOUT.epochs)):
            if number == after:  # so many epochs are new
                begun()
            journal.append(epoch, record(epoch))
            if epoch % 3 == 2:
                compact_journal(journal)

    for _ in range(KILLS):
        after = generator.randint(0, 3)
        killed(compact_for_ever, generator.uniform(0, 0.06))
        names = {path.name for path in (folder / "journal").iterdir()}
        halves += any(name.endswith(".partial") for name in names)
        compacted = np.load(folder / "journal/records.npz")["epochs"] if "records.npz" in names else ()
        both += any(f"{int(epoch):06d}.npz" in names for epoch in compacted)
        journal = Journal(folder)
        epochs = journal.epochs()
        assert epochs == list(range(len(epochs))), "an epoch was lost"
        assert len(epochs) >= reached + after
        reached = len(epochs)
        expected = np.stack([record(epoch)["training/loss"] for epoch in epochs])
        assert np.array_equal(journal.read_variable("training/loss")[1], expected)
        collected = {
            e: row for part, block in journal.blocks() for e, row in zip(part, block["training/loss"], strict=True)
        }
        assert np.array_equal([collected[epoch] for epoch in epochs], expected)
    journal = Journal(folder, writing=True)
    compact_journal(journal)
    assert [path.name for path in journal.folder.iterdir()] == ["records.npz"]
    for epoch in range(reached):
        journal.append(epoch, record(epoch))
    print(f"{reached} epochs, {both} of {KILLS} kills left both forms, {halves} a half-written file")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def kill_seals(folder):
    generator = random.Random(0)
    cube, other = tree(0), tree(1)
    with tempfile.TemporaryDirectory() as unbroken:
        completed(lambda: seal(cube, Path(unbroken)))
        start = time.monotonic()
        completed(lambda: seal(cube, Path(unbroken)))
        length = time.monotonic() - start
        expected = contents(Path(unbroken))

    def seal_for_ever(begun):
        begun()
        while True:
            seal(cube, folder)
            seal(other, folder)

    unsealed = 0
    for _ in range(KILLS):
        killed(seal_for_ever, generator.uniform(0.1, 2) * length)
        if is_sealed(folder):
            assert verify_manifest(folder) == [], "a sealed cube was torn"
        else:
            unsealed += 1
        if generator.random() < 0.5:  # else the next one begins on what this one left
            completed(lambda: seal(cube, folder))
            assert contents(folder) == expected
    completed(lambda: seal(cube, folder))
    assert contents(folder) == expected
    print(f"{unsealed} of {KILLS} kills came before the cube was sealed")


@pytest.mark.parametrize("what", [kill_appends, kill_compactions, kill_seals], ids=["appends", "compactions", "seals"])
def test_kill_9_at_any_instant_loses_nothing(tmp_path, what):
    done = forked.script(__file__, what.__name__, tmp_path / "folder", limit=900)
    assert done.returncode == 0, done.stdout
    assert f"of {KILLS} kills" in done.stdout


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
