from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from support import processes

import elastic
from elastic.cube import assemble, is_sealed, open_sealed, read_manifest, seal, verify_manifest
from elastic.cube import sealing as room
from elastic.cube.checked_files import Condition
from elastic.cube.manifest import check_manifest
from elastic.errors import StudyError

ROOT = Path(elastic.__file__).parents[1]


@pytest.fixture
def tree(tmp_path, make_layout, write_run):
    runs = [
        ({"bias": True, "seed": 0}, write_run(tmp_path / "runs" / "0", make_layout())),
        ({"bias": True, "seed": 1}, write_run(tmp_path / "runs" / "1", make_layout(hidden=2), epochs=range(2))),
    ]
    attrs = {"title": "ragged", "digest": "ab12", "machine": {"cpu": "x", "threads": 2}, "list": (1, None)}
    return assemble(runs, {"bias": [True, False], "seed": [0, 1]}, attrs)


@pytest.fixture
def study(tmp_path, tree):
    seal(tree, tmp_path / "study")
    return tmp_path / "study"


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def damage(path, place=-3):
    data = bytearray(path.read_bytes())
    data[place] ^= 16
    path.write_bytes(data)


def test_a_sealed_cube_is_the_assembled_one(tree, study):
    sealed = open_sealed(study)
    assert sealed.identical(tree)
    for node in tree.subtree:
        for name, array in node.to_dataset().variables.items():
            assert sealed[node.path].to_dataset().variables[name].dtype == array.dtype
    assert sealed["collapse"]["nc1"].sel(layer="hidden_2", seed=1).dims == ("bias", "epoch", "split")


def test_a_sealed_cube_is_read_when_it_is_used(study):
    assert not open_sealed(study)["collapse"]["class_cosine"].variable._in_memory


