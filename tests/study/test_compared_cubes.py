"""A sealed cube is compared with its journals entry by entry, in parts that fit in memory."""

import numpy as np
import pytest
import xarray as xr

from elastic.study.verification import numbers
from elastic.study.verification.findings import State

SHAPES = [(), (0, 3), (3, 0), (7,), (3, 5), (1, 4, 6), (2, 3, 5), (4, 1, 1, 9)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("limit", [1, 8, 40, 100, 10**6])
def test_parts_cover_every_entry_once_and_none_is_larger_than_the_limit(shape, limit):
    covered = np.zeros(shape, int)
    parts = list(numbers.parts(shape, 8, limit=limit))
    for part in parts:
        covered[part] += 1
        assert covered[part].size * 8 <= max(limit, 8)
    assert (covered == 1).all()
    if 0 < covered.size * 8 <= limit:
        assert len(parts) == 1


def tree(**changed):
    values = np.arange(24.0).reshape(2, 3, 4)
    values[1, 2, 3] = np.nan
    variables = {"nc1": values, "count": np.arange(24).reshape(2, 3, 4), **changed}
    labels = {"seed": [0, 1], "epoch": [0, 1, 5], "layer": [*"abcd"]}
    dataset = xr.Dataset({k: (tuple(labels), v) for k, v in variables.items() if v is not None}, labels)
    return xr.DataTree.from_dict({"/collapse": dataset, "/training": xr.Dataset({"status": ("seed", [1, 1])})})


def altered(name, at, value):
    values = tree()["collapse"][name].values.copy()
    values[at] = value
    return tree(**{name: values})


@pytest.mark.parametrize("part", [8, 50, 2**20])
def test_a_variable_that_differs_anywhere_is_named(monkeypatch, part):
    monkeypatch.setattr(numbers, "PART", part)
    monkeypatch.setattr(numbers.parts, "__defaults__", (part,))

    def named(sealed, assembled):
        return {one.path: one.found for one in numbers.compared(sealed, assembled) if one.state is State.DAMAGED}

    assert named(tree(), tree()) == {}, "NaN is NaN"
    other = "other numbers than the journals"
    for change in (
        *(altered("nc1", at, 99.0) for at in ((0, 0, 0), (0, 2, 1), (1, 2, 3))),
        altered("nc1", (0, 1, 0), np.nan),
    ):
        assert named(change, tree()) == named(tree(), change) == {"cube.zarr/collapse/nc1": other}
    assert named(altered("count", (1, 2, 3), 7), tree()) == {"cube.zarr/collapse/count": other}
    (path,) = named(tree(count=None), tree())
    assert (path, named(tree(), tree(count=None))) == (
        "cube.zarr/collapse/count",
        {path: "a variable that the journals do not hold"},
    )
    turned = tree()
    turned["collapse"] = turned["collapse"].to_dataset().transpose("layer", "seed", "epoch")
    assert set(named(turned, tree())) == {"cube.zarr/collapse/nc1", "cube.zarr/collapse/count"}
    relabelled = tree()
    relabelled["collapse"] = relabelled["collapse"].to_dataset().assign_coords(epoch=[0, 1, 6])
    assert named(relabelled, tree()) == {"cube.zarr/collapse/epoch": other}
    assert set(named(tree(), xr.DataTree.from_dict({"/collapse": tree()["collapse"].to_dataset()}))) == {
        "cube.zarr/training/status"
    }
    later = tree()
    later["collapse"] = later["collapse"].to_dataset().assign_coords(depth=("layer", range(4)))
    assert named(tree(), later) == {}, "a coordinate of a later release"
