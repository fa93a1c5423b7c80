"""The sealed cube is compared with its journals number by number, in parts that cover each variable once."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from elastic.study.verification.findings import State
from elastic.study.verification.numbers import compared, parts


def tree(**variables):
    group = xr.Dataset(variables, {"epoch": [0, 5], "layer": ["a", "b", "c"]})
    return xr.DataTree.from_dict({"/": xr.Dataset(), "/collapse": group})


def values(*altered):
    """Return [epoch, layer] numbers with a gap, of which some are altered: {position: number}."""
    result = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    for place, number in altered:
        result[place] = number
    return ("epoch", "layer"), result


def test_equal_cubes_have_no_finding():
    assert list(compared(tree(nc1=values()), tree(nc1=values()))) == []


@pytest.mark.parametrize("altered", [((1, 2), np.nextafter(6.0, 7.0)), ((0, 1), 0.0), ((0, 0), np.nan), ((1, 0), -4.0)])
def test_one_other_number_is_named_by_its_variable(altered):
    (finding,) = compared(tree(nc1=values(altered), nc4=values()), tree(nc1=values(), nc4=values()))
    assert (finding.path, finding.state) == ("cube.zarr/collapse/nc1", State.DAMAGED)
    assert "other numbers than the journals" in str(finding)


def test_what_one_of_them_lacks_is_named():
    (extra,) = compared(tree(nc1=values(), nc4=values()), tree(nc1=values()))
    assert (extra.path, "do not hold" in str(extra)) == ("cube.zarr/collapse/nc4", True)
    (lost,) = compared(tree(nc1=values()), tree(nc1=values(), nc4=values()))
    assert (lost.path, "no such variable" in str(lost)) == ("cube.zarr/collapse/nc4", True)
    turned = ("layer", "epoch"), values()[1].T
    (other,) = compared(tree(nc1=turned), tree(nc1=values()))
    assert "other dims than the journals" in str(other)
    labels = tree(nc1=values())
    labels["collapse"] = labels["collapse"].dataset.assign_coords(layer=["a", "b", "d"])
    assert [one.path for one in compared(labels, tree(nc1=values()))] == ["cube.zarr/collapse/layer"]
    lone = xr.DataTree.from_dict({"/": xr.Dataset()})
    assert len(list(compared(lone, tree(nc1=values())))) == 3  # the variable, and the labels of both dims


@pytest.mark.parametrize("shape", [(), (7,), (4, 2), (3, 5, 2), (1, 6, 4), (0, 3), (2, 0)])
@pytest.mark.parametrize("limit", [1, 8, 24, 64, 10**6])
def test_parts_cover_every_number_once_and_are_no_larger_than_the_limit(shape, limit):
    times = np.zeros(shape, int)
    for part in parts(shape, 8, limit):
        times[part] += 1
        assert times[part].nbytes <= max(limit, 8)
    assert (times == 1).all()
