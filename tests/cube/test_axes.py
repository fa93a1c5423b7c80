"""Labels of axes, and the axes along which a coordinate of layers differs, also where runs are missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from elastic.cube.along_layers import along_layers_and_classes
from elastic.cube.coordinates import Axes, Cell, ragged
from elastic.cube.layout import Layout
from elastic.errors import StudyError


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 2**63 - 1, -(2**63)], [0, 2**63 - 1, -(2**63)]),
        ([0, 2**64], [0.0, 2.0**64]),  # no int64
        ([1, 0.5], [1.0, 0.5]),
        ([True, False], ["true", "false"]),
        ([1, True], ["1", "true"]),
        ([None, "null."], ["null", "null."]),
    ],
    ids=repr,
)
def test_numbers_keep_their_type_and_anything_else_is_spelled_as_in_a_protocol(values, labels):
    axes = Axes({"a": values})
    assert [(one, type(one)) for one in axes.labels["a"]] == [(one, type(one)) for one in labels]
    assert [axes.position({"a": value}) for value in values] == [(i,) for i in range(len(values))]
    with pytest.raises(StudyError, match="be one of"):
        axes.position({"a": 7})


def named(count):
    return lambda group, dim: ["a", "b"][:count]


def depths(begun, axes):
    """Return the depth of layers of the runs that have begun, {position: depth of "a" and, if there is one, "b"}."""
    layouts = {
        at: SimpleNamespace(values=values, labels=named(len(values)), groups="g") for at, values in begun.items()
    }
    cells = [Cell(at, layout) for at, layout in layouts.items()]
    return ragged(Axes(axes), [*cells, Cell((0, 0), None)], "g", {"layer": ["a", "b"]}, lambda layout: layout.values)


def test_a_coordinate_has_the_axes_along_which_runs_differ_also_where_some_are_missing():
    axes = {"width": [4, 8], "seed": [0, 1]}
    dims, values = depths({(0, 0): [3], (1, 1): [5]}, axes)
    assert dims == ("width", "layer"), "each seed has one width: what differs is told of the width"
    np.testing.assert_array_equal(values, [[3, np.nan], [5, np.nan]])
    dims, values = depths({(0, 1): [3, 4], (1, 0): [3, 4]}, axes)
    assert (dims, values.tolist()) == (("layer",), [3, 4])
    dims, values = depths({(0, 1): [3, 4], (1, 0): [3]}, axes)
    np.testing.assert_array_equal(values, [[3, 4], [3, np.nan]])
    dims, values = depths({(0, 0): [3], (0, 1): [4], (1, 1): [4]}, axes)
    assert dims == ("seed", "layer")
    np.testing.assert_array_equal(values, [[3, np.nan], [4, np.nan]])
    dims, values = depths({(0, 0): [3], (0, 1): [4], (1, 0): [4], (1, 1): [4]}, axes)
    assert dims == ("width", "seed", "layer")
    np.testing.assert_array_equal(values[..., 0], [[3, 4], [4, 4]])


def test_layers_and_classes_are_described_as_in_the_runs_that_have_them():
    """What is the output of some networks only is hidden in the whole, and what no layout tells is not a number."""
    layers = [("input", 0, 8), ("h", 1, 3), ("out", 2, 2)]

    def cell(place, count):
        groups = {
            "collapse": {"split": ["train", "test"], "layer": [name for name, *_ in layers[:count]], "class": "ab"}
        }
        kept = (layers[:count], ["a", "b"], ["train", "test"], {"train": [5, 6]}, [], groups)
        return Cell((place,), Layout(1, [], *kept))

    labels = {"split": ["train", "test"], "layer": ["input", "h", "out"], "class": ["a", "b"]}
    for cells in ([cell(0, 2), cell(1, 3)], [cell(0, 3), cell(1, 2)]):
        coordinates = along_layers_and_classes("collapse", Axes({"width": [4, 8]}), cells, labels)
        assert coordinates["role"][1].tolist() == ["input", "hidden", "output"]
        deep = 0 if len(cells[0].layout.layers) == 3 else 1
        for name, known in (("depth", [0, 1, 2]), ("width", [8, 3, 2])):
            dims, values, _ = coordinates[name]
            assert dims == ("width", "layer")
            np.testing.assert_array_equal(values[deep], known)
            np.testing.assert_array_equal(values[1 - deep], [*known[:2], np.nan])
        dims, values, _ = coordinates["samples"]
        assert dims == ("split", "class")
        np.testing.assert_array_equal(values, [[5, 6], [np.nan, np.nan]])
