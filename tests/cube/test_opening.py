"""An open cube keeps the numbers of the seal that it opened, or raises: never other numbers, never NaN."""

from __future__ import annotations

import pickle
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
import zarr
from support.sampling import alternating
from zarr.core.sync import sync

from elastic.cube import assemble, open_sealed, read_manifest, reading_store, seal
from elastic.cube.sealed_store import SealedStore
from elastic.errors import Damaged, SealedAgain, StudyError


def cube_of(seed, *, shape=(2, 5, 3)):
    """Return a cube without elastic's journals: the same labels for every seed, other numbers."""
    numbers = np.random.default_rng(seed)
    dims, labels = ("seed", "epoch", "layer"), {"seed": [0, 1], "epoch": np.arange(shape[1])}
    group = {"nc1": (dims, numbers.normal(size=shape)), "nc4": (dims[:2], numbers.normal(size=shape[:2]))}
    coords = {**labels, "layer": ["a", "b", "c"], "depth": ("layer", numbers.normal(size=shape[2]))}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": "t"}), "/collapse": xr.Dataset(group, coords)})


@pytest.fixture
def study(tmp_path):
    seal(cube_of(0), tmp_path / "study")
    return tmp_path / "study"


def variables(tree):
    """Return every variable of a tree by its path in the store."""
    return {
        f"{node.path.strip('/')}/{name}".strip("/"): variable
        for node in tree.subtree
        for name, variable in node.to_dataset(inherit=False).variables.items()
    }


def plainly(store):
    """Return every array of a store by its path, read by zarr alone."""
    members = zarr.open_group(store, mode="r").members(max_depth=None)
    return {path: array[...] for path, array in members if isinstance(array, zarr.Array)}


