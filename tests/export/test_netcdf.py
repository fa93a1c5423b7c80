"""The NetCDF file is the cube: its groups, dims, labels, numbers; and whatever is in an attribute is still there."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from support import altered

from elastic.export import export


def reopened(study, folder):
    (path,) = export(study, ["netcdf"], folder)
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()


def assert_same(found, asked):
    assert {node.path for node in found.subtree} == {node.path for node in asked.subtree}
    for node in asked.subtree:
        other = found[node.path].to_dataset()
        assert set(other.variables) == set(node.variables)
        assert set(other.coords) == set(node.coords)
        for name, variable in node.variables.items():
            back = other[name]
            assert back.dims == variable.dims
            if variable.dtype.kind in "iuf":
                assert back.dtype == variable.dtype
                np.testing.assert_array_equal(back.values, variable.values)
            else:
                assert back.values.tolist() == variable.values.tolist()


@pytest.fixture(scope="module")
def back(finished_study, tmp_path_factory):
    """Return the cube of the finished study as its file has it."""
    return reopened(finished_study, tmp_path_factory.mktemp("whole"))


def test_the_file_of_a_finished_study_reads_back_as_its_cube(finished_study, back):
    assert_same(back, finished_study.cube)


@pytest.mark.parametrize("kind", ["under way", "swept by words", "not probed"])
def test_the_file_reads_back_as_the_cube(finished_study, tmp_path, kind):
    study = {
        "under way": lambda: altered.under_way(finished_study, tmp_path),
        "swept by words": lambda: altered.Altered(
            finished_study.folder, altered.swept("loss_axis", ["cross entropy", "Größe", ""])
        ),
        "not probed": lambda: altered.Altered(finished_study.folder, altered.without("nc1", "locality")),
    }[kind]()
    study = altered.Altered(study.folder, whole=altered.one_of_each(study.cube))
    assert_same(reopened(study, tmp_path / "out"), study.cube)


def test_attributes_are_kept_as_text_and_numbers(finished_study, back):
    asked, result = finished_study.cube, back
    assert result.attrs.keys() == asked.attrs.keys()
    assert result.attrs["digest"] == finished_study.digest
    assert result.attrs["protocol"] == asked.attrs["protocol"]
    assert json.loads(result.attrs["versions"])["numpy"] == np.__version__
    assert result.attrs["seeds"].tolist() == [0, 1]
    assert result["collapse"]["nc1"].attrs == asked["collapse"]["nc1"].attrs
