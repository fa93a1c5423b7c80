"""A cube that does not fit into memory is assembled and sealed in parts, to the same numbers and the same bytes."""

from __future__ import annotations

import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support import processes

import elastic
from elastic.cube import Journal, assemble, assembly, open_sealed, seal, sealing, streaming, write_layout
from elastic.cube.compaction import compact_journal
from elastic.errors import RecordsChanged

ROOT = Path(elastic.__file__).parents[1]
GROUPS = ("training", "collapse", "elasticity")


@pytest.fixture
def runs(tmp_path, make_layout, write_run):
    """Return runs of several depths and classes, one of them under way and one not begun."""
    folders = [tmp_path / "runs" / f"{i:016x}" for i in range(4)]
    write_run(folders[0], make_layout())
    write_run(folders[1], make_layout(hidden=3), seed=1)
    write_run(folders[2], make_layout(classes=(0, 2, 5), epochs=6, probed=(0, 2, 6)), epochs=range(4), seed=2)
    return [({"lr": lr, "seed": seed}, folders[2 * i + seed]) for i, lr in enumerate((0.5, 0.1)) for seed in (0, 1)]


@pytest.fixture
def assembled(runs, monkeypatch):
    """Return ``(in_parts) -> tree``."""

    def assembled(in_parts):
        with monkeypatch.context() as patch:
            patch.setattr(assembly, "IN_MEMORY", -1 if in_parts else 2**40)
            return assemble(runs, {"lr": [0.5, 0.1], "seed": [0, 1]}, {"title": "t"})

    return assembled


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def numbers(tree):
    return [array for group in GROUPS for array in tree[group].data_vars.values()]


def test_a_cube_that_is_read_in_parts_is_the_one_that_is_read_at_once(assembled):
    whole, parts = assembled(False), assembled(True)
    assert all(array.variable._in_memory for array in numbers(whole))
    assert not any(array.variable._in_memory for array in numbers(parts) if array.name != "status")
    xr.testing.assert_identical(parts, whole)


