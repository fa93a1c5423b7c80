"""Coordinates of combined cubes, where these differ: each number is found under the labels of its own cube."""

import numpy as np
import pytest
import xarray as xr

from elastic.cube.combining import Part, combined
from elastic.cube.label_order import merged_labels

INPUT, H, G, OUT = ("input", 0, "input"), ("h", 1, "hidden"), ("g", 2, "hidden"), ("out", 9, "output")


def cube(*layers, widths=(4,), **coords):
    """Return a cube with the axes width and seed, of layers (name, depth, role)."""
    names, depths, roles = (list(part) for part in zip(*layers, strict=True))
    labels = {"width": list(widths), "seed": [0], "epoch": [0]}
    status = {"status": (tuple(labels), np.ones((len(widths), 1, 1), "int8"))}
    nc1 = np.arange(len(widths) * len(layers), dtype=float).reshape(len(widths), 1, 1, -1)
    along = {"depth": ("layer", depths), "role": ("layer", roles), **coords}
    along = {name: value for name, value in along.items() if value is not None}
    collapse = xr.Dataset({"nc1": ((*labels, "layer"), nc1), **status}, {**labels, "layer": names, **along})
    return xr.DataTree.from_dict({"/training": xr.Dataset(status, labels), "/collapse": collapse})


def whole(*cubes, labels=(0.1, 0.2, 0.3)):
    parts = [Part(f"p{i}", part, [label]) for i, (part, label) in enumerate(zip(cubes, labels, strict=False))]
    return combined(parts, "rate")["collapse"].dataset


def test_what_all_cubes_agree_in_has_no_new_dim_and_what_one_has_otherwise_has_it():
    same = whole(cube(INPUT, H, OUT), cube(INPUT, H, OUT), cube(INPUT, H, OUT))
    assert (same["depth"].dims, same["depth"].values.tolist()) == (("layer",), [0, 1, 9])
    other = ("out", 2, "output")
    for place in range(3):
        cubes = [cube(INPUT, H, other if i == place else OUT) for i in range(3)]
        result = whole(*cubes)["depth"]
        assert result.dims == ("rate", "layer")
        np.testing.assert_array_equal(result, [[0, 1, 2 if i == place else 9] for i in range(3)])
    result = whole(cube(INPUT, OUT), cube(INPUT, H, OUT))
    np.testing.assert_array_equal(result["depth"], [[0, np.nan, 9], [0, 1, 9]])
    np.testing.assert_array_equal(result["nc1"][:, 0, 0, 0], [[0, np.nan, 1], [0, 1, 2]])
    result = whole(cube(INPUT, OUT), cube(INPUT, OUT, depth=None))
    np.testing.assert_array_equal(result["depth"], [[0, 9], [np.nan, np.nan]])


def test_layers_without_a_coordinate_are_ordered_by_their_greatest_depth():
    assert whole(cube(INPUT, G, OUT), cube(INPUT, H, OUT))["layer"].values.tolist() == ["input", "h", "g", "out"]
    high, low = (("h", depth, "hidden") for depth in (3, 1))
    for cubes in ((cube(INPUT, G, OUT), cube(INPUT, high, OUT), cube(INPUT, low, OUT)), (cube(INPUT, low, OUT),
                  cube(INPUT, high, OUT), cube(INPUT, G, OUT))):  # fmt: skip
        assert whole(*cubes)["layer"].values.tolist() == ["input", "g", "h", "out"]


@pytest.mark.parametrize("turned", [1, -1])
def test_a_layer_is_hidden_unless_it_is_the_output_or_input_of_every_network_that_has_it(turned):
    shallow = cube(INPUT, ("h", 1, "output"))
    result = whole(*[shallow, cube(INPUT, H, OUT)][::turned])
    assert dict(zip(result["layer"].values.tolist(), result["role"].values.tolist(), strict=True)) == {
        "input": "input", "h": "hidden", "out": "output",
    }  # fmt: skip
    assert result["role"].dims == ("layer",)
    unknown = whole(*[cube(INPUT, G, OUT, role=None), cube(INPUT, H, OUT)][::turned])["role"]
    assert unknown.sel(layer="g") == "hidden"


