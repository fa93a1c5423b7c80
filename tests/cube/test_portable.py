"""Attributes and strings survive netCDF and Zarr, and cubes of earlier versions are given today's."""

from __future__ import annotations

import json
import math
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import elastic
from elastic.cube import assemble, open_sealed, read_layout, seal, verify_manifest, write_layout
from elastic.cube.attributes import bounds_attribute, bounds_of, storable
from elastic.cube.portable import fixed_width, portable

#: zarr-python may say these of strings, as plain xarray writes and reads them; elastic leaves them out.
OF_ZARR = (r"ignore:The data type \(FixedLengthUTF32\(", "ignore:The codec `vlen-utf8`")

#: A study of two runs, as commit 58d9528 sealed it: attributes ``bounds``, strings of any length.
BEFORE = Path(__file__).with_name("sealed_before.tar.xz")

ATTRIBUTES = {
    "text": "µ\nν", "empty": "", "number": -2.5, "whole": 2**53 + 1, "list": [1, 2], "floats": [0.5, 1.5],
    "words": ["", "ä"], "one": [7], "digest": ("ab12",), "none": None, "true": True, "nothing": [],
    "flags": [True, False], "mixed": [1, 2.5], "mapping": {"a": [1, None]}, "nested": [[1], [2]],
    "infinite": math.inf, "huge": 2**64,
    "bounds": [0.0, "inf"], "array": np.array([1.0, 2.0]), "scalar": np.int32(3), "infinities": [0.0, math.inf],
}  # fmt: skip


@pytest.fixture
def before(tmp_path):
    """Return a fresh copy of the study that an earlier version sealed."""
    with tarfile.open(BEFORE) as archive:
        archive.extractall(tmp_path / "before", filter="data")
    return tmp_path / "before"


def strict(text):
    """Return what JSON text holds; NaN and Infinity are none."""
    return json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


# Attributes


def test_attributes_come_back_from_netcdf_and_zarr(tmp_path):
    asked = xr.Dataset({"a": ((), 1.0, storable(ATTRIBUTES))}, attrs=storable(ATTRIBUTES))
    asked.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as result:
        xr.testing.assert_identical(result.load(), asked)
    asked.to_zarr(tmp_path / "a.zarr", consolidated=False)
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "a.zarr", consolidated=False, chunks=None).load(), asked)
    assert strict((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"] == asked.attrs


def test_storable_attributes_stay_as_they_are():
    once = storable(ATTRIBUTES)
    assert storable(once) == once
    assert once["whole"] == 2**53 + 1
    assert (once["one"], once["digest"], once["list"]) == (7, "ab12", [1, 2])
    for name in ("none", "true", "nothing", "flags", "mixed", "mapping", "nested"):
        assert json.loads(once[name]) == ATTRIBUTES[name]


@pytest.mark.parametrize("bounds", [(None, None), (0.0, None), (0.0, 2**0.5), (-1.0, 1.0), (1, 3)])
def test_bounds_are_read_as_they_were_declared(bounds):
    expected = tuple(sign * math.inf if b is None else b for sign, b in zip((-1, 1), bounds, strict=True))
    assert bounds_of({"value_bounds": bounds_attribute(*bounds)}) == expected
    earlier = [f"{sign}inf" if b is None else b for sign, b in zip(("-", ""), bounds, strict=True)]
    assert bounds_of(storable({"bounds": earlier})) == expected


def test_a_name_of_a_variable_in_bounds_is_left_to_the_cf_conventions():
    assert storable({"bounds": "lat_bnds"}) == {"bounds": "lat_bnds"}


# Strings


@pytest.mark.parametrize("dtype", [object, np.dtypes.StringDType(), np.str_])
@pytest.mark.parametrize("names", [["a", "longer"], [""], [], ["ä", "日本"]])
def test_strings_get_a_fixed_width(names, dtype):
    result = fixed_width(np.array(names, dtype=dtype))
    assert result.dtype.kind == "U"
    assert result.tolist() == names


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([1, 2], "i"), ([0.5, 1], "f"), ([True, False], "b"), (["a", 1], "O"), (["a", None], "O"), (["a", np.nan], "O")],
)
def test_objects_become_numbers_and_a_mixture_stays(labels, kind):
    result = fixed_width(np.array(labels, dtype=object))
    assert result.dtype.kind == kind
    assert result.tolist() == labels or labels[1] is np.nan


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_floats_that_pandas_cannot_index_become_float64(dtype):
    assert fixed_width(np.array([0.5, 1.5], dtype=dtype)).dtype == np.float64


# Cubes of earlier versions


