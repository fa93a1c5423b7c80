"""Taking variables out of a cube: by name and label, or one sentence that says what is not there."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from elastic.analysis.epochs import epoch_position
from elastic.analysis.reading import (
    at_layers,
    at_together,
    hidden_layers,
    names_of,
    read,
    select,
    settings_axes,
    settings_of,
)
from elastic.errors import NotMeasured, OptionError


@pytest.fixture(scope="module")
def cube() -> xr.DataTree:
    dims = ("weight_decay", "batch_norm", "seed", "epoch", "split", "layer")
    coords = {
        "weight_decay": [0.0, 5e-4],
        "batch_norm": ["true", "false"],
        "seed": [0, 1],
        "epoch": [0, 3, 9],
        "split": ["train", "test"],
        "layer": np.array(["input", "hidden_1", "penultimate", "logits"], dtype=np.dtypes.StringDType()),
    }
    shape = tuple(len(coords[dim]) for dim in dims)
    nc1 = xr.DataArray(np.arange(float(np.prod(shape))).reshape(shape), dims=dims, coords=coords)
    loss = nc1.isel(layer=0, drop=True).rename("loss")
    return xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": nc1}), "/training": xr.Dataset({"loss": loss})})


def test_the_train_split_is_read_unless_another_is_asked_for(cube):
    whole = cube["collapse"].dataset["nc1"]
    assert read(cube, "nc1").identical(whole.sel(split="train"))
    assert read(cube, "collapse/nc1", split="test").identical(whole.sel(split="test"))
    assert read(cube, "nc1", split=None).identical(whole)


def test_labels_are_chosen_as_they_are_spelled_or_meant(cube):
    chosen = {"weight_decay": 5e-4, "batch_norm": True, "epoch": -1, "layer": "penultimate"}
    expected = (
        cube["collapse"]
        .dataset["nc1"]
        .sel(split="train", weight_decay=5e-4, batch_norm="true", epoch=9, layer="penultimate")
    )
    assert read(cube, "nc1", where=chosen).equals(expected)
    assert read(cube, "nc1", where={**chosen, "epoch": 9, "batch_norm": "true"}).equals(expected)


def test_an_epoch_counts_from_the_end_only_as_far_as_there_are_epochs(cube):
    values = read(cube, "nc1")
    assert select(values, "epoch", -3).equals(values.sel(epoch=0))
    with pytest.raises(NotMeasured, match="`epoch` should be one that the cube has for nc1; found -4"):
        select(values, "epoch", -4)


def test_an_epoch_that_is_not_negative_is_a_label():
    epochs = [1 / 3, 1.0, 5.0]
    asked = [0, 1, 5, 0.3333, 0.33331, 2, -1, -3, -4, -0.5, True, "1"]
    assert [epoch_position(epochs, one) for one in asked] == [None, 1, 2, 0, 0, None, -1, -3] + [None] * 4
    assert epoch_position([0.0, 1.0], 0) == 0
    assert epoch_position([1 / 3, 0.33334], 1 / 3) is None, "two have the label 0.3333"


def test_axes_of_settings_are_told_from_the_dims_of_the_variable(cube):
    assert settings_axes(read(cube, "nc1")) == ("weight_decay", "batch_norm")
    assert settings_axes(read(cube, "loss", where={"weight_decay": 0.0})) == ("batch_norm",)


def test_layers_are_the_hidden_ones_or_the_named_in_their_order(cube):
    values = read(cube, "nc1")
    assert hidden_layers(values)["layer"].values.tolist() == ["hidden_1", "penultimate"]
    assert at_layers(values, None).equals(hidden_layers(values))
    assert hidden_layers(values, include_input=True)["layer"].values.tolist() == ["input", "hidden_1", "penultimate"]
    assert at_layers(values, ["logits", "input"]).identical(values.sel(layer=["logits", "input"]))


def test_layers_that_stand_for_others_keep_the_dims_and_lose_what_describes_the_places(cube):
    values = read(cube, "nc1").assign_coords(layer=["a", "b", "c", "d"], depth=("layer", [0.0, 1.0, 2.0, 3.0]))
    values = values.assign_coords(role=("layer", ["input", "hidden", "hidden", "output"]))
    chosen = at_layers(values, ["penultimate", "b"])
    assert chosen.dims == values.dims
    assert chosen["layer"].values.tolist() == ["c", "b"]
    np.testing.assert_array_equal(chosen, values.sel(layer=["c", "b"]))
    of_two = values.assign_coords(role=("layer", ["input", "hidden", "output", "output"]))  # of networks side by side
    chosen = at_layers(of_two, ["logits", "b"])
    assert (chosen.dims, chosen["layer"].values.tolist()) == (values.dims, ["logits", "b"])
    assert not {"depth", "role"} & set(chosen.coords)
    np.testing.assert_array_equal(chosen, values.sel(layer=["c", "b"]))


def test_an_axis_along_another_is_selected_at_one_place_or_at_several(cube):
    values = read(cube, "nc1").assign_coords(rate=("weight_decay", [1.0, 2.0]), depth=("layer", [0.0, 1.0, 2.0, 3.0]))
    assert at_together(values, "rate", 2).identical(values.isel(weight_decay=1))
    assert at_together(values.assign_coords(rate=("weight_decay", [2.0, 2.0])), "rate", 2).sizes["weight_decay"] == 2
    assert [at_together(values, name, 1.0) for name in ("depth", "weight_decay", "none")] == [None] * 3
    with pytest.raises(NotMeasured, match=r"`rate` should be one that the cube has for nc1; found 3; try 2\.0"):
        at_together(values, "rate", 3)


def test_settings_are_those_that_have_a_record_if_some_are_excluded():
    status = xr.DataArray([[[1], [0]], [[0], [0]]], dims=("lr", "seed", "epoch"), name="status",
                          coords={"lr": [0.1, 0.2], "seed": [0, 1], "epoch": [0]})  # fmt: skip
    cube = xr.DataTree.from_dict({"/training": xr.Dataset({"status": status})})
    assert list(settings_of(cube)) == [{"lr": 0.1}, {"lr": 0.2}]
    cube.attrs["excluded"] = "some"
    assert list(settings_of(cube)) == [{"lr": 0.1}]


def test_derived_variables_and_groups_are_among_the_names(cube):
    assert names_of(cube) == ["collapse", "loss", "nc1", "nc1_depth_slope", "training"]
    with pytest.raises(NotMeasured, match=r"try the probe `probes\.elasticity: {}`"):
        read(cube, "elasticity/locality")


@pytest.mark.parametrize(
    ("variable", "options", "error", "sentence"),
    [
        ("nc3", {}, NotMeasured, "`nc3` should be a variable of the cube; found 'nc3'"),
        ("elasticity/nc1", {}, NotMeasured, "should be a variable of the cube"),
        ("nc1", {"split": "validation"}, NotMeasured, "`split` should be one that the cube has for nc1"),
        ("nc1", {"where": {"layer": "hiden_1"}}, NotMeasured, "found 'hiden_1'; try 'hidden_1'"),
        ("nc1", {"where": {"wieght_decay": 0}}, OptionError, r"`where\.wieght_decay` .* try 'weight_decay'"),
        ("nc1", {"where": {"batch_norm": "maybe"}}, NotMeasured, "`batch_norm` should be one"),
    ],
)
def test_what_is_not_there_is_told(cube, variable, options, error, sentence):
    with pytest.raises(error, match=sentence):
        read(cube, variable, **options)
