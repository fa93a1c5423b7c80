"""Layers are found by their role where their names are the user's: hidden ones, the deepest of them, the output."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from support import simulated_cubes as sim

from elastic.analysis.reading import at_layers, hidden_layers, read, select
from elastic.analysis.roles import roles_of
from elastic.errors import NotMeasured


def layered(names, roles=None, depth=None, numbers=None):
    numbers = np.arange(float(len(names))) if numbers is None else numbers
    coords = {"layer": names}
    coords |= {} if roles is None else {"role": ("layer", roles)}
    coords |= {} if depth is None else {"depth": depth if isinstance(depth, tuple) else ("layer", depth)}
    dims = ("layer",) if np.ndim(numbers) == 1 else ("net", "layer")
    return xr.DataArray(numbers, dims=dims, coords=coords, name="nc1", attrs={"units": "1"})


USERS = layered(["input", "layer1", "layer4", "fc"], ["input", "hidden", "hidden", "output"])
#: Two networks in one cube: the first has three layers, the second four, and their outputs have other names.
RAGGED = layered(
    ["input", "layer1", "layer2", "fc", "layer3", "head"],
    ["input", "hidden", "hidden", "output", "hidden", "output"],
    (("net", "layer"), [[0, 1, 2, 3, np.nan, np.nan], [0, 1, 2, np.nan, 3, 4]]),
    [[10.0, 11, 12, 13, np.nan, np.nan], [20.0, 21, 22, np.nan, 23, 24]],
)


def test_hidden_layers_are_told_by_role():
    assert hidden_layers(USERS)["layer"].values.tolist() == ["layer1", "layer4"]
    assert hidden_layers(RAGGED)["layer"].values.tolist() == ["layer1", "layer2", "layer3"]
    assert at_layers(USERS, None).identical(hidden_layers(USERS))


def test_without_roles_names_tell():
    old = layered(["input", "layer1", "penultimate", "logits"])
    assert roles_of(old) == ["input", "hidden", "hidden", "output"]
    assert roles_of(layered(["input", "layer1", "logits"], ["", "?", ""])) == ["input", "hidden", "output"]
    assert roles_of(USERS.drop_vars("role")) == ["input", "hidden", "hidden", "hidden"]
    assert roles_of(layered(["logits", "fc"], ["hidden", "output"])) == ["hidden", "output"]


def test_names_of_built_in_models_stand_for_roles():
    for name, meant in {"penultimate": "layer4", "logits": "fc", "input": "input"}.items():
        assert select(USERS, "layer", name).identical(USERS.sel(layer=meant))
        assert read(xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": USERS})}), "nc1", where={"layer": name}) == (
            USERS.sel(layer=meant)
        )
    renamed = USERS.assign_coords(layer=["x", "layer1", "layer4", "fc"])
    assert select(renamed, "layer", "input").item() == 0


def test_a_layer_of_the_name_comes_first():
    named = layered(["input", "penultimate", "layer4", "logits", "fc"], ["input", *["hidden"] * 3, "output"])
    assert select(named, "layer", "penultimate").item() == 1
    assert select(named, "layer", "logits").item() == 3


def test_the_deepest_layer_is_told_by_depth_not_by_place():
    shuffled = layered(["layer4", "fc", "layer1"], ["hidden", "output", "hidden"], [2, 3, 1])
    assert select(shuffled, "layer", "penultimate")["layer"].item() == "layer4"
    assert select(shuffled.drop_vars("depth"), "layer", "penultimate")["layer"].item() == "layer1"


def test_an_axis_named_depth_is_no_depth_of_layers():
    values = USERS.expand_dims(depth=[2, 4])
    assert select(values, "layer", "penultimate")["layer"].item() == "layer4"


def test_each_run_has_its_own_last_layers():
    last, output = select(RAGGED, "layer", "penultimate"), select(RAGGED, "layer", "logits")
    assert last.values.tolist() == [12, 23]
    assert output.values.tolist() == [13, 24]
    assert last["layer"].item() == "penultimate"
    assert last.attrs == output.attrs == RAGGED.attrs
    assert (last.name, last.dims) == ("nc1", ("net",))
    both = at_layers(RAGGED, ["layer1", "penultimate", "logits"])
    assert both.values.tolist() == [[11, 12, 13], [21, 23, 24]]
    assert both["layer"].values.tolist() == ["layer1", "penultimate", "logits"]
    one = RAGGED.isel(net=0)
    assert select(one, "layer", "penultimate")["layer"].item() == "layer2"


def test_a_run_that_is_missing_has_no_last_layer():
    missing = RAGGED.where(RAGGED["net"] == 0) if "net" in RAGGED.coords else RAGGED.copy()
    missing = missing.copy(data=[RAGGED.values[0], np.full(6, np.nan)])
    missing["depth"] = (("net", "layer"), np.stack([RAGGED["depth"].values[0], np.full(6, np.nan)]))
    assert select(missing, "layer", "penultimate")["layer"].item() == "layer2"
    np.testing.assert_array_equal(select(missing, "layer", "penultimate"), [12, np.nan])


@pytest.mark.parametrize(("name", "values"), [
    ("penultimate", layered(["input", "fc"], ["input", "output"])),
    ("logits", layered(["layer1", "layer2"], ["hidden", "hidden"])),
    ("fully_connected", USERS),
])  # fmt: skip
def test_what_no_layer_stands_for_is_told(name, values):
    with pytest.raises(NotMeasured, match=f"`layer` should be one that the cube has for nc1; found '{name}'"):
        select(values, "layer", name)


def test_a_cube_of_user_names_reads_as_one_of_built_in_names():
    numbers = np.random.default_rng(0).normal(size=(1, 3, len(sim.EPOCHS), len(sim.LAYERS)))
    plain = sim.cube(nc1=sim.values(numbers, "epoch", "layer", layer=sim.LAYERS))
    named = sim.named_by_user(plain)
    for layer in ("penultimate", "logits", "input"):
        np.testing.assert_array_equal(
            read(named, "nc1", where={"layer": layer}), read(plain, "nc1", where={"layer": layer})
        )
    np.testing.assert_array_equal(hidden_layers(read(named, "nc1")), hidden_layers(read(plain, "nc1")))