KEYS = {
    "an integer": {"seed": 1},
    "the last": {"epoch": -1, "lr": -1},
    "a slice": {"epoch": slice(1, 4), "layer": slice(None, None, 2)},
    "backwards": {"epoch": slice(None, None, -1), "layer": slice(3, 0, -1)},
    "a list": {"epoch": [3, 0, 3], "seed": [1, 1]},
    "nothing": {"epoch": []},
    "points": {"epoch": xr.DataArray([0, 3, 1], dims="p"), "layer": xr.DataArray([1, 0, 1], dims="p")},
    "a mask": {"layer": np.array([True, False])},
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_any_part_is_read_as_numpy_reads_it(assembled, key):
    whole, parts = assembled(False), assembled(True)
    for group, array in [(name, array) for name in GROUPS for array in whole[name].data_vars.values()]:
        wanted = {dim: along for dim, along in key.items() if dim in array.dims}
        if "layer" in wanted and isinstance(wanted["layer"], np.ndarray):
            wanted["layer"] = np.resize(wanted["layer"], array.sizes["layer"])
        xr.testing.assert_identical(parts[group][array.name].isel(wanted), array.isel(wanted))


def test_what_is_sealed_in_parts_has_the_same_bytes(assembled, tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "CHUNK", 300)
    seal(assembled(False), tmp_path / "whole")
    assert not streaming.incomplete(tmp_path / "whole" / "cube.zarr")
    for block in (1, 2**40, 500):
        monkeypatch.setattr(streaming, "BLOCK", block)
        seal(assembled(True), tmp_path / f"parts of {block}")
        assert contents(tmp_path / f"parts of {block}") == contents(tmp_path / "whole"), block
    seal(open_sealed(tmp_path / "parts of 500"), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert len(list((tmp_path / "whole" / "cube.zarr" / "collapse" / "class_cosine").rglob("*"))) > 10


def test_what_is_read_of_open_runs_is_not_what_comes_later(runs, assembled, make_layout, make_record):
    whole, parts = assembled(False), assembled(True)
    layout = make_layout(classes=(0, 2, 5), epochs=6, probed=(0, 2, 6))
    Journal(runs[2][1]).append(4, make_record(layout, 4, 2))
    xr.testing.assert_identical(parts, whole)
    assert assembled(True)["training"]["loss"].sel(lr=0.1, seed=0, epoch=4).notnull().all()


def compacted(folder, _write):
    compact_journal(Journal(folder, writing=True))


def removed(folder, _write):
    shutil.rmtree(folder / "journal")


def recorded_again(folder, write):
    shutil.rmtree(folder / "journal")
    write(folder, seed=9)


def exchanged(folder, write):
    """Exchange a single record for one with other numbers, as its name says."""
    write(folder.with_name("other") / folder.name, seed=9)
    (folder.with_name("other") / folder.name / "journal" / "000002.npz").replace(folder / "journal" / "000002.npz")


@pytest.mark.parametrize("change", [compacted, removed, recorded_again, exchanged], ids=lambda change: change.__name__)
def test_records_that_changed_since_the_cube_was_opened_raise(runs, assembled, make_layout, write_run, change):
    whole, parts = assembled(False), assembled(True)
    change(runs[0][1], lambda folder, seed: write_run(folder, make_layout(), seed=seed))
    with pytest.raises(RecordsChanged, match="try opening the study again") as caught:
        parts["training"]["loss"].load()
    assert str(runs[0][1] / "journal") in caught.value.place
    untouched = {"lr": 0.5, "seed": 1}
    xr.testing.assert_identical(parts["training"]["loss"].sel(untouched), whole["training"]["loss"].sel(untouched))


def test_a_cube_that_is_read_in_parts_can_be_pickled(assembled):
    xr.testing.assert_identical(pickle.loads(pickle.dumps(assembled(True))), assembled(False))


@pytest.mark.parametrize("compact", [False, True])
def test_a_change_while_a_cube_is_sealed_seals_what_is_there_then(
    runs, assembled, tmp_path, make_layout, write_run, compact
):
    """Another process compacts a run between the assembly and the first number that is read."""
    trees = []

    def tree():
        trees.append(assembled(True))
        if len(trees) == 1:
            (compacted if compact else recorded_again)(
                runs[0][1], lambda folder, seed: write_run(folder, make_layout(), seed=seed)
            )
        return trees[-1]

    seal(tree, tmp_path / "study")
    assert len(trees) == 2
    plain = xr.open_datatree(tmp_path / "study" / "cube.zarr", engine="zarr")
    xr.testing.assert_identical(plain, assembled(False))


MEMORY = """
import resource, sys
from pathlib import Path
from elastic.cube import assemble, assembly, open_sealed, seal, streaming

folder = Path(sys.argv[1])
assembly.IN_MEMORY = 2**20
streaming.BLOCK = 4 * 2**20

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

runs = sorted((folder / "runs").iterdir())
axes = {"seed": list(range(len(runs)))}
small = assemble([({"seed": 0}, runs[0])], {"seed": [0]}, {})
seal(small.isel(epoch=[0]), folder / "small")  # what is imported late, and threads
before = peak()
tree = assemble([({"seed": seed}, run) for seed, run in enumerate(runs)], axes, {})
after = peak()
seal(tree, folder)
print(sum(array.nbytes for array in tree["collapse"].data_vars.values()) // 2**20, after - before, peak() - before)
"""


def test_memory_does_not_grow_with_the_cube(tmp_path, make_layout):
    layout = make_layout(classes=range(60), epochs=9, probed=range(10), hidden=6)
    record = {v.key: np.random.default_rng(0).normal(size=layout.shape(v)) for v in layout.variables}
    for seed in range(24):
        run = tmp_path / "runs" / f"{seed:016x}"
        journal = Journal(run, write_layout(run, layout), writing=True)
        for epoch in range(10):
            journal.append(epoch, record)
        compact_journal(journal)
    done = processes.run([sys.executable, "-c", MEMORY, tmp_path], cwd=ROOT, check=True)
    size, assembling, sealed = map(int, done.stdout.split())
    assert size > 100
    assert assembling < 20
    assert sealed < size // 2
