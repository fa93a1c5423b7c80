"""`elastic.combine`: each number of each cube in its place, layers in the order of depth, clashes told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from support import studies

import elastic
from elastic.cube.label_order import merged_labels, merged_layers
from elastic.errors import StudyError


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Return a study that differs from `finished_study` in everything that may differ."""
    settings = (
        "name=deep",
        "model.widths=[5, 4, 3, 2]",
        "training.epochs=4",
        "data.classes=[3, 5]",
        "axes.seed=[1, 2]",
    )
    return studies.run(tmp_path_factory.mktemp("deep"), *settings, "probes.elasticity=null")


@pytest.fixture(scope="module")
def both(finished_study, deep):
    return elastic.combine([finished_study, deep.folder])


def cube_of(name="one", axes=None, layers=("input", "logits"), **coords):
    """Return a cube with one variable ``nc1`` [*axes, epoch, layer] of ones."""
    axes = axes or {"seed": [0]}
    labels = {**axes, "epoch": [0, 1], "layer": list(layers)}
    nc1 = xr.DataArray(np.ones([len(v) for v in labels.values()]), labels, tuple(labels), attrs={"units": "1"})
    status = xr.ones_like(nc1.isel(layer=0, drop=True), dtype=np.int8)
    groups = {"training": {"status": status}, "collapse": {"nc1": nc1, "status": status}}
    datasets = {group: xr.Dataset(variables).assign_coords(coords) for group, variables in groups.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"name": name}), **datasets})


def protocol_with(cube, **axes):
    cube.attrs["canonical_protocol"] = json.dumps({"axes": axes})
    return cube


def test_every_number_is_in_its_place_and_there_are_no_others(both, finished_study, deep):
    for name, cube in (("small", finished_study.cube), ("deep", deep.cube)):
        for group in cube.children:
            for variable, values in cube[group].data_vars.items():
                result = both[group][variable].sel(study=name)
                there = result.sel({dim: values[dim].values for dim in values.dims}).transpose(*values.dims)
                np.testing.assert_array_equal(there.values, values.values)
                lacking = 0 if variable == "status" else np.nan
                elsewhere = result.sizes and int((result != lacking).sum() if lacking == 0 else result.notnull().sum())
                assert elsewhere == int((values != lacking).sum() if lacking == 0 else values.notnull().sum())


def test_layers_are_in_the_order_of_depth_and_keep_their_depths(both):
    collapse = both["collapse"]
    names = ["input", "hidden_1", "hidden_2", "hidden_3", "penultimate", "logits"]
    assert collapse["layer"].values.tolist() == names
    assert collapse["depth"].sel(study="deep").values.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(collapse["depth"].sel(study="small"), [0, 1, np.nan, np.nan, 2, 3])
    assert collapse["role"].values.tolist() == ["input", *["hidden"] * 4, "output"]
    assert (both["elasticity"]["study"] == ["small", "deep"]).all()  # a group that one study has


def test_a_combined_cube_is_analysed_and_written_as_any_other(both, deep, tmp_path):
    law = both.elastic.separation_law(where={"study": "deep", "epoch": 4})["slope"]
    own = deep.cube.elastic.separation_law(where={"epoch": 4})["slope"]
    np.testing.assert_allclose(law.sel(seed=[1, 2]), own)
    collapse = both["collapse"].to_dataset()[["nc1", "class_cosine", "nc4_mismatch"]]
    xr.DataTree.from_dict({"/": both.to_dataset(), "/collapse": collapse}).to_netcdf(tmp_path / "both.nc")
    with xr.open_datatree(tmp_path / "both.nc") as read:
        xr.testing.assert_equal(read["collapse"].to_dataset(), collapse)
    assert set(json.loads(both.attrs["combined"])) == {"small", "deep"}


def test_seeds_of_two_studies_are_joined_along_their_axis(finished_study, deep):
    whole = elastic.combine([finished_study, deep.cube.sel(seed=[2])], dim="seed")
    assert whole["collapse"]["nc1"].dims == finished_study.cube["collapse"]["nc1"].dims
    assert whole["training"]["seed"].values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(whole["training"]["loss"].sel(seed=2, epoch=4), deep.cube["training"]["loss"][1, 4])
    with pytest.raises(StudyError, match=r"labels of `seed` should be different; found 1 in two.*cube.sel\(seed="):
        elastic.combine([finished_study, deep], dim="seed")


def test_an_axis_may_be_called_as_a_coordinate_along_layers():
    whole = elastic.combine({2: cube_of(), 4: cube_of(depth=("layer", [0, 7]))}, dim="depth")
    assert whole["collapse"]["depth"].values.tolist() == [2, 4]
    assert whole["collapse"]["layer_depth"].dims == ("depth", "layer")


def test_a_setting_that_was_selected_is_told_of_its_study_only():
    one = cube_of(axes={"rate": [0.1, 0.2], "seed": [0]}).isel(rate=1)
    rate = elastic.combine({"a": one, "b": cube_of()})["training"]["rate"]
    np.testing.assert_array_equal(rate, [0.2, np.nan])


