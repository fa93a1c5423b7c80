"""A cube that plain xarray has open raises or is right once another is sealed in its place."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from elastic.cube import open_sealed, seal, sealing, verify_manifest
from elastic.cube.replacing import withdraw_store

#: What Zarr raises for a chunk that is not the one it expects.
ZARR = (ValueError, RuntimeError)

OF_ZARR = "ignore:The data type"


def tree(seed, *, shape=(2, 5, 3), dtype="float64", names=("nc1", "nc4"), by_axis=False):
    """Return a cube of the same labels for every seed, but for their number."""
    chance = np.random.default_rng(seed)
    dims = ("seed", "epoch", "layer")
    group = {name: (dims, chance.normal(size=shape).astype(dtype)) for name in names}
    group["status"] = (dims[:2], chance.integers(0, 3, size=shape[:2]).astype("int8"))
    coords = {dim: np.arange(length) for dim, length in zip(dims, shape, strict=True)}
    coords["depth"] = (
        (("seed", "layer"), chance.normal(size=shape[::2])) if by_axis else ("layer", chance.normal(size=shape[2]))
    )
    coords["role"] = ("layer", np.array([f"role {chance.integers(9)}" for _ in range(shape[2])]))
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": "t"}), "/collapse": xr.Dataset(group, coords)})


def plainly(folder):
    return xr.open_datatree(folder / "cube.zarr", engine="zarr")


def raised_or_right(opened, truth):
    """Read every variable of a cube that is open; return the names of those that raise, the others being right."""
    raised = []
    for name, variable in opened["collapse"].to_dataset().variables.items():
        expected = truth["collapse"].to_dataset().variables[name].values
        try:
            result = variable.values
        except ZARR:
            raised.append(name)
        else:
            np.testing.assert_array_equal(result, expected)
            assert result.dtype == expected.dtype
    return raised


SEALS = {
    "the same shapes": [{}],
    "one epoch more": [{"shape": (2, 6, 3)}],
    "one epoch less": [{"shape": (2, 4, 3)}],
    "as many numbers in another shape": [{"shape": (2, 3, 5)}],
    "half as wide": [{"dtype": "float32", "shape": (2, 10, 3)}],
    "wider": [{"dtype": "float32"}, {"dtype": "float64"}],
    "a variable less and back": [{"names": ("nc1",)}, {"names": ("nc4", "nc1")}],
    "more dims and back": [{"by_axis": True}, {}, {"by_axis": True}],
    "less seeds": [{"shape": (1, 5, 3)}, {"shape": (1, 10, 3)}, {"shape": (2, 5, 3)}],
}


@pytest.mark.filterwarnings(OF_ZARR)
@pytest.mark.parametrize("seals", SEALS.values(), ids=SEALS)
def test_an_open_cube_raises_or_is_right_however_many_seals_ago(tmp_path, monkeypatch, seals):
    monkeypatch.setattr(sealing, "CHUNK", 100)  # several chunks of the largest variables
    asked = [dict(seals[i % len(seals)]) if i else {} for i in range(1 + max(2, len(seals)))]
    trees = [tree(i, **options) for i, options in enumerate(asked)]
    opened = []
    for number, now in enumerate(trees):
        seal(now, tmp_path)
        assert verify_manifest(tmp_path) == []
        opened.append(plainly(tmp_path))
        for before in range(number):
            raised = raised_or_right(opened[before].copy(), trees[before])
            assert {"nc1", "status", "role"} <= set(raised)
        xr.testing.assert_identical(plainly(tmp_path), now)
        xr.testing.assert_identical(open_sealed(tmp_path), now)


def test_what_did_not_change_is_right_and_what_did_raises(tmp_path):
    before, after = tree(0), tree(0)
    after["collapse"] = after["collapse"].to_dataset().assign(nc1=after["collapse"]["nc1"] + 1)
    seal(before, tmp_path)
    opened = plainly(tmp_path)
    seal(after, tmp_path)
    assert raised_or_right(opened, before) == ["nc1"]


def test_the_first_cube_comes_back_with_its_bytes_and_is_right_for_its_readers(tmp_path):
    def contents():
        return {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    seal(tree(0), tmp_path)
    first, opened = contents(), plainly(tmp_path)
    seal(tree(1), tmp_path)
    second = plainly(tmp_path)
    seal(tree(0), tmp_path)
    assert contents() == first
    assert raised_or_right(opened, tree(0)) == []
    assert raised_or_right(second.copy(), tree(1))
    seal(tree(2), tmp_path)
    assert raised_or_right(second, tree(1))


def test_sealing_the_second_cube_again_changes_no_byte(tmp_path):
    seal(tree(0), tmp_path)
    seal(tree(1), tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    seal(tree(1), tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_crash_on_the_way_leaves_no_reader_other_numbers(tmp_path, monkeypatch):
    """Die before each third of the renames by which one store takes another's place; then a third cube is sealed."""
    trees, replace, number, died = [tree(seed, names=["nc1"]) for seed in range(3)], Path.replace, 0, True
    seal(trees[0], tmp_path / "first")
    while died:
        number += 3
        folder, left, died = tmp_path / str(number), itertools.count(1), False
        shutil.copytree(tmp_path / "first", folder)
        opened = [plainly(folder)]

        def die(path, target, left=left, number=number):
            if "cube.zarr" in Path(target).parts and next(left) == number:
                raise KeyboardInterrupt
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", die)
            try:
                seal(trees[1], folder)
            except KeyboardInterrupt:
                died = True
        raised_or_right(opened[0].copy(), trees[0])
        with contextlib.suppress(*ZARR, OSError, KeyError):
            opened.append(plainly(folder))  # whichever cube its metadata are of
        seal(trees[2], folder)
        for cube in opened:
            assert {"nc1", "status"} <= set(raised_or_right(cube, trees[0]))
        xr.testing.assert_identical(plainly(folder), trees[2])
    assert number > 10