def test_a_cube_that_was_opened_can_be_sealed_again_with_the_same_bytes(study, tmp_path):
    seal(open_sealed(study), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(study)


def test_two_seals_of_one_tree_have_the_same_bytes(tree, study):
    before = contents(study)
    seal(tree, study)
    assert contents(study) == before
    assert sorted(path.name for path in study.iterdir()) == [".sealing.lock", "cube.zarr", "manifest.sha256"]


def test_two_processes_seal_the_same_bytes(tmp_path):
    """Another process, in which strings hash otherwise, and this one."""
    script = (
        "import sys; from pathlib import Path; from elastic.cube import assemble, seal\n"
        "axes, attrs = {'seed': [0, 1], 'name': ['a', 'longer']}, {'b': 1, 'a': {'d': 1, 'c': 2}}\n"
        "seal(assemble([], axes, attrs), Path(sys.argv[1]))\n"
        "print(hash('seed'))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    done = processes.run([sys.executable, "-c", script, tmp_path / "1"], cwd=ROOT, env=environment, check=True)
    assert int(done.stdout) != hash("seed")
    axes, attrs = {"seed": [0, 1], "name": ["a", "longer"]}, {"b": 1, "a": {"d": 1, "c": 2}}
    seal(assemble([], axes, attrs), tmp_path / "2")
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_chunk_of_nan_only_is_written(tmp_path):
    seal(xr.DataTree(xr.Dataset({"nc1": (("seed", "epoch"), np.full((2, 3), np.nan))})), tmp_path)
    assert (tmp_path / "cube.zarr" / "nc1" / "c" / "0" / "0").is_file()


def test_whoever_dies_before_the_manifest_leaves_nothing_sealed(tree, study, monkeypatch):
    before = contents(study)

    def die(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, "write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            seal(tree.isel(seed=[0]), study)
    assert not is_sealed(study)
    seal(tree, study)
    assert contents(study) == before


def test_every_chunk_is_there_and_carries_a_checksum(study):
    root = zarr.open_group(study / "cube.zarr", mode="r")
    for path, array in root.members(max_depth=None):
        if isinstance(array, zarr.Array):
            compressor = json.loads((study / "cube.zarr" / path / "zarr.json").read_text())["codecs"][-1]
            assert compressor["name"] == "zstd", path
            assert compressor["configuration"]["checksum"] is True, path
            assert array.nchunks_initialized == array.nchunks, path


def test_all_epochs_lie_in_one_chunk_however_large_the_variable(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "CHUNK", 5000)
    array = np.random.default_rng(0).normal(size=(3, 2, 40, 4, 5))
    dims = ("seed", "lr", "epoch", "layer", "class")
    tree = xr.DataTree.from_dict({"/collapse": xr.Dataset({"large": (dims, array)})})
    seal(tree, tmp_path)
    assert zarr.open_group(tmp_path / "cube.zarr", mode="r")["collapse/large"].chunks == (1, 1, 40, 3, 5)
    assert np.array_equal(open_sealed(tmp_path)["collapse"]["large"], array)


def test_no_flipped_bit_of_a_chunk_reads_as_numbers(study):
    """One flipped bit in a default Zarr chunk is silently another number; not in these."""
    path = study / "cube.zarr" / "training" / "loss" / "c" / "0" / "0" / "0" / "0"
    whole = path.read_bytes()
    array = zarr.open_array(study / "cube.zarr" / "training" / "loss", mode="r")
    expected = array[:]
    caught = 0
    for bit in range(8 * len(whole)):
        torn = bytearray(whole)
        torn[bit // 8] ^= 1 << bit % 8
        path.write_bytes(torn)
        try:
            read = array[:]
        except (RuntimeError, ValueError):
            caught += 1
        else:  # two bits of the frame's head are unused: they change nothing
            assert np.array_equal(read, expected, equal_nan=True), bit
    assert caught >= 8 * len(whole) - 2


def test_a_flipped_bit_raises_through_the_opened_cube(study):
    damage(study / "cube.zarr" / "training" / "loss" / "c" / "0" / "0" / "0" / "0", place=-20)
    opened = open_sealed(study)
    assert opened["training"]["learning_rate"].notnull().any()
    with pytest.raises(RuntimeError, match=r"checksum|decompress"):
        opened["training"]["loss"].load()


def test_the_manifest_is_what_sha256sum_reads(study):
    text = (study / "manifest.sha256").read_text()
    head, *lines, end = text.splitlines(keepends=True)
    assert [line.rstrip("\n").split("  ")[1] for line in lines] == sorted(
        name for name in contents(study) if name.startswith("cube.zarr/")
    )
    digest = hashlib.sha256("".join([head, *lines]).encode()).hexdigest()
    assert (head[0], end) == ("#", f"# sha256 {digest}\n")
    if shutil.which("sha256sum"):
        processes.run(["sha256sum", "--check", "--strict", "--quiet", "manifest.sha256"], cwd=study, check=True)


def test_every_changed_or_missing_byte_of_the_manifest_is_told(study):
    path = study / "manifest.sha256"
    raw, listed = path.read_bytes(), read_manifest(study)
    draw = random.Random(0)
    for _ in range(300):
        place = draw.randrange(len(raw))
        path.write_bytes(raw[:place] + bytes([raw[place] ^ (1 << draw.randrange(8))]) + raw[place + 1 :])
        assert (read_manifest(study), check_manifest(study)) == ({}, Condition.DAMAGED), place
        path.write_bytes(raw[: draw.choice([place, raw.rindex(b"#"), raw.index(b"\n", place)])])
        assert (read_manifest(study), check_manifest(study)) == ({}, Condition.DAMAGED), place
    path.write_bytes(b"".join(line for line in raw.splitlines(keepends=True) if line[:1] != b"#"))  # an earlier release
    assert (read_manifest(study), check_manifest(study)) == (listed, Condition.NOT_CHECKABLE)


def test_the_manifest_tells_damaged_missing_and_extra_files(tree, tmp_path):
    (tmp_path / "study.json").write_text("{}")
    seal(tree, tmp_path, extra=[tmp_path / "study.json", Path("runs/0/layout.json")])
    assert is_sealed(tmp_path)
    assert verify_manifest(tmp_path) == []
    cube = tmp_path / "cube.zarr"
    damage(cube / "collapse" / "nc1" / "zarr.json")
    (cube / "collapse" / "nc1" / "stranger").touch()
    (tmp_path / "runs" / "0" / "layout.json").write_text("")
    assert is_sealed(tmp_path)  # cheap: it looks, it does not read
    (cube / "training" / "learning_rate" / "zarr.json").unlink()
    assert verify_manifest(tmp_path) == [
        "cube.zarr/collapse/nc1/stranger: extra",
        "cube.zarr/collapse/nc1/zarr.json: damaged",
        "cube.zarr/training/learning_rate/zarr.json: missing",
        "runs/0/layout.json: damaged",
    ]
    assert not is_sealed(tmp_path)


def test_a_lost_chunk_is_not_nan(study):
    shutil.rmtree(study / "cube.zarr" / "training" / "learning_rate" / "c")
    with pytest.raises(StudyError, match="files missing"):
        open_sealed(study)


def test_damaged_metadata_are_told_on_opening(study):
    text = (study / "cube.zarr" / "zarr.json").read_text()
    (study / "cube.zarr" / "zarr.json").write_text(text.replace("mean loss", "mean lost"))
    json.loads((study / "cube.zarr" / "zarr.json").read_text())
    with pytest.raises(StudyError, match="damaged metadata"):
        open_sealed(study)


@pytest.mark.parametrize("text", ["", "no manifest\n", "ab  cube.zarr/zarr.json\n", "\x00\xff"])
def test_without_a_whole_manifest_nothing_is_sealed(study, text):
    (study / "manifest.sha256").write_text(text)
    assert not is_sealed(study)
    assert verify_manifest(study) == ["manifest.sha256: damaged"]
    (study / "manifest.sha256").unlink()
    assert not is_sealed(study)
    assert verify_manifest(study) == ["manifest.sha256: missing"]
    with pytest.raises(StudyError, match="no manifest"):
        open_sealed(study)


def test_what_dead_writers_left_is_removed(tree, study):
    before = contents(study)
    for name in ("cube.zarr.partial-99", "cube.zarr.replaced-98"):
        shutil.copytree(study / "cube.zarr", study / name)
    (study / ".manifest.sha256.99-ab.partial").touch()
    seal(tree, study)
    assert contents(study) == before


def test_a_store_that_reads_back_otherwise_is_never_given_its_name(tree, study, monkeypatch):
    before = contents(study)
    write = room._write

    def write_and_damage(tree, store):
        digests = write(tree, store)
        array = zarr.open_array(store / "training" / "learning_rate", mode="r+")
        array[0, 0, 1] = 99.0
        return digests

    monkeypatch.setattr(room, "_write", write_and_damage)
    with pytest.raises(StudyError, match="found other /training/learning_rate;"):
        seal(tree, study)
    assert contents(study) == before


def test_a_store_that_lacks_a_chunk_of_nan_is_never_given_its_name(study, monkeypatch):
    before, write = contents(study), room._write

    def write_and_lose(tree, store):
        digests = write(tree, store)
        (store / "nc1" / "c" / "1" / "0").unlink()
        return digests

    monkeypatch.setattr(room, "_write", write_and_lose)
    monkeypatch.setattr(room, "CHUNK", 24)
    with pytest.raises(StudyError, match="found other /nc1;"):
        seal(xr.DataTree(xr.Dataset({"nc1": (("seed", "epoch"), np.full((2, 3), np.nan))})), study)
    assert contents(study) == before


def test_attributes_that_zarr_would_change_are_told(tmp_path):
    tree = xr.DataTree(xr.Dataset({"a": ((), 1.0)}, attrs={"flags": {1: "done"}}))
    with pytest.raises(StudyError, match="found other /;"):
        seal(tree, tmp_path)


def test_units_of_time_leave_numbers(tmp_path):
    attrs = {"units": "seconds", "long_name": "time"}
    seal(xr.DataTree(xr.Dataset({"t": (("epoch",), [1.5, 2.5], attrs)})), tmp_path)
    assert open_sealed(tmp_path)["t"].values.tolist() == [1.5, 2.5]


def test_objects_as_strings_are_sealed_too(tmp_path):
    names = np.array(["input", "a much longer name"], dtype=object)
    seal(xr.DataTree(xr.Dataset(coords={"layer": names})), tmp_path)
    assert open_sealed(tmp_path)["layer"].values.tolist() == names.tolist()


def test_anyone_with_xarray_reads_a_sealed_cube(study, tree):
    opened = xr.open_datatree(study / "cube.zarr", engine="zarr")
    assert opened.identical(tree)
    assert xr.open_zarr(study / "cube.zarr", group="collapse", chunks=None).sizes["layer"] == 5