def test_labels_of_axes_are_merged_and_places_that_no_study_has_are_told():
    whole = elastic.combine(
        {"a": cube_of(axes={"rate": [0.1, 0.3], "seed": [0]}), "b": cube_of(axes={"rate": [0.2], "seed": [0]})}
    )
    assert whole["training"]["rate"].values.tolist() == [0.1, 0.2, 0.3]
    assert whole.attrs["excluded"] == "study=a, rate=0.2; study=b, rate=0.1; study=b, rate=0.3"


def test_the_order_of_layers_is_that_of_each_network():
    assert merged_layers([{"z": 1, "y": 2}, {"y": 1, "x": 2, "a": 3}]) == ["z", "y", "x", "a"]
    assert merged_layers([{"a": 1, "b": 2}, {"b": 1, "a": 5}]) == ["b", "a"]  # no order that both have
    assert merged_labels([[3, 5], ["3", "cat"]]) == ["3", "5", "cat"]


PATH = {"path": "model", "labels": ["wide"], "values": [{"name": "mlp", "widths": [9]}]}


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        ([cube_of()], {}, "`studies` should be two studies or more; found 1"),
        ("results/a", {}, "`studies` should be two studies or more; found str"),
        ([cube_of(), 3], {}, r"`studies\[1\]` should be a study, its folder, or a cube; found int"),
        ([cube_of(), xr.DataTree()], {}, r"`studies\[1\]` should be a study"),
        ([cube_of(), cube_of()], {}, "different names; found 2 named 'one'; try labels="),
        ([cube_of(), cube_of("b")], {"labels": [1]}, "`labels` should be 2 texts or numbers"),
        ([cube_of(), cube_of("b")], {"labels": [1, "b"]}, "`labels` should be 2 texts or numbers"),
        ([cube_of(), cube_of("b")], {"labels": ["b", "b"]}, "labels of `study` should be different; found b"),
        ([cube_of(), cube_of("b")], {"dim": "seed", "labels": [0, 1]}, "`labels` should be left out along 'seed'"),
        ({"a": cube_of(), "b": cube_of()}, {"labels": [0, 1]}, "`labels` should be left out with a mapping"),
        ([cube_of(), cube_of("b")], {"dim": "epoch"}, "`dim` should be a new name"),
        ([cube_of(), cube_of("b")], {"dim": "nc1"}, "`dim` should be a new name"),
        ([cube_of(), cube_of("b")], {"dim": "a b"}, "`dim` should be a name"),
        ([cube_of(), cube_of("b", {"w": [1.0], "seed": [0]})], {}, "axis `w` should be in every study; found"),
        (
            [cube_of(axes={"w": [1.0], "seed": [0]}), cube_of("b", {"w": ["1"], "seed": [0]})], {},
            "axis `w` should be of numbers, or of texts",
        ),
        (
            [cube_of(name, {"w": [1], "seed": [0]}, v=("w", [value])) for name, value in (("a", 2), ("b", 3))], {},
            "coordinate `v` should be the same for one w; found 2 and 3 at w=1",
        ),
        (
            [protocol_with(cube_of(), w=PATH), protocol_with(cube_of("b"), w={**PATH, "values": ["cnn"]})], {},
            "`wide` on the axis `w` should be one value in every study",
        ),
        (
            [protocol_with(cube_of(), w=PATH), protocol_with(cube_of("b"), w={**PATH, "path": "data"})], {},
            "axis `w` should set one part of the protocol in every study; found model in 'one', data in 'b'",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told(given, options, text):
    with pytest.raises(StudyError, match=text):
        elastic.combine(given, **options)


def test_a_release_that_describes_a_variable_in_other_words_leaves_a_description():
    cubes = [cube_of(name) for name in ("a", "b")]
    for cube, words in zip(cubes, ("NC1, in old words", "NC1: in new words"), strict=True):
        cube["collapse"]["nc1"].attrs |= {"formula": "tr(Σ_W Σ_B⁺)/K", "long_name": words}
    assert elastic.combine(cubes, labels=["a", "b"])["collapse"]["nc1"].attrs["long_name"] == "NC1, in old words"
    cubes[1]["collapse"]["nc1"].attrs["formula"] = "another definition"
    assert elastic.combine(cubes, labels=["a", "b"])["collapse"]["nc1"].attrs == {"units": "1"}


@pytest.mark.parametrize("fact", ["dims", "units"])
def test_a_variable_that_means_something_else_is_not_combined(fact):
    other = cube_of("b")
    changed = (
        other["collapse"]["nc1"].mean("layer", keep_attrs=True)
        if fact == "dims"
        else other["collapse"]["nc1"].assign_attrs(units="m")
    )
    other["collapse"] = other["collapse"].to_dataset().assign(nc1=changed)
    with pytest.raises(StudyError, match=f"`collapse/nc1` should have the same {fact} in every study"):
        elastic.combine([cube_of(), other])


def test_a_folder_that_is_no_study_is_told(tmp_path, finished_study):
    with pytest.raises(StudyError, match="should be a study folder"):
        elastic.combine([finished_study, tmp_path])