def test_while_one_store_takes_another_s_place_no_number_is_missing(tmp_path):
    trees = [tree(0), tree(1)]
    seal(trees[0], tmp_path)
    opened, stop, wrong = plainly(tmp_path), threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                result = opened["collapse"]["nc1"].copy().values
            except ZARR:
                continue
            if not np.array_equal(result, trees[0]["collapse"]["nc1"].values):
                wrong.append(result)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(4):
            seal(trees[(number + 1) % 2], tmp_path)
    finally:
        stop.set()
        reader.join()
    assert wrong == []


def test_a_cube_that_is_withdrawn_raises_and_does_not_open(tmp_path):
    seal(tree(0), tmp_path)
    opened = plainly(tmp_path)
    withdraw_store(tmp_path)
    assert {"nc1", "nc4", "status", "depth", "role"} == set(raised_or_right(opened.copy(), tree(0)))
    with pytest.raises(FileNotFoundError):
        plainly(tmp_path)
    seal(tree(1), tmp_path)
    assert {"nc1", "nc4", "status", "depth", "role"} == set(raised_or_right(opened.copy(), tree(0)))
    xr.testing.assert_identical(plainly(tmp_path), tree(1))
    withdraw_store(tmp_path)
    seal(tree(0), tmp_path)
    assert raised_or_right(opened, tree(0)) == []


def damaged(metadata):
    """Yield the metadata of an array with one key lost or of a wrong value, at every depth."""
    for key, value in metadata.items():
        if isinstance(value, dict) and key != "attributes":
            yield from ({**metadata, key: other} for other in damaged(value))
        yield from ({**metadata, key: other} for other in (None, [-1], "x", {}))
        yield {one: kept for one, kept in metadata.items() if one != key}


def test_a_cube_whose_metadata_are_damaged_is_replaced(tmp_path):
    trees = [tree(seed, names=["nc1"], shape=(1, 2, 1)) for seed in (0, 1)]
    seal(trees[0], tmp_path / "first")
    name = "cube.zarr/collapse/nc1/zarr.json"
    ways = list(damaged(json.loads((tmp_path / "first" / name).read_bytes())))
    assert len(ways) > 50
    for number, way in enumerate(ways[::12]):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "first", folder)
        opened = plainly(folder)
        (folder / name).write_text(json.dumps(way))
        seal(trees[1], folder)
        assert "nc1" in raised_or_right(opened, trees[0])
        assert verify_manifest(folder) == []
        xr.testing.assert_identical(plainly(folder), trees[1])


def test_a_cube_whose_withdrawal_dies_anywhere_is_withdrawn_again(tmp_path, monkeypatch):
    seal(tree(0, names=["nc1"], shape=(1, 2, 1)), tmp_path / "first")
    replace, number, died = Path.replace, 0, True
    while died:
        number += 1
        folder, left, died = tmp_path / str(number), itertools.count(1), False
        shutil.copytree(tmp_path / "first", folder)
        opened = plainly(folder)

        def die(path, target, left=left, number=number):
            if next(left) == number:
                raise KeyboardInterrupt
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", die)
            try:
                withdraw_store(folder)
            except KeyboardInterrupt:
                died = True
        withdraw_store(folder)
        with pytest.raises(RuntimeError):
            opened["collapse"]["nc1"].load()
        assert not [path for path in folder.rglob("*") if path.name.endswith(".partial")]
    assert number > 3