READS = {
    "values": lambda array: array.values,
    "part": lambda array: array.isel(epoch=-1, seed=0).load(),
    "computed": lambda array: (array * 2).mean().item(),
    "pickled": lambda array: pickle.loads(pickle.dumps(array)).values,
    "plotted": lambda array: array.isel(layer=0).plot.line(x="epoch"),
    "printed whole": lambda array: array.to_dataframe(),
    "in a thread": lambda array: ThreadPoolExecutor(1).submit(lambda: array.values).result(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_open_cube_raises_once_another_is_sealed_in_its_place(study, read):
    opened = open_sealed(study)["collapse"]["nc1"]
    seal(cube_of(1), study)
    with pytest.raises(SealedAgain, match="a cube that was sealed since; try opening the study again") as caught:
        read(opened)
    assert caught.value.place.startswith(str(study / "cube.zarr" / "collapse"))
    assert isinstance(caught.value, StudyError)
    np.testing.assert_array_equal(open_sealed(study)["collapse"]["nc1"], cube_of(1)["collapse"]["nc1"])


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_lost_chunk_of_an_open_cube_is_no_nan(study, read):
    opened = open_sealed(study)["collapse"]["nc1"]
    shutil.rmtree(study / "cube.zarr" / "collapse" / "nc1" / "c")
    with pytest.raises(Damaged, match=r"no such file; try elastic verify --repair"):
        read(opened)


def test_an_open_cube_whose_study_is_gone_raises(study):
    opened = open_sealed(study)["collapse"].to_dataset()
    shutil.rmtree(study)
    with pytest.raises(StudyError, match="no seal"):
        opened.load()


def test_an_open_cube_reads_on_while_its_study_has_no_seal(study):
    """A Recorder removes the manifest before it adds a record."""
    opened = open_sealed(study)
    (study / "manifest.sha256").unlink()
    np.testing.assert_array_equal(opened["collapse"]["nc1"], cube_of(0)["collapse"]["nc1"])


def test_readers_of_1_2_and_5_seals_ago_are_right_or_raise(study):
    opened = [open_sealed(study)]
    for number in range(1, 6):
        seal(cube_of(number), study)
        opened.append(open_sealed(study))
    for ago in (1, 2, 5):
        with pytest.raises(SealedAgain):
            opened[-1 - ago]["collapse"]["nc1"].load()
    np.testing.assert_array_equal(opened[-1]["collapse"]["nc1"], cube_of(5)["collapse"]["nc1"])
    seal(cube_of(4), study)  # what a reader opened may come back: then its numbers are right again
    seal(cube_of(5), study)


def test_a_cube_of_other_shapes_is_no_match_either(study):
    opened = open_sealed(study)["collapse"]["nc1"]
    seal(cube_of(1, shape=(2, 9, 3)), study)
    with pytest.raises(SealedAgain):
        opened.load()


def test_sealing_the_same_cube_again_leaves_an_open_one_right(study):
    opened = open_sealed(study)
    seal(cube_of(0), study)
    np.testing.assert_array_equal(opened["collapse"]["nc1"], cube_of(0)["collapse"]["nc1"])


def test_an_open_cube_reads_what_it_opened_from_wherever_the_process_goes(study, tmp_path, monkeypatch):
    monkeypatch.chdir(study.parent)
    opened = open_sealed("study")
    monkeypatch.chdir(tmp_path.parent)
    np.testing.assert_array_equal(opened["collapse"]["nc1"], cube_of(0)["collapse"]["nc1"])


def test_errors_come_back_from_another_process_as_they_were(study):
    opened = open_sealed(study)["collapse"]["nc1"]
    seal(cube_of(1), study)
    with pytest.raises(SealedAgain) as caught:
        opened.load()
    back = pickle.loads(pickle.dumps(caught.value))
    assert (type(back), str(back), back.place) == (SealedAgain, str(caught.value), caught.value.place)


def test_zarr_counts_the_chunks_of_one_array_of_an_open_cube(study):
    cube = cube_of(0)
    cube["collapse/nc"] = cube["collapse/nc1"]  # whose path begins those of others
    seal(cube, study)
    group = zarr.open_group(SealedStore(study, read_manifest(study)), mode="r")
    assert all(array.nchunks_initialized == array.nchunks for _, array in group["collapse"].arrays())


def test_large_and_small_files_of_a_cube_are_read_alike(study, monkeypatch):
    monkeypatch.setattr(reading_store, "LARGE", 0)
    for name, variable in variables(cube_of(0)).items():
        np.testing.assert_array_equal(open_sealed(study)[name], variable)


def test_the_store_of_an_open_cube_says_which_files_it_has(study):
    store = SealedStore(study, read_manifest(study))
    assert [sync(store.exists(key)) for key in ("zarr.json", "zarr.jso", "collapse")] == [True, False, False]


def test_the_store_of_an_open_cube_cannot_be_written(study):
    array = open_sealed(study)["collapse"]["nc1"]
    with pytest.raises(ValueError, match="read-only"):
        array.to_dataset().to_zarr(array.variable._data.array.array.array._array.store, mode="a")
    np.testing.assert_array_equal(open_sealed(study)["collapse"]["nc1"], cube_of(0)["collapse"]["nc1"])


# Damage


def flip(path, chance):
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def cut(path, chance):
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def lengthen(path, chance):
    path.write_bytes(path.read_bytes() + chance.randbytes(4))


def remove(path, _chance):
    path.unlink()


def exchange(path, _chance):
    """Put another file of the cube in its place, whole and with a right checksum of its own."""
    (cube,) = (folder for folder in path.parents if folder.name == "cube.zarr")
    others = (p.read_bytes() for p in sorted(cube.rglob(path.name)) if p.is_file())
    path.write_bytes(next((data for data in others if data != path.read_bytes()), b""))


@pytest.mark.parametrize(
    ("harm", "when"), alternating([flip, cut, lengthen, remove, exchange], ["while it is open", "before it is opened"])
)
def test_every_damaged_file_is_noticed_when_its_variable_is_read(tmp_path, make_layout, write_run, harm, when):
    is_open = when == "while it is open"
    chance = random.Random(f"{harm.__name__} {is_open}")
    layout = make_layout(variables=[v for v in make_layout().variables if v.name in ("loss", "class_cosine", "nc4")])
    runs = [({"seed": i}, write_run(tmp_path / str(i), layout, seed=i)) for i in range(2)]
    seal(assemble(runs, {"seed": [0, 1]}, {"title": "t"}), tmp_path / "study")
    truth = plainly(tmp_path / "study" / "cube.zarr")
    files = sorted(p for p in (tmp_path / "study" / "cube.zarr").rglob("*") if p.is_file())
    for damaged in files:
        whole = damaged.read_bytes()
        key = damaged.relative_to(tmp_path / "study" / "cube.zarr").as_posix()
        collected = []
        try:
            opened = open_sealed(tmp_path / "study") if is_open else None
            harm(damaged, chance)
            opened = open_sealed(tmp_path / "study") if opened is None else opened
        except Damaged as error:
            collected.append(error)
        else:
            result = variables(opened)
            loaded = {name for name, variable in result.items() if variable._in_memory}  # labels, as it was opened
            own = {name for name in result if key.startswith(f"{name}/")}
            for name in own | set(chance.sample(sorted(result), 4)):
                variable = result[name]
                try:
                    np.testing.assert_array_equal(variable.values, truth[name])
                except Damaged as error:
                    collected.append(error)
        expected = [] if is_open and (key.endswith("zarr.json") or key.partition("/c/")[0] in loaded) else [key]
        if collected or key == "zarr.json" or not key.endswith("zarr.json"):  # all metadata lie in the first zarr.json
            assert [key in str(error) for error in collected] == [True] * len(expected), key
        damaged.write_bytes(whole)