@pytest.mark.filterwarnings(*OF_ZARR)
def test_an_earlier_cube_opens_with_todays_names_and_strings(before):
    plain = xr.open_datatree(before / "cube.zarr", engine="zarr")
    assert plain["collapse"]["nc1"].attrs["bounds"] == [0.0, "inf"]  # or this test shows nothing
    cube = elastic.open_study(before).cube
    assert cube["collapse"]["nc1"].attrs["value_bounds"] == ["0.0", "inf"]
    for path in ("training", "collapse", "elasticity"):
        group, old = cube[path].to_dataset(), plain[path].to_dataset()
        assert group.variables.keys() == old.variables.keys()
        for name, variable in group.variables.items():
            assert "bounds" not in variable.attrs
            assert variable.dtype.kind in "iufU"
            np.testing.assert_array_equal(np.array(variable.values.tolist()), np.array(old[name].values.tolist()))
            if "bounds" in old[name].attrs:
                assert bounds_of(variable.attrs) == tuple(map(float, old[name].attrs["bounds"]))


def test_nothing_of_an_earlier_cube_is_read_but_its_labels(before):
    assert not elastic.open_study(before).cube["collapse"]["nc1"].variable._in_memory


def test_an_earlier_cube_stays_as_its_manifest_says(before):
    study = elastic.open_study(before)
    study.cube.load()
    study.seal()
    assert verify_manifest(before) == []


def test_an_earlier_cube_is_sealed_anew_as_a_cube_of_today(before, tmp_path):
    cube = elastic.open_study(before).cube
    seal(cube, tmp_path / "anew")
    xr.testing.assert_identical(open_sealed(tmp_path / "anew").load(), cube.load())
    plain = xr.open_datatree(tmp_path / "anew" / "cube.zarr", engine="zarr")
    assert plain["collapse"]["layer"].dtype.kind == "U"
    assert "bounds" not in plain["collapse"]["nc1"].attrs


def test_claims_and_figures_read_an_earlier_cube_as_todays(before, tmp_path):
    cube = elastic.open_study(before).cube
    seal(cube, tmp_path / "anew")
    for name in ("study.json", "protocol.yaml"):
        shutil.copy(before / name, tmp_path / "anew" / name)
    old, new = elastic.open_study(before), elastic.open_study(tmp_path / "anew")
    of_old, of_new = elastic.check(old), elastic.check(new)
    assert of_old == replace(of_new, notes=())
    assert ["folder of this run is gone" in note for note in of_new.notes] == [True] * len(new.cells)  # of the copy
    assert [a.get_yscale() for a in old.plot.depth_profile().axes] == ["log"] * len(old.plot.depth_profile().axes)


def test_journals_of_an_earlier_version_are_read_as_its_cube(before):
    sealed = elastic.open_study(before).cube.load()
    shutil.rmtree(before / "cube.zarr")
    (before / "manifest.sha256").unlink()
    # Cubes tell the roles of layers since 0.2.
    assembled = elastic.open_study(before).cube.map_over_datasets(lambda ds: ds.drop_vars("role", errors="ignore"))
    xr.testing.assert_identical(assembled, sealed)


def test_a_run_that_an_earlier_version_began_goes_on(before):
    (folder, *_) = (before / "runs").iterdir()
    text = (folder / "layout.json").read_text()
    written = {f"{v['group']}/{v['name']}": v["attrs"] for v in json.loads(text)["variables"]}
    layout = read_layout(folder)
    for variable in layout.variables:
        assert bounds_of(variable.attrs) == tuple(map(float, written[variable.key]["bounds"]))
    write_layout(folder, layout)
    assert (folder / "layout.json").read_text() == text


# Cubes


def test_a_cube_is_portable_as_it_is_assembled_and_as_it_is_opened(tmp_path, make_layout, write_run):
    layout = make_layout(classes=("", "ä", "日本"))
    attrs = {"title": "µ", "seeds": [0], "machine": {"threads": 2}, "list": (1, None)}
    runs = [({"seed": 0, "act": act}, write_run(tmp_path / act, layout, seed=i)) for i, act in enumerate(["", "tanh"])]
    tree = assemble(runs, {"seed": [0], "act": ["", "tanh"]}, attrs)
    seal(tree, tmp_path / "study")
    opened = open_sealed(tmp_path / "study").load()
    xr.testing.assert_identical(opened, tree)
    for cube in (tree, opened):
        xr.testing.assert_identical(portable(cube), cube)
        cube.to_netcdf(tmp_path / "cube.nc", engine="h5netcdf")
        with xr.open_datatree(tmp_path / "cube.nc", engine="h5netcdf") as result:
            xr.testing.assert_identical(result.load(), cube)
    assert tree["collapse"]["class"].values.tolist() == ["", "ä", "日本"]