def test_an_axis_that_varies_with_another_has_a_value_at_each_of_its_labels():
    decay = {"decay": ("width", [0.5, 0.25])}
    result = whole(cube(INPUT, OUT, widths=(4, 8), **decay), cube(INPUT, OUT, widths=(2, 4)))
    assert (result["decay"].dims, result["width"].values.tolist()) == (("width",), [2, 4, 8])
    np.testing.assert_array_equal(result["decay"], [np.nan, 0.5, 0.25])
    named = whole(cube(INPUT, OUT, widths=(4, 8), kind=("width", ["a", "bc"])), cube(INPUT, OUT, widths=(2, 4)))
    assert named["kind"].values.tolist() == ["", "a", "bc"]
    unknown = {"decay": ("width", [np.nan, 0.25])}
    twice = whole(cube(INPUT, OUT, widths=(4, 8), **unknown), cube(INPUT, OUT, widths=(4, 8), **unknown))
    np.testing.assert_array_equal(twice["decay"], [np.nan, 0.25])


def test_a_coordinate_along_epochs_or_of_one_cube_alone_belongs_to_that_cube():
    result = whole(cube(INPUT, OUT, step=("epoch", [7])), cube(INPUT, OUT, step=("epoch", [9])))
    assert (result["step"].dims, result["step"].values.tolist()) == (("rate", "epoch"), [[7], [9]])
    result = whole(cube(INPUT, OUT, decay=((), 0.5, {"units": "1"})), cube(INPUT, OUT))
    np.testing.assert_array_equal(result["decay"], [0.5, np.nan])
    assert result["decay"].attrs == {"units": "1"}
    kind = whole(cube(INPUT, OUT, kind=((), "a")), cube(INPUT, OUT))["kind"]
    assert (kind.values.tolist(), kind.dtype.kind) == (["a", ""], "U")


def test_numbers_keep_their_digits_and_places_of_no_cube_are_missing():
    parts = [cube(INPUT, OUT, widths=(4,)), cube(INPUT, OUT, widths=(2, 4))]
    thirds = np.full((2, 1, 1, 2), 1 / 3)
    for number, values in enumerate((np.float32(thirds[:1]), thirds)):
        dataset = parts[number]["collapse"].to_dataset()
        variable = xr.DataArray(values, dims=dataset["nc1"].dims, attrs={"units": "1", "number": number, "of": "both"})
        dataset["width"].attrs["long_name"] = "units of a layer"
        parts[number]["collapse"] = dataset.assign(
            nc1=variable, count=(("width",), [2**53 - 1] * len(dataset["width"]))
        )
    for order in (1, -1):
        result = whole(*parts[::order], labels=(0.1, 0.2)[::order])
        single, double = (result["nc1"].sel(rate=rate) for rate in (0.1, 0.2))
        np.testing.assert_array_equal(double, thirds)
        np.testing.assert_array_equal(single.sel(width=4), np.float32(thirds[0]).astype(float))
        assert bool(single.sel(width=2).isnull().all())
        assert result["status"].sel(rate=0.1).values.ravel().tolist() == [0, 1]
        assert result["status"].dtype == np.int8
        assert result["count"].sel(rate=0.2).values.tolist() == [2**53 - 1] * 2
        assert result["nc1"].attrs == {"units": "1", "of": "both"}
        assert result["width"].attrs == {"long_name": "units of a layer"}


def test_the_depth_of_a_layer_is_its_greatest_among_the_runs_of_a_cube():
    varying = {"depth": (("width", "layer"), [[0, 1, 9], [0, 3, 9]])}
    result = whole(cube(INPUT, H, OUT, widths=(4, 8), **varying), cube(INPUT, G, OUT, widths=(4, 8)))
    assert result["layer"].values.tolist() == ["input", "g", "h", "out"]


def test_labels_that_are_numbers_in_one_cube_are_texts_where_another_has_texts():
    assert merged_labels([[0, 1], ["1", "cat"]]) == ["0", "1", "cat"]
    assert merged_labels([[10, 9], [9.5]]) == [9, 9.5, 10]
